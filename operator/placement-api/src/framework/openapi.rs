//! OpenAPI v3, for `kubectl explain`: the schemas of the resources' descriptions, and the paths that lead to them.
//!
//! `explain` looks for a path whose `get` has the group, version and kind it wants, and then for the component schema
//! with the same.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::Description;
use super::discovery::Document;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The index of the documents, and the one document.
#[derive(Debug, Clone)]
pub struct OpenApi {
    /// `GET /openapi/v3`
    pub index: Document,
    /// `GET /openapi/v3/apis/GROUP/VERSION`
    pub document: Document,
}

impl OpenApi {
    /// Of these resources, which are all of one group and version.
    pub fn new(resources: &[&'static Description]) -> Self {
        let document = Document::new("application/json", &document(resources));
        let path = format!("apis/{}", resources[0].api_version());
        let url = format!("/openapi/v3/{path}?hash={}", document.hash());
        let index = json!({ "paths": { path: { "serverRelativeURL": url } } });
        Self { index: Document::new("application/json", &index), document }
    }
}

fn document(resources: &[&Description]) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    schemas.insert(OBJECT_META.to_owned(), object_meta());
    for resource in resources {
        let base = format!("/apis/{}", resource.api_version());
        let (plural, list) = (resource.plural, list_name(resource));
        let name = schema_name(resource);
        let operations = [
            (format!("{base}/{plural}"), "list", &list),
            (format!("{base}/namespaces/{{namespace}}/{plural}"), "list", &list),
            (format!("{base}/namespaces/{{namespace}}/{plural}/{{name}}"), "get", &name),
        ];
        for (path, action, schema) in operations {
            paths.insert(path.clone(), path_item(resource, &path, action, schema));
        }
        schemas.insert(list.clone(), list_schema(resource, &name));
        schemas.insert(name, object_schema(resource));
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Greenroom", "version": "unversioned" },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn schema_name(resource: &Description) -> String {
    let reversed: Vec<&str> = resource.group.split('.').rev().collect();
    format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
}

fn list_name(resource: &Description) -> String {
    format!("{}List", schema_name(resource))
}

fn gvk(resource: &Description, suffix: &str) -> Value {
    let kind = format!("{}{suffix}", resource.kind);
    json!({ "group": resource.group, "version": resource.version, "kind": kind })
}

fn path_item(resource: &Description, path: &str, action: &str, schema: &str) -> Value {
    let parameter = |name: &str| {
        let schema = json!({ "type": "string", "uniqueItems": true });
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    };
    let inside = ["namespace", "name"].into_iter().filter(|name| path.contains(&format!("{{{name}}}")));
    let parameters: Vec<Value> = inside.map(parameter).collect();
    let scope = if path.contains("{namespace}") { "Namespaced" } else { "ForAllNamespaces" };
    let id = format!("{action}{}{}{scope}", resource.version, resource.kind);
    json!({
        "get": {
            "tags": ["placement_v1alpha1"],
            "description": format!("{action} objects of kind {}", resource.kind),
            "operationId": id,
            "responses": {
                "200": { "description": "OK", "content": { "application/json": { "schema": reference(schema) } } },
            },
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(resource, ""),
        },
        "parameters": parameters,
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn object_schema(resource: &Description) -> Value {
    let version = &resource.crd.spec.versions[0];
    let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let mut schema = serde_json::to_value(schema).expect("a schema is made of plain values");
    let api_version = "APIVersion defines the versioned schema of this representation of an object.";
    let kind = "Kind is a string value representing the REST resource this object represents.";
    schema["properties"]["apiVersion"] = json!({ "type": "string", "description": api_version });
    schema["properties"]["kind"] = json!({ "type": "string", "description": kind });
    schema["properties"]["metadata"] = json!({
        "description": "Standard object's metadata.",
        "allOf": [reference(OBJECT_META)],
        "default": {},
    });
    schema["x-kubernetes-group-version-kind"] = json!([gvk(resource, "")]);
    schema
}

fn list_schema(resource: &Description, item: &str) -> Value {
    json!({
        "type": "object",
        "description": format!("A list of {}.", resource.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "items": { "type": "array", "items": { "allOf": [reference(item)], "default": {} } },
        },
        "x-kubernetes-group-version-kind": [gvk(resource, "List")],
    })
}

/// The schema of metadata, with what it refers to written in place.
fn object_meta() -> Value {
    let generator = schemars::generate::SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator();
    let mut schema = generator.into_root_schema_for::<ObjectMeta>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("components");
        schema.remove("title");
    }
    schema
}
