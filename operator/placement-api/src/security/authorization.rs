//! Whether somebody may: asked of the API server with a SubjectAccessReview, so that ordinary Roles decide.
//!
//! Answers are remembered for [`ALLOWED`] and [`DENIED`]. If the API server does not answer, nobody may.

use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, ResourceAttributes, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldSelectorRequirement, LabelSelector};
use kube::api::PostParams;
use kube::core::Selector;
use kube::{Api, Client};

use super::authentication::User;
use crate::cache::Cache;
use crate::framework::errors::ApiError;
use crate::framework::selection::Requirement;

/// How long a yes is remembered.
pub const ALLOWED: Duration = Duration::from_secs(10);
/// How long a no is remembered.
pub const DENIED: Duration = Duration::from_secs(10);
/// How long the API server may take.
pub const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers that are remembered.
const ANSWERS: usize = 8_192;

/// The group that may do everything, so that an outage of reviews never locks the last one out.
const MASTERS: &str = "system:masters";

/// What somebody wants to do.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    /// `get`, `list` or `watch`.
    pub verb: &'static str,
    /// The group of the resource.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its plural.
    pub resource: &'static str,
    /// `None`: in all namespaces.
    pub namespace: Option<&'a str>,
    /// The name of the object, if it is about one.
    pub name: Option<&'a str>,
    /// What a list is narrowed to by fields: an authorizer may allow no more.
    pub fields: &'a [Requirement],
    /// What a list is narrowed to by labels.
    pub labels: &'a Selector,
}

/// An answer, with the reason that the API server gave.
#[derive(Debug, Clone)]
struct Answer {
    allowed: bool,
    reason: String,
}

/// Decides by asking the API server.
pub struct Authorizer {
    client: Client,
    answers: Cache<(User, String), Answer>,
}

impl Authorizer {
    /// Asks `client`.
    pub fn new(client: Client) -> Self {
        Self { client, answers: Cache::new(ANSWERS) }
    }

    /// Refuses with 403 unless the user may.
    pub async fn authorize(&self, user: &User, wanted: &Attributes<'_>) -> Result<(), ApiError> {
        if user.groups.iter().any(|group| group == MASTERS) {
            return Ok(());
        }
        let key = (user.clone(), format!("{wanted:?}"));
        let answer = match self.answers.get(&key, Instant::now()) {
            Some(answer) => answer,
            None => {
                let answer = self.review(user, wanted).await?;
                let lifetime = if answer.allowed { ALLOWED } else { DENIED };
                self.answers.put(key, answer.clone(), Instant::now() + lifetime);
                answer
            }
        };
        if answer.allowed { Ok(()) } else { Err(forbidden(user, wanted, &answer.reason)) }
    }

    async fn review(&self, user: &User, wanted: &Attributes<'_>) -> Result<Answer, ApiError> {
        let review = SubjectAccessReview { spec: spec(user, wanted), ..SubjectAccessReview::default() };
        let api = Api::<SubjectAccessReview>::all(self.client.clone());
        let reviewed = tokio::time::timeout(REVIEW_TIMEOUT, api.create(&PostParams::default(), &review))
            .await
            .map_err(|_| "it did not answer in time".to_owned())
            .and_then(|created| created.map_err(|error| error.to_string()))
            .map_err(|why| {
                ApiError::unavailable(format!(
                    "the API server did not say whether this is allowed: {why}; try again"
                ))
            })?;
        let status = reviewed.status.unwrap_or_default();
        let allowed = status.allowed && status.denied != Some(true);
        Ok(Answer { allowed, reason: status.reason.unwrap_or_default() })
    }
}

fn forbidden(user: &User, wanted: &Attributes<'_>, reason: &str) -> ApiError {
    let Attributes { verb, group, resource, .. } = *wanted;
    let place = match wanted.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let name = wanted.name.map(|name| format!(" {name:?}")).unwrap_or_default();
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let message = format!(
        "{resource}.{group}{name} is forbidden: User {:?} cannot {verb} resource {resource:?} in API group {group:?} {place}{reason}",
        user.name
    );
    ApiError::forbidden(group, resource, wanted.name, message)
}

fn spec(user: &User, wanted: &Attributes<'_>) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: user.uid.clone(),
        groups: Some(user.groups.clone()),
        extra: Some(user.extra.clone()).filter(|extra| !extra.is_empty()),
        resource_attributes: Some(ResourceAttributes {
            verb: Some(wanted.verb.to_owned()),
            group: Some(wanted.group.to_owned()),
            version: Some(wanted.version.to_owned()),
            resource: Some(wanted.resource.to_owned()),
            namespace: wanted.namespace.map(str::to_owned),
            name: wanted.name.map(str::to_owned),
            field_selector: fields(wanted.fields),
            label_selector: labels(wanted.labels),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

fn fields(requirements: &[Requirement]) -> Option<FieldSelectorAttributes> {
    let requirement = |r: &Requirement| FieldSelectorRequirement {
        key: r.field.clone(),
        operator: if r.equal { "In" } else { "NotIn" }.to_owned(),
        values: Some(vec![r.value.clone()]),
    };
    let requirements: Vec<_> = requirements.iter().map(requirement).collect();
    (!requirements.is_empty())
        .then(|| FieldSelectorAttributes { requirements: Some(requirements), ..Default::default() })
}

fn labels(selector: &Selector) -> Option<LabelSelectorAttributes> {
    if selector.selects_all() {
        return None;
    }
    let selector = LabelSelector::from(selector.clone());
    let equal = selector.match_labels.unwrap_or_default().into_iter().map(|(key, value)| {
        k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement {
            key,
            operator: "In".to_owned(),
            values: Some(vec![value]),
        }
    });
    let requirements = equal.chain(selector.match_expressions.unwrap_or_default()).collect();
    Some(LabelSelectorAttributes { requirements: Some(requirements), ..Default::default() })
}
