//! What a request is refused with: always a `Status` object, whose reason is what clients decide by.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use thiserror::Error;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub code: StatusCode,
    /// The `reason` of the Status, as Kubernetes names it.
    pub reason: &'static str,
    /// What is wrong, and after `; ` what to do.
    pub message: String,
    /// What the request was about: resource, and name if it had one.
    subject: Option<(&'static str, String, String)>,
    /// After how many seconds another try may succeed.
    retry_after: Option<u32>,
}

impl ApiError {
    fn new(code: StatusCode, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, subject: None, retry_after: None }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message.into())
    }

    /// A part of the request has a value that is not offered here.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message.into())
    }

    /// Nobody knows who asks.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message.into())
    }

    /// Who asks may not.
    pub fn forbidden(
        group: &'static str,
        resource: &str,
        name: Option<&str>,
        message: impl Into<String>,
    ) -> Self {
        let mut error = Self::new(StatusCode::FORBIDDEN, "Forbidden", message.into());
        error.subject = Some((group, resource.to_owned(), name.unwrap_or_default().to_owned()));
        error
    }

    /// There is no such object.
    pub fn not_found(group: &'static str, resource: &str, name: &str) -> Self {
        let message = format!("{resource}.{group} {name:?} not found");
        let mut error = Self::new(StatusCode::NOT_FOUND, "NotFound", message);
        error.subject = Some((group, resource.to_owned(), name.to_owned()));
        error
    }

    /// There is no such path.
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource".to_owned();
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// The path takes other methods.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource; it can be read only";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message.to_owned())
    }

    /// No representation that the client takes is offered.
    pub fn not_acceptable(offered: &str) -> Self {
        let message = format!("only the following media types are offered: {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// The place in a list or in the history is not known any more; clients list again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message.into())
    }

    /// A part that is needed does not answer now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message.into());
        error.retry_after = Some(1);
        error
    }

    /// Something failed that the client has no part in.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message.into())
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        let mut details = serde_json::Map::new();
        if let Some((group, resource, name)) = &self.subject {
            details.insert("group".into(), json!(group));
            details.insert("kind".into(), json!(resource));
            if !name.is_empty() {
                details.insert("name".into(), json!(name));
            }
        }
        if let Some(seconds) = self.retry_after {
            details.insert("retryAfterSeconds".into(), json!(seconds));
        }
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response =
            (self.code, [(header::CONTENT_TYPE, json)], self.status().to_string()).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
