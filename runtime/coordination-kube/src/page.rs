//! A page as the object that it is in Kubernetes. Pure.
//!
//! The object is kept as it was read, and only the fields of the runtime's own page are put in its place, so that an
//! update loses nothing that somebody else wrote there: labels, owner references, fields of a later version.
//!
//! Its `resourceVersion` is the version of the page. Kubernetes promises since 1.35 that these are numbers which grow
//! with every write.

use greenroom_cluster::coordination::{Version, Versioned};
use greenroom_core::map::Page;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

/// The page that the object holds, or what is wrong with it.
pub(crate) fn parse(number: u16, object: &DynamicObject) -> Result<Versioned<Page>, String> {
    let name = object.name_any();
    let version = version(object)?;
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let content: Page = serde_json::from_value(spec)
        .map_err(|e| format!("ShardMap {name} is no page of a shard map ({e}); restore it from a copy"))?;
    if content.page != number {
        let found = content.page;
        return Err(format!(
            "ShardMap {name} holds page {found} instead of page {number}; restore it from a copy"
        ));
    }
    Ok(Versioned { version, content })
}

/// The version of the object.
pub(crate) fn version(object: &DynamicObject) -> Result<Version, String> {
    let text = object.metadata.resource_version.as_deref().unwrap_or_default();
    text.parse().map(Version).map_err(|_| {
        format!(
            "ShardMap {} has the resourceVersion {text:?}, which is no number; use an API server that conforms to \
             Kubernetes 1.35 or later",
            object.name_any()
        )
    })
}

/// The object with this content, to be written in place of the version that it was read at.
pub(crate) fn with_content(object: &DynamicObject, content: &Page) -> Result<DynamicObject, String> {
    let mut object = object.clone();
    // The server keeps its own; sent along they would only be compared.
    object.metadata.managed_fields = None;
    let Value::Object(fields) = serde_json::to_value(content)
        .map_err(|e| format!("cannot encode page {} of the shard map: {e}", content.page))?
    else {
        return Err(format!("page {} of the shard map is no JSON object", content.page));
    };
    let spec = object.data.get_mut("spec").and_then(Value::as_object_mut);
    let spec = spec.ok_or_else(|| {
        format!("ShardMap {} has no spec", object.metadata.name.as_deref().unwrap_or_default())
    })?;
    // Those that are left out when they are empty.
    for field in ["groups", "members", "types"] {
        spec.remove(field);
    }
    spec.extend(fields);
    Ok(object)
}

#[cfg(test)]
mod tests {
    use greenroom_core::ShardCount;
    use serde_json::json;

    use super::*;

    fn object(resource_version: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "greenroom.dev/v1alpha1",
            "kind": "ShardMap",
            "metadata": {
                "name": "demo-1", "namespace": "shop", "resourceVersion": resource_version, "uid": "u",
                "labels": {"greenroom.dev/cluster": "demo"}, "annotations": {"a": "b"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "v"}],
            },
            "spec": {"cluster": "demo", "range": "256-299", "page": 1, "shards": 300, "later": {"x": 1}},
        }))
        .unwrap()
    }

    #[test]
    fn a_page_is_read_with_its_version() {
        let page = parse(1, &object("42")).unwrap();
        let empty = Page::empty(1, ShardCount::new(300).unwrap());
        assert_eq!(page, Versioned { version: Version(42), content: empty });
    }

    #[test]
    fn what_is_no_page_is_refused_with_the_way_out() {
        let other = parse(0, &object("42")).unwrap_err();
        assert!(other.contains("holds page 1 instead of page 0; restore"), "{other}");
        let version = parse(1, &object("v42")).unwrap_err();
        assert!(version.contains("\"v42\", which is no number; use"), "{version}");
        let mut broken = object("42");
        broken.data["spec"]["shards"] = json!("many");
        let broken = parse(1, &broken).unwrap_err();
        assert!(broken.contains("no page of a shard map") && broken.contains("; restore"), "{broken}");
    }

    #[test]
    fn new_content_leaves_everything_else_as_it_was() {
        let before = object("42");
        let page = parse(1, &before).unwrap().content;
        assert_eq!(with_content(&before, &page).unwrap().metadata, before.metadata);
        let mut written = with_content(&before, &page).unwrap();
        assert_eq!(written.data["spec"]["entries"], json!([]));
        written.data["spec"].as_object_mut().unwrap().remove("entries");
        assert_eq!(written.data, before.data);
    }
}
