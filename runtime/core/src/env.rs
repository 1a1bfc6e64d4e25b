//! Time, tasks and randomness, passed in: a node gets the real ones, the simulation virtual ones with a seed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// What code of a node may know of the world around it.
///
/// Time is tokio's, which a paused current-thread runtime makes virtual; so timeouts and sleeps need no method here.
pub trait Env: Send + Sync + 'static {
    /// The monotonic time.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// The calendar time in milliseconds since 1970, for stamps that are stored.
    fn unix_ms(&self) -> u64;

    /// 128 random bits.
    fn random(&self) -> u128;

    /// Runs a task of this node until it ends, is aborted, or the node dies.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> AbortHandle;
}

/// A shared environment.
pub type SharedEnv = Arc<dyn Env>;

/// The environment of a real process.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEnv;

impl Env for SystemEnv {
    fn unix_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self) -> u128 {
        fastrand::u128(..)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> AbortHandle {
        tokio::spawn(task).abort_handle()
    }
}
