//! Which objects a request is about: a namespace, label and field selectors.
//!
//! The grammar is that of the API server, including the escapes of field selectors (`\,`, `\=`, `\\`): an actor's key may
//! hold any character. What does not parse, or names an unknown field, is refused; nothing is ignored.

mod fields;
mod labels;

pub use fields::{FieldSelector, Requirement};
use kube::core::{Selector, SelectorExt};

use super::Object;
use super::errors::ApiError;

/// What a list or watch selects.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only this namespace; `None`: all.
    pub namespace: Option<String>,
    /// By label.
    pub labels: Selector,
    /// By field.
    pub fields: FieldSelector,
}

impl Selection {
    /// Reads the selectors of a request. `known` are the fields that may be selected by.
    pub fn parse(
        namespace: Option<String>,
        labels: &str,
        fields: &str,
        known: &[&str],
    ) -> Result<Self, ApiError> {
        Ok(Self { namespace, labels: labels::parse(labels)?, fields: FieldSelector::parse(fields, known)? })
    }

    /// The namespace, if the selection is of one: by the path or by field.
    pub fn only_namespace(&self) -> Option<&str> {
        self.namespace.as_deref().or_else(|| self.fields.exactly("metadata.namespace"))
    }

    /// Whether every object of the namespace is selected.
    pub fn is_whole(&self) -> bool {
        self.fields.requirements().is_empty() && self.labels.selects_all()
    }

    /// Whether the object is selected.
    pub fn matches<O: Object>(&self, object: &O) -> bool {
        let meta = object.meta();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        if self.namespace.as_deref().is_some_and(|wanted| wanted != namespace) {
            return false;
        }
        let field = |name: &str| match name {
            "metadata.name" => meta.name.clone().unwrap_or_default(),
            "metadata.namespace" => namespace.to_owned(),
            name => object.field(name).unwrap_or_default(),
        };
        let empty = Default::default();
        self.fields.matches(field)
            && (self.labels.selects_all() || self.labels.matches(meta.labels.as_ref().unwrap_or(&empty)))
    }

    /// The same text for the same selection, to tell whether a list goes on with what it began with.
    pub fn canonical(&self) -> String {
        format!("{:?}\n{}\n{}", self.namespace, self.labels, self.fields)
    }
}
