//! What the server has: the aggregated document that the API server asks for each minute, and the older lists.
//!
//! Invariant: a document and its ETag depend on the program alone, so all replicas answer alike. Only `get`, `list` and
//! `watch` are advertised: a resource that could be deleted too would be adopted by the garbage collector, which keeps a
//! copy of every object, and by the deletion of namespaces.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIGroupList, APIResource, APIResourceList, GroupVersionForDiscovery, ObjectMeta,
};
use kube::core::discovery::v2::{
    APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery, APIVersionDiscovery, GroupVersionKind,
};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::Description;
use super::errors::ApiError;
use super::negotiation::{self, DiscoveryFormat};

const VERBS: [&str; 3] = ["get", "list", "watch"];

/// A document with its ETag.
#[derive(Debug, Clone)]
pub struct Document {
    content_type: HeaderValue,
    body: String,
    etag: HeaderValue,
}

impl Document {
    /// Of JSON, served as this content type.
    pub fn new(content_type: &'static str, value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value).expect("documents are made of plain values");
        let etag = HeaderValue::from_str(&format!("\"{}\"", hash(&body))).expect("a hash is plain text");
        Self { content_type: HeaderValue::from_static(content_type), body, etag }
    }

    /// A hash of the content.
    pub fn hash(&self) -> String {
        hash(&self.body)
    }

    /// The document, or 304 if the client has it.
    pub fn serve(&self, request: &HeaderMap) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let known = known
            .flat_map(|value| value.split(','))
            .any(|tag| self.etag.as_bytes() == tag.trim().trim_start_matches("W/").as_bytes());
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => Body::from(self.body.clone()).into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        if !known {
            headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        }
        response
    }
}

fn hash(body: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
    data_encoding::HEXUPPER.encode(&digest.as_ref()[..16])
}

/// All that discovery answers with, for the resources of one group and version.
#[derive(Debug, Clone)]
pub struct Discovery {
    v2: Document,
    v2beta1: Document,
    groups: Document,
    group: Document,
    resources: Document,
}

impl Discovery {
    /// Of these resources, which are all of one group and version.
    pub fn new(resources: &[&'static Description]) -> Self {
        let first = resources[0];
        let group = group(first);
        Self {
            v2: Document::new(
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                &aggregated("apidiscovery.k8s.io/v2", resources),
            ),
            v2beta1: Document::new(
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
                &aggregated("apidiscovery.k8s.io/v2beta1", resources),
            ),
            groups: Document::new("application/json", &APIGroupList { groups: vec![group.clone()] }),
            group: Document::new("application/json", &group),
            resources: Document::new("application/json", &resource_list(first, resources)),
        }
    }

    /// `GET /apis`
    pub fn root(&self, headers: &HeaderMap) -> Result<Response, ApiError> {
        Ok(match negotiation::discovery(headers)? {
            DiscoveryFormat::Aggregated("v2") => self.v2.serve(headers),
            DiscoveryFormat::Aggregated(_) => self.v2beta1.serve(headers),
            DiscoveryFormat::Groups => self.groups.serve(headers),
        })
    }

    /// `GET /apis/GROUP`
    pub fn group(&self, headers: &HeaderMap) -> Result<Response, ApiError> {
        negotiation::json(headers).map(|()| self.group.serve(headers))
    }

    /// `GET /apis/GROUP/VERSION`
    pub fn resources(&self, headers: &HeaderMap) -> Result<Response, ApiError> {
        negotiation::json(headers).map(|()| self.resources.serve(headers))
    }
}

fn verbs() -> Vec<String> {
    VERBS.map(str::to_owned).to_vec()
}

fn singular(description: &Description) -> String {
    let names = &description.crd.spec.names;
    names.singular.clone().unwrap_or_else(|| description.kind.to_lowercase())
}

fn aggregated(api_version: &str, resources: &[&Description]) -> Value {
    let first = resources[0];
    let list = APIGroupDiscoveryList {
        metadata: Some(Default::default()),
        items: vec![APIGroupDiscovery {
            metadata: Some(ObjectMeta { name: Some(first.group.to_owned()), ..ObjectMeta::default() }),
            versions: vec![APIVersionDiscovery {
                version: Some(first.version.to_owned()),
                freshness: Some("Current".to_owned()),
                resources: resources.iter().map(|resource| discovered(resource)).collect(),
            }],
        }],
    };
    let mut value = serde_json::to_value(list).expect("discovery is made of plain values");
    value["kind"] = "APIGroupDiscoveryList".into();
    value["apiVersion"] = api_version.into();
    value
}

fn discovered(description: &Description) -> APIResourceDiscovery {
    let names = &description.crd.spec.names;
    APIResourceDiscovery {
        resource: Some(description.plural.to_owned()),
        response_kind: Some(GroupVersionKind {
            group: Some(description.group.to_owned()),
            version: Some(description.version.to_owned()),
            kind: Some(description.kind.to_owned()),
        }),
        scope: Some("Namespaced".to_owned()),
        singular_resource: Some(singular(description)),
        verbs: verbs(),
        short_names: names.short_names.clone().unwrap_or_default(),
        categories: names.categories.clone().unwrap_or_default(),
        subresources: Vec::new(),
    }
}

fn group(description: &Description) -> APIGroup {
    let version = GroupVersionForDiscovery {
        group_version: description.api_version(),
        version: description.version.to_owned(),
    };
    APIGroup {
        name: description.group.to_owned(),
        preferred_version: Some(version.clone()),
        versions: vec![version],
        ..APIGroup::default()
    }
}

fn resource_list(first: &Description, resources: &[&Description]) -> APIResourceList {
    let resource = |description: &&Description| {
        let names = &description.crd.spec.names;
        APIResource {
            name: description.plural.to_owned(),
            singular_name: singular(description),
            namespaced: true,
            kind: description.kind.to_owned(),
            verbs: verbs(),
            short_names: names.short_names.clone(),
            categories: names.categories.clone(),
            ..APIResource::default()
        }
    };
    APIResourceList {
        group_version: first.api_version(),
        resources: resources.iter().map(resource).collect(),
    }
}
