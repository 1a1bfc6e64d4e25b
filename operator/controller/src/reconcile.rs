//! The reconcile: observe → plan → apply → status, for one cluster at a time, several clusters at once.
//!
//! kube's `applier` does the queueing: one run per cluster at a time, what happens meanwhile is collected, and what comes
//! within [`DEBOUNCE`] is one run. It gets its triggers from the caches only, whose watches have tasks of their own.
//!
//! A run may be stopped between any two requests, and nothing of it is remembered but hints: the next run observes anew.
//! A failure delays that cluster's next run, longer each time, and delays no other.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt, stream};
use greenroom_crds::ActorCluster;
use greenroom_operator_plan::observed::Settings;
use greenroom_operator_plan::plan;
use greenroom_operator_plan::status::refused;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Config, applier};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

use crate::apply::{Outcome, apply};
use crate::certificates::Certificates;
use crate::client::Clients;
use crate::error::{Category, Error};
use crate::events::Events;
use crate::leader::Leader;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::observe::observe;
use crate::rolls::Rolls;
use crate::status;
use crate::telemetry::TRACE_TARGET;
use crate::watches::{Caches, ClusterRef};

/// Events that come together are one run.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Clusters that are reconciled at the same time, per scope.
const CONCURRENCY: u16 = 8;
/// How long a run may take.
const RECONCILE_TIME: Duration = Duration::from_secs(60);
/// The longest pause between two looks at a cluster in which nothing happens: its nodes are asked, nothing is written.
const IDLE: Duration = Duration::from_secs(15);
/// When to look again at what had to wait.
const WAIT: Duration = Duration::from_secs(2);
/// When to look whether the cache has seen our own write.
const CATCH_UP: Duration = Duration::from_millis(100);
/// How long the first failure delays a cluster's next run, and the most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// What a reconcile works with.
pub(crate) struct Context {
    pub(crate) caches: Arc<Caches>,
    pub(crate) clients: Clients,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) leader: Leader,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) rolls: Rolls,
    pub(crate) failures: Failures,
}

/// Reconciles the clusters of a scope until `stop`, then finishes the runs that have begun. Dropping it stops them.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    context.caches.mark_all();
    let config = Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY);
    let triggers =
        triggers(context.caches.clone()).take_until(stop.cancelled_owned()).map(Ok::<_, Infallible>);
    let clusters = context.caches.clusters.clone();
    let reconcile = |cluster, context| reconcile(cluster, context).boxed();
    applier(reconcile, after_failure, context.clone(), clusters, triggers, config)
        .for_each(async |ended| match ended {
            Err(controller::Error::ObjectNotFound(gone)) => {
                context.forget(&ObjectRef::new(&gone.name).within(&gone.namespace.unwrap_or_default()));
            }
            Err(error) => debug!(%error, "a reconcile failed and is repeated"),
            Ok(_) => {}
        })
        .await;
}

fn triggers(caches: Arc<Caches>) -> impl Stream<Item = ClusterRef> {
    stream::unfold(caches, async |caches| {
        let clusters = caches.dirty.take().await;
        Some((stream::iter(clusters), caches))
    })
    .flatten()
}

/// One run, timed and counted; its failure is told.
async fn reconcile(cluster: Arc<ActorCluster>, context: Arc<Context>) -> Result<Action, Error> {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let span = info_span!(target: TRACE_TARGET, "reconcile", namespace, cluster = name);
    async {
        let started = Instant::now();
        let run = tokio::time::timeout(RECONCILE_TIME, once(&cluster, &context)).await;
        let ended = run.unwrap_or(Err(Error::TimedOut(RECONCILE_TIME)));
        let metrics = &context.metrics;
        metrics.reconciles.with_label_values::<&str>(&[]).inc();
        metrics.duration.with_label_values::<&str>(&[]).observe(started.elapsed().as_secs_f64());
        match ended {
            Err(Error::NotLeading) => {
                debug!("stopped: this replica does not lead any more");
                Ok(Action::await_change())
            }
            Err(error) if error.namespace_is_terminating() => Ok(context.wait("NamespaceTerminating", IDLE)),
            Err(error) => {
                metrics.failures.with_label_values(&[error.category().name()]).inc();
                tell_failure(&cluster, &context, &error).await;
                Err(error)
            }
            Ok(action) => {
                context.failures.over(&ObjectRef::from_obj(&cluster));
                Ok(action)
            }
        }
    }
    .instrument(span)
    .await
}

