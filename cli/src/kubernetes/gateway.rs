//! The way of calls: to the gateway port of any pod that is ready.
//!
//! Each connection goes to the next pod, and on to the one after if that cannot be reached; so whoever connects again
//! after a break meets another pod. Which pods are ready is asked anew each time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use greenroom_crds::names;
use thiserror::Error;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::api::{ApiError, Deed};
use super::forward::Forward;
use super::pods::Pods;
use crate::failure::Failure;

/// The pods as clients see them.
pub(crate) struct GatewayPods {
    pods: Pods,
    /// Which of the ready pods is next.
    turn: AtomicUsize,
    /// Set once the user is known to lack a right: trying again is of no use.
    hopeless: watch::Sender<Option<Failure>>,
}

/// Why no connection came about.
#[derive(Debug, Error)]
pub(crate) enum GatewayError {
    /// The pods could not be listed.
    #[error("cannot list the pods: {0}")]
    List(ApiError),
    /// None serves calls now.
    #[error("no pod of the cluster is ready")]
    NoneReady,
    /// None could be reached; this is what the last one met.
    #[error("cannot reach {pod}: {error}")]
    Unreachable {
        /// The last pod.
        pod: String,
        /// Why.
        error: ApiError,
    },
}

impl GatewayPods {
    pub(super) fn new(pods: Pods) -> Self {
        // Commands that run one after the other, each for one call, do not all begin with the first pod.
        let turn = AtomicUsize::new(std::process::id() as usize);
        Self { pods, turn, hopeless: watch::Sender::new(None) }
    }

    /// A connection to the gateway of a pod that is ready, and the pod's name.
    pub(crate) async fn connect(&self) -> Result<(String, Forward), GatewayError> {
        let pods = self.pods.now().await.map_err(|error| {
            self.noticed(&self.pods.listing(), &error);
            GatewayError::List(error)
        })?;
        let mut ready: Vec<_> = pods.into_iter().filter(|pod| pod.ready).map(|pod| pod.name).collect();
        if ready.is_empty() {
            return Err(GatewayError::NoneReady);
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % ready.len();
        ready.rotate_left(first);
        let mut failed = GatewayError::NoneReady;
        for pod in ready {
            match self.pods.forward(&pod, names::GATEWAY_PORT.1).await {
                Ok(forward) => return Ok((pod, forward)),
                Err(error) => {
                    self.noticed(&self.pods.forwarding(), &error);
                    failed = GatewayError::Unreachable { pod, error };
                }
            }
        }
        Err(failed)
    }

    /// Waits until it is known that the user lacks a right that every connection needs.
    pub(crate) async fn hopeless(&self) -> Failure {
        let mut hopeless = self.hopeless.subscribe();
        let failure = hopeless.wait_for(Option::is_some).await;
        failure
            .ok()
            .and_then(|failure| failure.clone())
            .expect("its sender lives here, and it was waited for")
    }

    fn noticed(&self, deed: &Deed, error: &ApiError) {
        if matches!(error, ApiError::Forbidden(_) | ApiError::Unauthorized(_)) {
            self.hopeless.send_replace(Some(deed.failure(error)));
        }
    }
}

/// A channel to the gateways, a pod at a time.
pub(super) fn channel(pods: &Arc<GatewayPods>) -> Channel {
    let pods = pods.clone();
    super::channel::lazy(move || {
        let pods = pods.clone();
        async move { pods.connect().await.map(|(_, forward)| forward).map_err(io::Error::other) }
    })
}
