//! Every object of the smallest and of a full cluster, as files: `UPDATE_GOLDEN=1` writes them anew.
//!
//! A changed pod template restarts the nodes of every cluster when the operator is upgraded: think before updating.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use greenroom_crds::names;
use serde_json::Value;

use super::{FULL, GROUPS, SMALLEST, cluster, fresh, settings};
use crate::build::{self, Target};
use crate::observed::Settings;
use crate::validate::validate;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Every object by the name of its file.
fn built(yaml: &str, settings: &Settings) -> BTreeMap<String, Value> {
    let observed = fresh(cluster(yaml));
    let valid = validate(&observed, settings).unwrap();
    let target = Target { cluster: &observed.cluster, valid: &valid, settings };
    let objects = build::objects(target).into_iter().map(|(key, object)| {
        assert_eq!(object["kind"], format!("{:?}", key.kind));
        (format!("{:?}-{}.yaml", key.kind, key.name), object)
    });
    let pages = build::pages(target).into_iter().map(|page| {
        let name = page.metadata.name.clone().unwrap();
        (format!("ShardMap-{name}.yaml"), serde_json::to_value(page).unwrap())
    });
    objects.chain(pages).collect()
}

#[track_caller]
fn matches(name: &str, built: BTreeMap<String, Value>) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for (file, object) in &built {
        let path = folder(name).join(file);
        let text = serde_saphyr::to_string(object).unwrap();
        if update {
            std::fs::write(&path, text).unwrap();
            continue;
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "{} is not up to date; UPDATE_GOLDEN=1 writes it", path.display());
    }
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(file == "cluster.yaml" || built.contains_key(&file), "nothing makes {file}");
    }
}

#[test]
fn the_smallest_cluster() {
    matches("smallest", built(SMALLEST, &settings()));
}

#[test]
fn a_full_cluster() {
    let settings = Settings {
        image_pull_policy: Some("Always".into()),
        image_pull_secrets: vec!["registry".into()],
        ..settings()
    };
    matches("full", built(FULL, &settings));
}

#[test]
fn a_cluster_with_groups() {
    matches("groups", built(GROUPS, &settings()));
}

#[test]
fn a_cluster_in_memory_has_no_claims() {
    let yaml = SMALLEST.to_owned() + "  storage: {engine: memory}\n";
    let built = built(&yaml, &settings());
    let spec = &built["StatefulSet-demo.yaml"]["spec"];
    assert!(spec.get("volumeClaimTemplates").is_none());
    let volumes = spec["template"]["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|volume| volume["name"] == "data" && volume.get("emptyDir").is_some()));
    let config = built["ConfigMap-demo-node.yaml"]["data"][names::CONFIG_FILE].as_str().unwrap();
    assert!(config.contains("storageEngine: memory\n"), "{config}");
}

#[test]
fn no_object_has_nulls_or_names_the_operator_s_version() {
    fn nulls(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().any(nulls),
            Value::Object(fields) => fields.values().any(nulls),
            _ => false,
        }
    }
    for (file, object) in built(FULL, &settings()).into_iter().chain(built(GROUPS, &settings())) {
        assert!(!nulls(&object), "{file}: {object}");
        assert!(!object.to_string().contains(env!("CARGO_PKG_VERSION")), "{file}: {object}");
    }
}

/// What changes a pod template restarts the nodes, so only what a node needs a restart for may do it.
#[test]
fn only_what_a_node_reads_at_its_start_changes_the_template() {
    let template = |yaml: &str| {
        let built = built(yaml, &settings());
        build::template_hash(&built["StatefulSet-demo.yaml"]).unwrap().to_owned()
    };
    let before = template(SMALLEST);
    for same in ["  gateway: {type: NodePort}\n", "  storage: {retention: {whenScaled: Delete}}\n"] {
        assert_eq!(template(&(SMALLEST.to_owned() + same)), before, "{same}");
    }
    for other in ["  shards: 64\n", "  image: other\n", "  env: [{name: A, value: b}]\n"] {
        assert_ne!(template(&(SMALLEST.to_owned() + other)), before, "{other}");
    }
}
