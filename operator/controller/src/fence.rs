//! The fence: a write leaves this process only while the Lease is surely ours.
//!
//! A replica that was frozen for longer than the Lease lasts (SIGSTOP, a suspended machine) wakes up in the middle of
//! a reconcile while another one leads. So the check does not stand in the code that decides, where it could be
//! forgotten, but in the client, directly in front of the connection: [`Fence`] lets a changing request pass only if
//! the term that [`Leadership`] was told of has not run out on a clock that runs while the machine sleeps. What was
//! already handed to the connection when the freeze began still leaves: one request, not a reconcile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, Ready, err};
use http::{Method, Request};
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;
use tower::{BoxError, Layer, Service};

/// Time since the machine started, with the time that it slept.
pub(crate) fn boot_time() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Until when this replica may write. Shared by the loop that renews the Lease and whoever writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leadership {
    /// Milliseconds of [`boot_time`]; 0: not leading.
    until: Arc<AtomicU64>,
}

impl Leadership {
    /// Writes may leave until then, a point of [`boot_time`].
    pub(crate) fn extend(&self, until: Duration) {
        let millis = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.until.store(millis, Ordering::Release);
    }

    /// No write may leave any more.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// For how long writes may still leave.
    pub(crate) fn left(&self) -> Duration {
        Duration::from_millis(self.until.load(Ordering::Acquire)).saturating_sub(boot_time())
    }

    /// True if a write may leave now.
    pub(crate) fn holds(&self) -> bool {
        !self.left().is_zero()
    }
}

/// A write was refused because another replica may lead by now.
#[derive(Debug, Error)]
#[error("the Lease has run out here; another replica may lead")]
pub(crate) struct NotLeading;

/// The layer that refuses writes without leadership.
#[derive(Debug, Clone)]
pub(crate) struct Fence(pub(crate) Leadership);

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced { inner, leadership: self.0.clone() }
    }
}

/// See [`Fence`].
#[derive(Debug, Clone)]
pub(crate) struct Fenced<S> {
    inner: S,
    leadership: Leadership,
}

impl<S, B> Service<Request<B>> for Fenced<S>
where
    S: Service<Request<B>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<S::Future, Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if reads || self.leadership.holds() {
            Either::Left(self.inner.call(request))
        } else {
            Either::Right(err(NotLeading.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn only_reads_pass_once_the_term_has_run_out() {
        let leadership = Leadership::default();
        let server = service_fn(async |_: Request<()>| Ok::<_, BoxError>(()));
        let fenced = Fence(leadership.clone()).layer(server);
        let send = |method: Method| {
            let request = Request::builder().method(method).body(()).unwrap();
            fenced.clone().oneshot(request)
        };
        let refused = send(Method::PATCH).await.unwrap_err();
        assert!(refused.is::<NotLeading>());
        leadership.extend(boot_time() + Duration::from_secs(60));
        for method in [Method::PATCH, Method::POST, Method::PUT, Method::DELETE] {
            send(method).await.unwrap();
        }
        leadership.extend(boot_time());
        for method in [Method::PATCH, Method::POST, Method::PUT, Method::DELETE] {
            assert!(send(method).await.is_err());
        }
        send(Method::GET).await.unwrap();
    }
}
