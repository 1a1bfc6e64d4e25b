//! Why the API server did not do what it was asked, and what to do about it.

use std::future::Future;
use std::time::Duration;

use thiserror::Error;

use crate::cluster::innermost;
use crate::failure::Failure;

/// How long the API server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the API server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ApiError {
    /// The user has not got the right.
    #[error("{0}")]
    Forbidden(String),
    /// The API server does not know who the user is.
    #[error("{0}")]
    Unauthorized(String),
    /// There is no such object.
    #[error("{0}")]
    NoObject(String),
    /// There are no such objects at all: their definition is not installed.
    #[error("it has no such resource")]
    NoResource,
    /// It did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// It cannot be reached, or has a trouble of its own.
    #[error("{0}")]
    Other(String),
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else { return Self::Other(innermost(&error)) };
        let names_an_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
        match status.code {
            401 => Self::Unauthorized(status.message),
            403 => Self::Forbidden(status.message),
            404 if names_an_object => Self::NoObject(status.message),
            404 => Self::NoResource,
            _ => Self::Other(status.message),
        }
    }
}

/// Something that the API server is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    /// What it is, behind "you may not" and "cannot".
    pub(crate) what: String,
    /// The right that it needs.
    pub(crate) right: String,
}

impl Deed {
    /// The failure of a command that needs it done.
    pub(crate) fn failure(&self, error: &ApiError) -> Failure {
        match error {
            ApiError::Forbidden(message) => Failure::new(format!("you may not {}", self.what))
                .details(format!("  {message}"))
                .hint(format!("ask for the right to {}", self.right)),
            ApiError::Unauthorized(_) => Failure::new("the API server does not know who you are")
                .hint("log in again, or choose another context with --context"),
            ApiError::NoResource => Failure::new(format!("cannot {}: {error}", self.what))
                .hint("is Greenroom installed there? If not: helm install greenroom charts/greenroom")
                .hint("or choose another context with --context; `kubectl config get-contexts` lists them"),
            ApiError::NoObject(_) | ApiError::Timeout(_) | ApiError::Other(_) => {
                Failure::new(format!("cannot {}: {error}", self.what))
                    .hint("is it the right context? `kubectl config get-contexts` lists them")
            }
        }
    }
}

/// Awaits a request, but not for ever.
pub(crate) async fn answer<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    within(ANSWER_TIMEOUT, request).await
}

/// Awaits a request for so long.
pub(crate) async fn within<T>(
    time: Duration,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(time, request).await {
        Ok(answer) => answer.map_err(ApiError::from),
        Err(_elapsed) => Err(ApiError::Timeout(time)),
    }
}
