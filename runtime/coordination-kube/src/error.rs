//! Why a node cannot speak to Kubernetes at all. Failures that pass are no errors here: they are tried again.

use thiserror::Error;

/// Why there is no connection to make.
#[derive(Debug, Error)]
pub enum KubeCoordinationError {
    /// The process was not started by Kubernetes, or without a service account.
    #[error(
        "this process is in no Kubernetes pod with a service account ({0}); set `automountServiceAccountToken: true`, or \
         use another coordination service"
    )]
    NotInAPod(String),
    /// The connection's settings are wrong.
    #[error("cannot make a connection to the API server ({0}); check its address and certificates")]
    Connection(String),
}

impl KubeCoordinationError {
    pub(crate) fn not_in_a_pod(error: impl std::error::Error) -> Self {
        Self::NotInAPod(in_full(&error))
    }

    pub(crate) fn connection(error: impl std::error::Error) -> Self {
        Self::Connection(in_full(&error))
    }
}

/// An error with its causes: the reason of a failed connection often stands only in the innermost.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