async fn once(cluster: &ActorCluster, context: &Context) -> Result<Action, Error> {
    if cluster.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let reference = ObjectRef::from_obj(cluster);
    if context.caches.behind(&reference).is_some() {
        return Ok(context.wait("CacheBehind", CATCH_UP));
    }
    context.nodes.identify(context.certificates.own().await?);
    context.certificates.ensure_cluster(cluster).await?;

    let observed = observe(cluster, &context.caches, &context.nodes).await;
    context.rolls.look(&reference, &observed, &context.metrics);
    let plan = plan(&observed, &context.settings, Timestamp::now());
    if let Outcome::Wait(reason) = apply(cluster, plan.steps, context).await? {
        return Ok(context.wait(reason, WAIT));
    }
    status::write(&context.clients.writer, &context.caches, cluster, &plan.status).await?;
    for event in &plan.events {
        context.events.tell(cluster, event).await;
    }
    Ok(Action::requeue(plan.again_after.min(IDLE)))
}

/// Says once that the cluster is not carried out, and why: as an event and, where only a person can help, in the status.
async fn tell_failure(cluster: &ActorCluster, context: &Context, error: &Error) {
    let (category, message) = (error.category(), error.to_string());
    let news = context.failures.failed(&ObjectRef::from_obj(cluster), category);
    if !news || category == Category::ApiUnreachable {
        warn!(category = category.name(), "{message}");
        return;
    }
    context.events.failed(cluster, category, &message).await;
    if !category.is_refusal() {
        return;
    }
    let (previous, generation) = (cluster.status.clone().unwrap_or_default(), cluster.metadata.generation);
    let message = format!("{category}: {message}");
    let status = refused(&previous, generation.unwrap_or_default(), &message, Timestamp::now());
    if let Err(error) = status::write(&context.clients.writer, &context.caches, cluster, &status).await {
        debug!(%error, "the failure could not be told in the status");
    }
}

fn after_failure(cluster: Arc<ActorCluster>, _error: &Error, context: Arc<Context>) -> Action {
    let attempts = context.failures.attempts(&ObjectRef::from_obj(&*cluster));
    Action::requeue(retry_after(attempts, fastrand::f64()))
}

/// The delay before the next attempt; `random` is between 0 and 1.
fn retry_after(attempts: u32, random: f64) -> Duration {
    let (first, most) = RETRY;
    let delay = first.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(most);
    delay.mul_f64(0.5 + random / 2.0)
}

impl Context {
    /// Not an error: something must happen first.
    fn wait(&self, reason: &str, delay: Duration) -> Action {
        self.metrics.deferred.with_label_values(&[reason]).inc();
        Action::requeue(delay)
    }

    fn forget(&self, cluster: &ClusterRef) {
        self.caches.forget(cluster);
        self.nodes.forget(cluster);
        self.rolls.forget(cluster);
        self.failures.over(cluster);
        self.certificates.forget_cluster(&cluster.name, cluster.namespace.as_deref().unwrap_or_default());
    }
}

/// Which clusters fail, how often in a row, and how.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<ClusterRef, (u32, Category)>>);

impl Failures {
    /// Counts a failure. True if the one before was of another category, or there was none.
    fn failed(&self, cluster: &ClusterRef, category: Category) -> bool {
        let mut failures = self.0.lock();
        let before = failures.get(cluster).copied();
        let attempts = before.map_or(0, |(attempts, _)| attempts).saturating_add(1);
        failures.insert(cluster.clone(), (attempts, category));
        before.is_none_or(|(_, before)| before != category)
    }

    fn attempts(&self, cluster: &ClusterRef) -> u32 {
        self.0.lock().get(cluster).map_or(0, |(attempts, _)| *attempts)
    }

    fn over(&self, cluster: &ClusterRef) {
        self.0.lock().remove(cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_fails_is_tried_less_and_less_often() {
        let at_most: Vec<_> = (1..=9).map(|attempts| retry_after(attempts, 1.0).as_secs_f64()).collect();
        assert_eq!(at_most, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(retry_after(u32::MAX, 0.0), Duration::from_secs(30));
    }

    #[test]
    fn a_failure_is_news_once() {
        let (failures, demo) = (Failures::default(), ObjectRef::new("demo").within("x"));
        assert!(failures.failed(&demo, Category::Forbidden));
        assert!(!failures.failed(&demo, Category::Forbidden));
        assert!(failures.failed(&demo, Category::Conflict));
        assert_eq!(failures.attempts(&demo), 3);
        failures.over(&demo);
        assert!(failures.failed(&demo, Category::Conflict));
    }
}
