//! Why a step did not succeed. The category is stable: metrics, events and conditions carry it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::fence::NotLeading;

/// Why something could not be done.
#[derive(Debug, Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("{what}: {source}")]
    Api {
        /// What was being done.
        what: String,
        /// What came back.
        source: Box<kube::Error>,
    },
    /// A certificate or key cannot be made or read.
    #[error("certificates: {0}")]
    Certificates(String),
    /// A node could not be asked.
    #[error("node {pod}: {problem}")]
    Node {
        /// Its pod.
        pod: String,
        /// What is wrong.
        problem: String,
    },
    /// Another replica leads, or may lead by now.
    #[error("this replica does not lead any more")]
    NotLeading,
    /// The reconcile took too long.
    #[error("the reconcile was stopped after {0:?}; it goes on where it was")]
    TimedOut(Duration),
    /// The operator cannot start.
    #[error("{0}")]
    Start(String),
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    /// The API server could not be reached, or did not answer in time.
    ApiUnreachable,
    /// The operator lacks a right.
    Forbidden,
    /// An object changed at the same time; the next attempt sees the change.
    Conflict,
    /// The API server does not accept an object.
    Invalid,
    /// Any other refusal of the API server.
    ApiError,
    /// The certificate authority or a certificate.
    Certificates,
    /// A node did not answer when something had to be done by it.
    Node,
    /// Leadership was lost in between.
    NotLeading,
    /// The reconcile took longer than it may.
    TimedOut,
}

impl Category {
    /// Every category, with its meaning.
    pub const ALL: &[(Self, &str)] = &[
        (Self::ApiUnreachable, "The API server could not be reached, or did not answer in time."),
        (Self::Forbidden, "The operator lacks a right; compare its roles with the chart's."),
        (Self::Conflict, "An object changed at the same time; the next attempt sees the change."),
        (
            Self::Invalid,
            "The API server does not accept an object, for example by a quota or an admission policy.",
        ),
        (Self::ApiError, "Any other refusal of the API server."),
        (Self::Certificates, "The certificate authority or a certificate cannot be made or read."),
        (Self::Node, "A node did not do what it was asked."),
        (Self::NotLeading, "Leadership was lost in between; the other replica goes on."),
        (Self::TimedOut, "The reconcile took longer than a minute; it goes on where it was."),
    ];

    /// True if trying again does not help: a person must change something.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::Forbidden | Self::Invalid | Self::ApiError | Self::Certificates)
    }

    /// Its name in metrics, events and conditions.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiUnreachable => "ApiUnreachable",
            Self::Forbidden => "Forbidden",
            Self::Conflict => "Conflict",
            Self::Invalid => "Invalid",
            Self::ApiError => "ApiError",
            Self::Certificates => "Certificates",
            Self::Node => "NodeFailed",
            Self::NotLeading => "NotLeading",
            Self::TimedOut => "TimedOut",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Error {
    /// For `map_err`: says what was being done, and tells a closed fence from the API server's refusals.
    pub(crate) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        |source| match &source {
            kube::Error::Service(inner) if inner.is::<NotLeading>() => Self::NotLeading,
            _ => Self::Api { what: what.into(), source: Box::new(source) },
        }
    }

    /// What kind of failure it is.
    pub fn category(&self) -> Category {
        match self {
            Self::Api { source, .. } => match status_code(source) {
                None => Category::ApiUnreachable,
                Some(401 | 403) => Category::Forbidden,
                Some(409) => Category::Conflict,
                Some(400 | 422) => Category::Invalid,
                Some(_) => Category::ApiError,
            },
            Self::Certificates(_) | Self::Start(_) => Category::Certificates,
            Self::Node { .. } => Category::Node,
            Self::NotLeading => Category::NotLeading,
            Self::TimedOut(_) => Category::TimedOut,
        }
    }

    /// True if the namespace is going away: nothing can be made in it, and nothing needs to be.
    pub(crate) fn namespace_is_terminating(&self) -> bool {
        let Self::Api { source, .. } = self else { return false };
        let kube::Error::Api(status) = &**source else { return false };
        let caused = |details: &kube::core::response::StatusDetails| {
            details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
        };
        status.code == 403 && status.details.as_ref().is_some_and(caused)
    }
}

/// The HTTP status of an answer; `None` if there was none.
pub(crate) fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
