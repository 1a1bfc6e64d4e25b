//! Filters and the request context on every way that a turn can be asked for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

extern crate greenroom_core as greenroom;

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use greenroom::filter::{Filter, FilteredCall, Refusal, Way};
use greenroom::{AppError, CallError, Cx, Flow, Result, Schedule, Topic};
use greenroom_macros::{Actor, actor_methods, workflow};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::{Disk, Node};

/// Sets everything in motion that a turn can, and counts what comes of it.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Bell {
    rings: BTreeSet<String>,
}

#[actor_methods]
impl Bell {
    /// Notes for whom it rings.
    async fn ring(&mut self, cx: &Cx, what: String) {
        self.rings.insert(format!("{what} for {}", cx.request("tenant").unwrap_or("nobody")));
    }

    async fn rings(&self) -> Vec<String> {
        self.rings.iter().cloned().collect()
    }

    async fn set_off(&mut self, cx: &Cx) -> Result<()> {
        let (me, other) = (|| cx.actor::<Self>(cx.key()), || cx.actor::<Self>("other"));
        other().ring("call".into()).await?;
        cx.tell(other().ring("told".into()))?;
        cx.broadcast(|bell: BellRef| bell.ring("broadcast".into()))?;
        cx.reliable(other().ring("reliable".into()))?;
        cx.reliable_after(Duration::from_secs(3), other().ring("delayed".into()))?;
        cx.remind("later", Schedule::after(Duration::from_secs(3)), me().ring("reminder".into()))?;
        cx.timer(Duration::from_secs(1), me().ring("timer".into()))?;
        cx.ticks(1.0, me().ring("tick".into()))?;
        cx.topic("bells/plain").publish(&"published".to_owned()).await?;
        cx.topic("bells/ranked").publish(&"ranked".to_owned()).await?;
        cx.topic("bells/plain").tell(&"announced".to_owned())?;
        Ok(())
    }

    async fn tell_and_fail(&mut self, cx: &Cx) -> Result<()> {
        cx.tell(cx.actor::<Self>("other").ring("never".into()))?;
        Err(AppError::new("on purpose"))
    }

    async fn tell(&mut self, cx: &Cx, reliably: bool) -> Result<()> {
        let call = cx.actor::<Self>("other").ring("told".into());
        Ok(if reliably { cx.reliable(call) } else { cx.tell(call) }?)
    }

    async fn hear(&mut self, cx: &Cx, message: String) {
        // What comes of a publication is not one itself.
        cx.actor::<Self>("echo").ring(message).await.unwrap();
    }

    async fn overhear(&mut self, cx: &Cx, message: String) {
        self.ring(cx, message).await;
    }

    async fn listen(&mut self, cx: &Cx) -> Result<()> {
        Ok(cx.topic::<String>("bells/plain").subscribe(BellRef::overhear).while_active().await?)
    }
}

/// Does something for whoever has started it, then waits.
#[workflow]
async fn ringing(flow: Flow) -> Result<()> {
    flow.step("step", |by| by.actor::<Bell>("other").ring("step".into())).await?;
    flow.sleep("pause", Duration::from_secs(20)).await;
    flow.send("send", |by| by.actor::<Bell>("other").ring("sent".into())).await?;
    Ok(())
}

/// Notes what it sees, and how it ended.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<BTreeSet<String>>>);

impl Recorder {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock()).into_iter().collect()
    }
}

impl Filter for Recorder {
    fn after(&self, call: &FilteredCall, outcome: std::result::Result<(), &'static str>, _: Duration) {
        let topic = call.topic().map(|topic| format!(" of {topic}")).unwrap_or_default();
        let (way, outcome) = (call.way(), outcome.err().unwrap_or("ok"));
        let tenant = call.request("tenant").unwrap_or("nobody");
        let line = format!("{way:?} {}.{}{topic} for {tenant}: {outcome}", call.target(), call.method());
        self.0.lock().insert(line);
    }
}

fn wants_a_tenant(call: &mut FilteredCall) -> std::result::Result<(), Refusal> {
    match call.request("tenant") {
        Some(_) => Ok(()),
        None => Err(CallError::Refused("say for whom".into())),
    }
}

