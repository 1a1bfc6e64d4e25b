//! Virtual actors on Kubernetes: the crate that users depend on.
//!
//! An **actor** is a named object with state and methods. You call it by its type and key; it is loaded when it is
//! called, runs one exclusive call at a time, and what a call changed is durable before its reply leaves.
//!
//! ```
//! use greenroom::{Actor, Cx, Result, Runtime, actor_methods};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Actor, Default, Serialize, Deserialize)]
//! struct Counter {
//!     total: i64,
//! }
//!
//! #[actor_methods]
//! impl Counter {
//!     async fn add(&mut self, _cx: &Cx, by: i64) -> Result<i64> {
//!         self.total += by;
//!         Ok(self.total)
//!     }
//!     async fn total(&self) -> i64 {
//!         self.total
//!     }
//! }
//!
//! # #[tokio::main] async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::local().actor::<Counter>().start().await?;
//! let total = runtime.actor::<Counter>("page-1").add(3).await?;
//! assert_eq!(total, 3);
//! # runtime.shutdown().await; Ok(()) }
//! ```
//!
//! In a pod, and under `greenroom dev`, the same program starts with [`Runtime::from_env`] and becomes a node of the
//! cluster there. Programs outside the cluster use [`Client`].

// The macros name this crate; so they work in it too.
extern crate self as greenroom;

pub mod config;
mod groups;
mod memory;
pub mod node;
mod runtime;
mod servers;
mod shutdown;
mod stock;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

pub use greenroom_client::{CallOptions, Client, ConnectError, JsonItems};
pub use greenroom_core::filter::{Filter, FilteredCall, Refusal, Way};
pub use greenroom_core::index::{Found, FoundAfter, FoundPage, IndexValue, Query};
pub use greenroom_core::protobuf;
pub use greenroom_core::request::RequestContext;
pub use greenroom_core::topics::{
    Answer, Handled, Handler, MAX_AUDIENCE, MAX_PUBLICATION_BYTES, MAX_SUBSCRIPTIONS, MAX_TOPIC_BYTES,
    MAX_TOPIC_SEGMENTS, MAX_WILDCARD_PATTERNS, Subscribe, Topic, Unsubscribe,
};
pub use greenroom_core::workflow::{
    Elapsed, Flow, NoResult, Outcome, SignalError, Step, StepInProgress, StepStatus, Workflow, WorkflowError,
    WorkflowRef, WorkflowState, WorkflowStatus,
};
pub use greenroom_core::{
    __private, Actor, ActorId, ActorOptions, ActorType, AppError, CallError, CallId, CollectionError,
    ContentType, Cursor, Cx, Durability, Feed, Home, Items, KeyEncode, List, Map, MapKey, Missed, OldState,
    OnPanic, Payload, Proto, Reminder, ReplyStream, Result, Schedule, Shard, ShardCount, StreamCall, Ticks,
    Timer, WhenFull,
};
pub use greenroom_macros::{Actor, actor_methods, workflow};
pub use runtime::{Runtime, RuntimeBuilder, RuntimeError};
pub use stock::{Counter, CounterRef, KeyValue, KeyValueRef};
pub use telemetry::{METRICS, MetricInfo, Telemetry, TelemetryError, init as init_telemetry};

/// The pages that have whole programs in them, which are compiled and run as the tests of these.
#[cfg(doctest)]
pub mod pages {
    #[doc = include_str!("../../../docs/actors.md")]
    pub mod actors {}
    #[doc = include_str!("../../../docs/actors/collections.md")]
    pub mod collections {}
    #[doc = include_str!("../../../docs/actors/protobuf.md")]
    pub mod protobuf {}
    #[doc = include_str!("../../../docs/actors/queries.md")]
    pub mod queries {}
    #[doc = include_str!("../../../docs/actors/versions.md")]
    pub mod versions {}
}

/// The stock node: `greenroom node`, with [`Counter`] and [`KeyValue`]. Runs until it is told to stop.
pub async fn run_stock(args: config::NodeArgs) -> std::result::Result<(), RuntimeError> {
    let print = args.print_config;
    let config = args.resolve()?;
    if print {
        print!("{}", config.to_yaml());
        return Ok(());
    }
    Runtime::with_config(config).actor::<Counter>().actor::<KeyValue>().run().await
}
