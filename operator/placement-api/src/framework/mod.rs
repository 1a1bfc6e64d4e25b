//! An aggregated API server for resources that live in memory, not in etcd.
//!
//! A resource is one file: a type with `#[derive(CustomResource)]`, as for a CRD, and a [`VirtualResource`] that finds its
//! objects. Names, columns, selectable fields and schema are all read from the derived description, so `kubectl get`,
//! `-o wide`, `--field-selector`, `explain`, `describe` and `-w` work as for a custom resource. Resources can be read,
//! not written: they advertise `get`, `list` and `watch`, and nothing adopts, deletes or counts them.
//!
//! The way of a request: TLS (`server`), who asks (`security::authentication`), which path ([`handlers`]), may they
//! (`security::authorization`), what is selected ([`selection`]), the resource, and how it is written ([`answer`]).
//!
//! **Versions.** A `resourceVersion` is a moment ([`Version`]). The promise that a resource makes with the version of a
//! list, and with that of each event: a watch from there shows every change that was not shown. It may repeat some.

pub mod answer;
pub mod continuation;
pub mod discovery;
pub mod errors;
pub mod handlers;
pub mod negotiation;
pub mod openapi;
pub mod query;
pub mod selection;
pub mod table;
pub mod version;
pub mod watch;

use std::future::Future;

use futures_util::stream::BoxStream;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use errors::ApiError;
pub use selection::Selection;
pub use version::Version;

/// An object of a virtual resource: namespaced, described as a custom resource is.
///
/// The description must have one version, a schema, and printer columns and selectable fields with plain paths such as
/// `.spec.type`. Objects have no owner references, which the garbage collector would act upon.
pub trait Object:
    CustomResourceExt + kube::Resource<DynamicType = ()> + Serialize + Clone + Send + Sync + 'static
{
    /// The value of a selectable field, named without the leading dot; `None` if the object has none.
    fn field(&self, name: &str) -> Option<String>;
}

/// Where the objects of a resource are found.
pub trait VirtualResource: Send + Sync + 'static {
    /// What it serves.
    type Object: Object;
    /// Where a list goes on. It is signed, not hidden: it must tell only what its reader may know.
    type Cursor: Serialize + DeserializeOwned + Send;

    /// One object; `None` only if it is certain that there is none.
    fn get(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<Self::Object>, ApiError>> + Send;

    /// The selected objects from a place on, always in the same order, at most `limit`. Fewer are allowed, even none,
    /// where a selector leaves out much: the page then says where to go on.
    fn list(
        &self,
        selection: &Selection,
        from: From<Self::Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Self::Object, Self::Cursor>, ApiError>> + Send;

    /// What comes and goes. Dropping the stream ends the watch.
    fn watch(
        &self,
        selection: Selection,
        since: Since,
    ) -> impl Future<Output = Result<Watched<Self::Object>, ApiError>> + Send;
}

/// Where a page begins.
pub enum From<C> {
    /// At the beginning.
    Start,
    /// After a page of the list with this version.
    After(Version, C),
}

/// A page of a list.
pub struct Page<O, C> {
    /// The objects.
    pub items: Vec<O>,
    /// The version of the list; every page of it has the same.
    pub version: Version,
    /// Where to go on, unless this was the last page.
    pub next: Option<C>,
    /// What the reader should know, such as who did not answer.
    pub warnings: Vec<String>,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With all objects that are there now, as added; then [`Event::Initial`] and what changes.
    Now,
    /// With what changed after this version.
    Version(Version),
}

/// A watch that has begun.
pub struct Watched<O> {
    /// What the reader should know.
    pub warnings: Vec<String>,
    /// What happens. It ends with the first error; [`ApiError::expired`] sends the client back to a list.
    pub events: BoxStream<'static, Result<Event<O>, ApiError>>,
}

/// What a watch tells. Each object carries the version from which a watch may go on after it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<O> {
    /// It is there now.
    Added(O),
    /// It is not there any more; as it was.
    Deleted(O),
    /// All that was there when the watch began has been told.
    Initial(Version),
    /// Everything up to this version has been told.
    Progress(Version),
}

/// What the derived description says about a resource.
#[derive(Debug, Clone)]
pub struct Description {
    /// As one would write it for a CRD.
    pub crd: CustomResourceDefinition,
    /// The group, such as `placement.greenroom.dev`.
    pub group: &'static str,
    /// The version, such as `v1alpha1`.
    pub version: &'static str,
    /// The plural, as in paths.
    pub plural: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The fields that may be selected by.
    pub fields: Vec<&'static str>,
}

impl Description {
    /// Of a resource's objects.
    pub fn of<O: Object>() -> &'static Self {
        let crd = O::crd();
        let selectable = crd.spec.versions[0].selectable_fields.iter().flatten();
        let mut fields = vec!["metadata.name", "metadata.namespace"];
        // Descriptions are made once per resource and live as long as the program.
        fields.extend(selectable.map(|field| leak(field.json_path.trim_start_matches('.'))));
        Box::leak(Box::new(Self {
            group: leak(&O::group(&())),
            version: leak(&O::version(&())),
            plural: leak(&O::plural(&())),
            kind: leak(&O::kind(&())),
            fields,
            crd,
        }))
    }

    /// `GROUP/VERSION`
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}
