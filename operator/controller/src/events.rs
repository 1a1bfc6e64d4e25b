//! Tells what happened, where `kubectl describe` shows it. An event that cannot be written is logged, never an error.

use greenroom_crds::ActorCluster;
use greenroom_operator_plan::step;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tracing::{debug, info, warn};

use crate::error::Category;

/// Who tells it.
const CONTROLLER: &str = "greenroom-operator";
/// What the API server accepts as a note, less some room.
const NOTE_BYTES: usize = 1000;

/// Writes events.
pub(crate) struct Events {
    recorder: Recorder,
}

impl Events {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: CONTROLLER.into(), instance: Some(identity.into()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// What the plan has to tell.
    pub(crate) async fn tell(&self, cluster: &ActorCluster, event: &step::Event) {
        info!(reason = event.reason, "{}", event.message);
        self.publish(cluster, event.warning, event.reason, event.action, &event.message).await;
    }

    /// That a reconcile failed.
    pub(crate) async fn failed(&self, cluster: &ActorCluster, category: Category, message: &str) {
        warn!(category = category.name(), "{message}");
        self.publish(cluster, true, category.name(), "Reconcile", message).await;
    }

    async fn publish(
        &self,
        cluster: &ActorCluster,
        warning: bool,
        reason: &str,
        action: &str,
        message: &str,
    ) {
        let end = message.floor_char_boundary(NOTE_BYTES.min(message.len()));
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.into(),
            note: Some(message[..end].into()),
            action: action.into(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &cluster.object_ref(&())).await {
            debug!(%error, "an event could not be written");
        }
    }
}
