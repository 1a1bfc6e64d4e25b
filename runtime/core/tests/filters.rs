//! Filters around calls, and the request context that travels with them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use greenroom_core::filter::{Filter, FilteredCall, Refusal};
use greenroom_core::{AppError, CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::Node;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Shop {
    sold: Vec<String>,
}

#[actor_methods(crate = "greenroom_core")]
impl Shop {
    async fn tenant(&self, cx: &Cx) -> Option<String> {
        cx.request("tenant").map(str::to_owned)
    }

    async fn sell(&mut self, cx: &Cx) -> Result<String> {
        self.sold.push(cx.request("tenant").unwrap_or("nobody").to_owned());
        Ok(self.sold.join(" "))
    }

    async fn fail(&mut self) -> Result<()> {
        Err(AppError::new("sold out"))
    }

    async fn hold(&self) {
        std::future::pending().await
    }

    /// Asks the next shop of a chain of them.
    async fn chain(&mut self, cx: &Cx, left: u32) -> Result<Vec<String>> {
        let seen = format!("{}:{}", cx.request("tenant").unwrap_or("-"), cx.request("hop").unwrap_or("-"));
        let mut all = vec![seen];
        if left > 0 {
            let next = cx.actor::<Shop>(format!("chain-{left}"));
            all.extend(next.chain(left - 1).with_request("hop", left.to_string()).await?);
        }
        Ok(all)
    }

    async fn pass_on(&mut self, cx: &Cx) -> Result<()> {
        cx.tell(cx.actor::<Shop>("told").sell())?;
        Ok(())
    }
}

/// Notes what it sees, and refuses one tenant.
struct Recorder {
    name: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Filter for Recorder {
    fn before(&self, call: &mut FilteredCall) -> std::result::Result<(), Refusal> {
        self.seen.lock().push(format!("{} before {}.{}", self.name, call.target(), call.method()));
        if call.request("tenant") == Some("mallory") {
            return Err(CallError::Refused("mallory may not".into()));
        }
        Ok(())
    }

    fn after(&self, call: &FilteredCall, outcome: std::result::Result<(), &'static str>, _: Duration) {
        let outcome = outcome.err().unwrap_or("ok");
        self.seen.lock().push(format!("{} after {}: {outcome}", self.name, call.method()));
    }
}

/// A node with two recorders that answer and one that calls.
fn node() -> (Arc<Node>, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let recorder = |name| Recorder { name, seen: seen.clone() };
    let (first, second, outgoing) = (recorder("first"), recorder("second"), recorder("out"));
    let node = Arc::new(Node::with::<Shop>(move |engine| {
        engine.incoming(first).incoming(second).outgoing(outgoing)
    }));
    node.sync_always();
    (node, seen)
}

#[tokio::test]
async fn filters_run_around_each_call_and_learn_how_it_ended() {
    let (node, seen) = node();
    let shop = node.actor::<Shop>("s");
    shop.sell().await.unwrap();
    let expected = [
        "out before Shop/s.sell",
        "first before Shop/s.sell",
        "second before Shop/s.sell",
        "second after sell: ok",
        "first after sell: ok",
        "out after sell: ok",
    ];
    assert_eq!(std::mem::take(&mut *seen.lock()), expected);
    shop.fail().await.unwrap_err();
    assert_eq!(
        seen.lock().split_off(3),
        ["second after fail: app", "first after fail: app", "out after fail: app"]
    );
    seen.lock().clear();
    let mut held = Box::pin(shop.hold());
    assert!(poll!(&mut held).is_pending());
    drop(held);
    assert_eq!(
        seen.lock().split_off(3),
        ["second after hold: cancelled", "first after hold: cancelled", "out after hold: cancelled"]
    );
}

#[tokio::test]
async fn a_refused_call_does_not_reach_its_actor() {
    let (node, seen) = node();
    let shop = node.actor::<Shop>("refused");
    let refused = shop.sell().with_request("tenant", "mallory").await.unwrap_err();
    assert_eq!(refused, CallError::Refused("mallory may not".into()));
    assert_eq!(seen.lock().len(), 1);
    assert_eq!(node.disk.commits(), 0);
    assert!(node.engine.placement(&"Shop/refused".parse().unwrap()).is_none());
}

#[tokio::test]
async fn a_filter_can_add_to_the_request_context() {
    let node = Arc::new(Node::with::<Shop>(|engine| {
        engine.incoming(|call: &mut FilteredCall| {
            call.set_request("tenant", "acme").map_err(|error| CallError::Invalid(error.to_string()))
        })
    }));
    node.sync_always();
    assert_eq!(node.actor::<Shop>("added").tenant().await.unwrap().as_deref(), Some("acme"));
    assert_eq!(node.call_json("Shop/added", "tenant", "{}").await.unwrap(), r#""acme""#);
}

#[tokio::test]
async fn the_request_context_travels_through_chains_and_messages() {
    let node = Arc::new(Node::new::<Shop>());
    node.sync_always();
    let shop = node.actor::<Shop>("chain-3");
    let seen = shop.chain(2).with_request("tenant", "acme").await.unwrap();
    assert_eq!(seen, ["acme:-", "acme:2", "acme:1"]);
    assert_eq!(shop.tenant().await.unwrap(), None);
    node.actor::<Shop>("teller").pass_on().with_request("tenant", "acme").await.unwrap();
    assert_eq!(node.actor::<Shop>("told").sell().await.unwrap(), "acme nobody");
}

#[tokio::test]
async fn a_request_context_that_is_too_large_is_a_named_error() {
    let node = Arc::new(Node::new::<Shop>());
    let error = node.actor::<Shop>("large").sell().with_request("x", "x".repeat(5000)).await.unwrap_err();
    assert!(matches!(&error, CallError::Invalid(why) if why.contains("5001 bytes, at most 4096")), "{error}");
}
