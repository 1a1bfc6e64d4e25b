//! Reads an `ActorCluster` from YAML and judges it as an API server would, pointing at the place of each mistake.
//!
//! The text becomes a tree that knows its places ([`source`]); the tree is held against the definition's own schema
//! ([`structure`]); then the defaults are filled in and the rules run. The rules run on well-formed objects only, so a
//! text with mistakes of both kinds shows those of structure first.

mod remedy;
mod source;
mod structure;

use kube::core::cel::{ErrorKind, ValidationError, Validator, apply_defaults};
use serde_json::Value;

use crate::ActorCluster;
use source::{Node, Place};

/// A mistake in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {field}{}{message}; {remedy}", if field.is_empty() { "" } else { " " })]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field's path, for example `spec.env[0].name`; empty if the whole text is meant.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    fn at(place: Place, field: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let Place { line, column } = place;
        Self { line, column, field: field.to_owned(), message: message.into(), remedy: remedy.into() }
    }
}

/// The one `ActorCluster` of the text, with its defaults filled in; documents of other kinds are passed over.
///
/// # Errors
/// All mistakes that could be found, in the order of their places; never an empty list.
pub fn parse(yaml: &str) -> Result<ActorCluster, Vec<Problem>> {
    let documents = source::read(yaml).map_err(|problem| vec![problem])?;
    let document = the_cluster(&documents).map_err(|problem| vec![problem])?;
    let schema = structure::whole_schema();
    sorted(structure::check(document, &schema))?;

    let mut object = apply_defaults(&schema, &document.value());
    // As on an API server, what an author says about the status does not count.
    object.as_object_mut().expect("the schema has accepted an object").remove("status");
    sorted(broken_rules(document, &schema, &object))?;
    serde_json::from_value(object).map_err(|error| {
        vec![Problem::at(document.place, "", error.to_string(), "correct the value that the message names")]
    })
}

fn sorted(mut problems: Vec<Problem>) -> Result<(), Vec<Problem>> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The only document that says it is an `ActorCluster`.
fn the_cluster(documents: &[Node]) -> Result<&Node, Problem> {
    let is_cluster = |document: &&Node| document.text("kind") == Some("ActorCluster");
    let mut clusters = documents.iter().filter(is_cluster);
    match (clusters.next(), clusters.next()) {
        (Some(cluster), None) => Ok(cluster),
        (Some(_), Some(second)) => Err(Problem::at(
            second.place,
            "",
            "this is the second ActorCluster of the text",
            "keep one ActorCluster in a file",
        )),
        (None, _) => Err(no_cluster(documents)),
    }
}

fn no_cluster(documents: &[Node]) -> Problem {
    let begin = "begin with `apiVersion: greenroom.dev/v1alpha1` and `kind: ActorCluster`";
    match documents {
        [only] => match only.text("kind") {
            Some(kind) => Problem::at(
                only.place_of("kind"),
                "kind",
                format!("is `{kind}`, not `ActorCluster`"),
                remedy::nearest(kind, ["ActorCluster"])
                    .map(remedy::did_you_mean)
                    .unwrap_or_else(|| begin.to_owned()),
            ),
            None => Problem::at(only.place, "kind", "is missing", begin),
        },
        _ => Problem::at(Place::START, "", "there is no ActorCluster in the text", begin),
    }
}

fn broken_rules(document: &Node, schema: &Value, object: &Value) -> Vec<Problem> {
    match Validator::new().validate(schema, object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| broken_rule(document, error)).collect(),
    }
}

fn broken_rule(document: &Node, error: ValidationError) -> Problem {
    // A rule at the root sees nothing of the metadata but the name.
    let field = if error.field_path.is_empty() { "metadata.name" } else { &error.field_path };
    let (message, remedy) = match error.kind {
        ErrorKind::ValidationFailure => error.message.split_once("; ").unwrap_or((&error.message, "")),
        _ => (error.message.as_str(), "this is a mistake in Greenroom's rules, please report it"),
    };
    Problem::at(document.place_of(field), field, message, remedy)
}

#[cfg(test)]
mod tests;
