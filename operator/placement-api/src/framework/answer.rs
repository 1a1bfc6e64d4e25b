//! How objects, lists and events are written, in each of the representations.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::errors::ApiError;
use super::negotiation::{MetaVersion, Representation};
use super::query::IncludeObject;
use super::table::Tables;
use super::version::Version;
use super::{Description, Object};

/// Writes the objects of one resource for one client.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// The resource.
    pub description: &'static Description,
    /// How the client wants them.
    pub representation: Representation,
    /// What rows of a table carry.
    pub include: IncludeObject,
}

impl Writer {
    /// One object.
    pub fn one<O: Object>(&self, it: &O) -> Value {
        match self.representation {
            Representation::Objects => object(it),
            Representation::Metadata(version) => metadata(&object(it), version),
            Representation::Table(version) => {
                let resource_version = it.meta().resource_version.clone().unwrap_or_default();
                let tables = self.tables(version);
                tables.table(vec![tables.row(it)], json!({ "resourceVersion": resource_version }))
            }
        }
    }

    /// A page of a list.
    pub fn list<O: Object>(&self, items: &[O], version: Version, next: Option<&str>) -> Value {
        let mut meta = Map::from_iter([("resourceVersion".to_owned(), json!(version.to_string()))]);
        if let Some(next) = next {
            meta.insert("continue".to_owned(), json!(next));
        }
        let list = |api_version: &str, kind: &str, items: Vec<Value>| json!({ "kind": kind, "apiVersion": api_version, "metadata": meta.clone(), "items": items });
        match self.representation {
            Representation::Objects => {
                let kind = format!("{}List", self.description.kind);
                list(&self.description.api_version(), &kind, items.iter().map(object).collect())
            }
            Representation::Metadata(version) => {
                let items = items.iter().map(|item| metadata(&object(item), version)).collect();
                list(version.api_version(), "PartialObjectMetadataList", items)
            }
            Representation::Table(version) => {
                let tables = self.tables(version);
                let rows = items.iter().map(|item| tables.row(item)).collect();
                tables.table(rows, Value::Object(meta))
            }
        }
    }

    /// The object of a bookmark: it has a version, and nothing else.
    pub fn bookmark(&self, version: Version, annotations: Value) -> Value {
        let mut meta = json!({ "resourceVersion": version.to_string() });
        if !annotations.is_null() {
            meta["annotations"] = annotations;
        }
        let (kind, api_version) = match self.representation {
            Representation::Metadata(version) => ("PartialObjectMetadata", version.api_version().to_owned()),
            _ => (self.description.kind, self.description.api_version()),
        };
        let object = json!({ "kind": kind, "apiVersion": api_version, "metadata": meta });
        match self.representation {
            Representation::Table(of) => {
                let tables = self.tables(of);
                tables
                    .table(vec![tables.empty_row(object)], json!({ "resourceVersion": version.to_string() }))
            }
            _ => object,
        }
    }

    fn tables(&self, version: MetaVersion) -> Tables<'_> {
        Tables { description: self.description, version, include: self.include, now: Timestamp::now() }
    }
}

/// The object as it is.
pub fn object<O: Object>(object: &O) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Only its metadata.
pub fn metadata(object: &Value, version: MetaVersion) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": version.api_version(),
        "metadata": object["metadata"],
    })
}

/// An answer of JSON.
pub fn json(value: &Value) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], value.to_string()).into_response()
}

/// Adds what the reader should know, as kubectl prints it.
pub fn warn(headers: &mut HeaderMap, warnings: &[String]) {
    const WARNING: HeaderName = HeaderName::from_static("warning");
    for warning in warnings {
        let printable = |c: &char| matches!(c, ' '..='~');
        let text: String = warning.chars().filter(printable).collect();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            headers.append(WARNING, value);
        }
    }
}

/// The event of a watch that failed.
pub fn error_event(error: &ApiError) -> Value {
    json!({ "type": "ERROR", "object": error.status() })
}