fn node(disk: Arc<Disk>, incoming: impl Filter, outgoing: impl Filter) -> Arc<Node> {
    let node = Node::over_with::<Bell>(disk, |engine| {
        engine.workflow::<ringing>().incoming(incoming).outgoing(outgoing)
    });
    let node = Arc::new(node);
    node.sync_always();
    node
}

async fn subscribe(node: &Node) {
    let topic = |name| Topic::<String>::new(node.origin(), name);
    topic("bells/plain").subscribe(BellRef::hear).actor("durable").await.unwrap();
    topic("bells/ranked").subscribe(BellRef::hear).actor("first").priority(1).await.unwrap();
    node.actor::<Bell>("session").listen().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn incoming_filters_see_every_turn_with_its_way_and_its_request_context() {
    let recorder = Recorder::default();
    let node = node(Arc::default(), recorder.clone(), |_: &mut FilteredCall| Ok(()));
    subscribe(&node).await;
    recorder.take();
    node.actor::<Bell>("me").set_off().with_request("tenant", "acme").await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let seen = recorder.take();
    for expected in [
        "Call Bell/me.set_off for acme: ok",
        "Call Bell/other.ring for acme: ok",
        "Tell Bell/other.ring for acme: ok",
        "Tell Bell/session.ring for acme: ok",
        "Reliable Bell/other.ring for acme: ok",
        "Reminder Bell/me.ring for acme: ok",
        "Timer Bell/me.ring for acme: ok",
        "Tick Bell/me.ring for acme: ok",
        "Publication Bell/durable.hear of bells/plain for acme: ok",
        "Publication Bell/first.hear of bells/ranked for acme: ok",
        "Publication Bell/session.overhear of bells/plain for acme: ok",
        "Call Bell/echo.ring for acme: ok",
        "Reliable greenroom.Topic/bells.publish for acme: ok",
        "Tell greenroom.Topic/bells.announce for acme: ok",
    ] {
        assert!(seen.iter().any(|line| line == expected), "{expected} is not in {seen:#?}");
    }
    // Nothing else: above all nothing that the runtime does for itself.
    let others: Vec<_> = seen.iter().filter(|line| !line.contains(" for acme: ok")).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(!seen.iter().any(|line| line.contains("Courier") || line.contains("renew")), "{seen:#?}");
    assert_eq!(
        node.actor::<Bell>("other").rings().await.unwrap(),
        ["broadcast", "call", "delayed", "reliable", "told"].map(|what| format!("{what} for acme"))
    );
    let echo = node.actor::<Bell>("echo").rings().await.unwrap();
    assert_eq!(echo, ["announced", "published", "ranked"].map(|what| format!("{what} for acme")));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_carries_the_request_context_over_a_crash() {
    let quiet = |_: &mut FilteredCall| Ok(());
    let before = node(Arc::default(), quiet, quiet);
    before.actor::<Bell>("me").set_off().with_request("tenant", "acme").await.unwrap();
    let origin = before.origin();
    let start = greenroom::workflow::WorkflowRef::<ringing>::new(origin, "w").start(());
    start.with_request("tenant", "acme").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let disk = before.disk.after_power_cut();
    drop(before);
    let after = node(disk, wants_a_tenant, quiet);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let rings = |key| after.actor::<Bell>(key).rings().with_request("tenant", "acme");
    let other = rings("other").await.unwrap();
    for stored in ["delayed for acme", "step for acme", "sent for acme"] {
        assert!(other.contains(&stored.to_owned()), "{stored} is not in {other:?}");
    }
    assert!(rings("me").await.unwrap().contains(&"reminder for acme".to_owned()));
}

/// What the runtime does for itself has no tenant, and goes on.
#[tokio::test(start_paused = true)]
async fn a_filter_that_wants_to_know_for_whom_does_not_stop_what_the_runtime_does_for_itself() {
    let node = node(Arc::default(), wants_a_tenant, wants_a_tenant);
    let workflow = greenroom::workflow::WorkflowRef::<ringing>::new(node.origin(), "w");
    assert!(matches!(workflow.start(()).await, Err(CallError::Refused(_))));
    let hello = || "hello".to_owned();
    let topic = |name| Topic::<String>::new(node.origin(), name);
    assert!(matches!(topic("bells/plain").publish(&hello()).await, Err(CallError::Refused(_))));

    workflow.start(()).with_request("tenant", "acme").await.unwrap();
    node.actor::<Bell>("session").listen().with_request("tenant", "acme").await.unwrap();
    // The function has left memory and come back; the subscription was renewed some times.
    tokio::time::sleep(Duration::from_secs(32)).await;
    topic("bells/plain").with_request("tenant", "acme").publish(&hello()).await.unwrap();
    let outcome = workflow.outcome().with_request("tenant", "acme").await.unwrap();
    assert_eq!(outcome, Some(greenroom::workflow::Outcome::Completed(())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rings = node.actor::<Bell>("session").rings().with_request("tenant", "acme").await.unwrap();
    assert_eq!(rings, ["hello for acme"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_incoming_filter_refuses_does_not_happen_and_is_counted_and_kept() {
    let no_rings = |call: &mut FilteredCall| match (call.method(), call.way()) {
        ("ring", Way::Call) | ("hear", _) => Ok(()),
        ("ring" | "overhear", _) => Err(CallError::Refused("not now".into())),
        _ => Ok(()),
    };
    let node = node(Arc::default(), no_rings, |_: &mut FilteredCall| Ok(()));
    node.actor::<Bell>("session").listen().await.unwrap();
    node.actor::<Bell>("me").set_off().await.unwrap();
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert!(node.actor::<Bell>("me").rings().await.unwrap().is_empty());
    assert!(node.actor::<Bell>("session").rings().await.unwrap().is_empty());
    assert_eq!(node.actor::<Bell>("other").rings().await.unwrap(), ["call for nobody"]);
    let (letters, _) = node.engine.list_dead_letters(100).await;
    let durable = letters.iter().filter(|letter| letter.durable && letter.kind == "refused").count();
    // The reliable message, the delayed one and the reminder; the publication to a session is only told.
    assert_eq!(durable, 3, "{letters:#?}");
    let types = node.engine.types();
    let ring = types.iter().find(|info| info.name == "Bell").unwrap();
    let refused = ring.failed.iter().find(|(kind, _)| *kind == "refused").unwrap().1;
    // 8 attempts of each message, 5 of the reminder, the timer, what was told, and a tick each second.
    assert!(refused > 8 + 8 + 5 + 1 + 3 + 40, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn outgoing_filters_see_what_leaves_and_can_refuse_it() {
    let recorder = Recorder::default();
    let node = node(Arc::default(), |_: &mut FilteredCall| Ok(()), recorder.clone());
    node.actor::<Bell>("me").set_off().with_request("tenant", "acme").await.unwrap();
    let seen = recorder.take();
    for expected in [
        "Call Bell/me.set_off for acme: ok",
        "Call Bell/other.ring for acme: ok",
        "Tell Bell/other.ring for acme: ok",
        "Tell Bell/*.ring for acme: ok",
        "Reliable Bell/other.ring for acme: ok",
        "Reliable greenroom.Topic/bells.publish for acme: ok",
        "Tell greenroom.Topic/bells.announce for acme: ok",
    ] {
        assert!(seen.iter().any(|line| line == expected), "{expected} is not in {seen:#?}");
    }
    assert_eq!(seen.len(), 7, "{seen:#?}");

    node.actor::<Bell>("me").tell_and_fail().await.unwrap_err();
    node.actor::<Bell>("other").ring("from a program".into()).tell().unwrap();
    assert_eq!(
        recorder.take(),
        [
            "Call Bell/me.tell_and_fail for nobody: app",
            "Tell Bell/other.ring for nobody: cancelled",
            "Tell Bell/other.ring for nobody: ok"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_sends_is_told_what_an_outgoing_filter_says() {
    let no_rings = |call: &mut FilteredCall| match call.method() {
        "ring" => Err(CallError::Refused("quiet".into())),
        _ => Ok(()),
    };
    let node = node(Arc::default(), |_: &mut FilteredCall| Ok(()), no_rings);
    for reliably in [false, true] {
        let error = node.actor::<Bell>("me").tell(reliably).await.unwrap_err();
        assert!(
            matches!(&error, CallError::App(AppError { message }) if message.contains("quiet")),
            "{error}"
        );
    }
    let refused = node.actor::<Bell>("other").ring("told".into()).tell();
    assert_eq!(refused, Err(CallError::Refused("quiet".into())));
    assert!(node.actor::<Bell>("other").rings().await.unwrap().is_empty());
}
