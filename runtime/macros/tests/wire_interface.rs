//! What the macros make at run time: the actor's constants, its method table, and the calls of its reference.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use greenroom_core::actor::{ActorMethods, ActorOptions, Durability};
use greenroom_core::call::{Call, CallResult};
use greenroom_core::engine::Engine;
use greenroom_core::env::{SharedEnv, SystemEnv};
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::transport::Transport;
use greenroom_core::{Actor, CallError, ContentType, Cx, Payload, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Counter {
    total: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Refused {
    TooMuch { limit: i64 },
}

#[actor_methods(crate = "greenroom_core")]
impl Counter {
    const LIMIT: i64 = 100;

    async fn add(&mut self, _cx: &Cx, by: i64) -> Result<i64> {
        self.total += by;
        Ok(self.total)
    }

    async fn add_limited(&mut self, mut by: i64, r#type: String) -> Result<i64, Refused> {
        by += i64::from(!r#type.is_empty());
        if self.total + by > Self::LIMIT {
            return Err(Refused::TooMuch { limit: Self::LIMIT });
        }
        self.total += by;
        Ok(self.total)
    }

    #[method(name = "read.total")]
    fn total(&self) -> i64 {
        self.double() / 2
    }

    #[cfg(any())]
    async fn never_compiled(&self, nothing: NoSuchType) {}

    #[allow(clippy::needless_arbitrary_self_type, reason = "both ways to write it are tested")]
    fn reset(self: &mut Self) {
        self.total = 0;
    }

    async fn merge(&mut self, other: Self, more: Vec<Self>) -> Self {
        self.total += other.total + more.iter().map(|counter| counter.total).sum::<i64>();
        Self { total: self.total }
    }

    #[method(skip)]
    fn double(&self) -> i64 {
        self.total * 2
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|total| Self { total })
    }
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(name = "shop.Presence", volatile, no_rollback)]
#[actor(idle_timeout = "90s", mailbox = 7, crate = "greenroom_core")]
struct Presence;

#[actor_methods(crate = "greenroom_core")]
impl Presence {}

#[test]
fn without_attributes_type_and_options_are_the_defaults() {
    assert_eq!(Counter::TYPE, "Counter");
    assert_eq!(Counter::OPTIONS, ActorOptions::DEFAULT);
}

#[test]
fn attributes_set_type_and_options() {
    assert_eq!(Presence::TYPE, "shop.Presence");
    let options = ActorOptions {
        durability: Durability::Volatile,
        idle_timeout: Duration::from_secs(90),
        mailbox: 7,
        no_rollback: true,
        ..ActorOptions::DEFAULT
    };
    assert_eq!(Presence::OPTIONS, options);
}

#[test]
fn the_table_has_every_method_in_the_order_of_the_source() {
    let table: Vec<_> =
        Counter::methods().iter().map(|m| (m.name(), m.exclusive(), m.arguments().to_vec())).collect();
    let expected = vec![
        ("add", true, vec!["by"]),
        ("add_limited", true, vec!["by", "type"]),
        ("read.total", false, vec![]),
        ("reset", true, vec![]),
        ("merge", true, vec!["other", "more"]),
    ];
    assert_eq!(table, expected);
    assert!(Presence::methods().is_empty());
}

#[test]
fn other_functions_of_the_block_stay_as_they_are() {
    let counter = Counter::parse("4").expect("a number");
    assert_eq!((counter.total(), counter.double()), (4, 8));
}

/// A connection to a node that gives each call the same answer.
struct Wire {
    env: SharedEnv,
    answer: CallResult,
    calls: Mutex<Vec<Call>>,
}

impl Transport for Wire {
    fn call(&self, call: Call) -> Pin<Box<dyn Future<Output = CallResult> + Send>> {
        self.calls.lock().expect("no test panics with the lock").push(call);
        Box::pin(std::future::ready(self.answer.clone()))
    }

    fn engine(&self) -> Option<&Arc<Engine>> {
        None
    }

    fn env(&self) -> &SharedEnv {
        &self.env
    }
}

fn counter_behind(answer: CallResult) -> (Arc<Wire>, CounterRef) {
    let wire = Arc::new(Wire { env: Arc::new(SystemEnv), answer, calls: Mutex::default() });
    let reference = ActorRef::new(Origin::program(wire.clone()), "page-1").into();
    (wire, reference)
}

fn payload(value: &impl Serialize) -> Payload {
    Payload::encode(ContentType::Msgpack, "the test's value", value).expect("it can be encoded")
}

#[tokio::test]
async fn a_reference_calls_by_wire_name_with_named_arguments() {
    let (wire, counter) = counter_behind(Ok(payload(&7)));
    let reply = counter.clone().add_limited(3, "x".to_owned()).await;
    let total = counter.total().await;
    assert_eq!((reply, total), (Ok(7), Ok(7)));

    let calls = wire.calls.lock().unwrap();
    let sent = calls.iter().map(|call| {
        let arguments: serde_json::Value = call.arguments.decode("the arguments").unwrap();
        (call.target.to_string(), call.method.to_string(), arguments)
    });
    let target = "Counter/page-1".to_owned();
    let expected = [
        (target.clone(), "add_limited".to_owned(), serde_json::json!({"by": 3, "type": "x"})),
        (target, "read.total".to_owned(), serde_json::json!({})),
    ];
    assert_eq!(sent.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_methods_own_error_comes_back_typed() {
    let refused = Refused::TooMuch { limit: 100 };
    let (_, counter) = counter_behind(Err(CallError::App(payload(&refused))));
    assert_eq!(counter.add_limited(101, String::new()).await, Err(CallError::App(refused)));
}
