//! How objects, lists and events are written, in each of the representations.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::Serialize;
use serde_json::{Value, json};

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

    /// A page of a list, as JSON.
    pub fn list<O: Object>(
        &self,
        items: &[O],
        version: Version,
        next: Option<&str>,
    ) -> Result<String, ApiError> {
        let metadata = ListMeta {
            resource_version: Some(version.to_string()),
            continue_: next.map(str::to_owned),
            ..ListMeta::default()
        };
        let written = match self.representation {
            // Pages are large: objects are written as they are, without a tree of values in between.
            Representation::Objects => serde_json::to_string(&List {
                kind: &format!("{}List", self.description.kind),
                api_version: &self.description.api_version(),
                metadata,
                items,
            }),
            Representation::Metadata(version) => serde_json::to_string(&List {
                kind: "PartialObjectMetadataList",
                api_version: version.api_version(),
                metadata,
                items: &items.iter().map(|item| self::metadata(&object(item), version)).collect::<Vec<_>>(),
            }),
            Representation::Table(version) => {
                let tables = self.tables(version);
                let rows = items.iter().map(|item| tables.row(item)).collect();
                serde_json::to_string(&tables.table(rows, json!(metadata)))
            }
        };
        written.map_err(|error| ApiError::internal(format!("the list cannot be written: {error}")))
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

/// A list, as all lists of Kubernetes are.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a, T> {
    kind: &'a str,
    api_version: &'a str,
    metadata: ListMeta,
    items: &'a [T],
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
pub fn json(text: String) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
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
