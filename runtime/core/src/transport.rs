//! What carries calls: a node's router, or a client's connection.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::call::{Call, CallResult};
use crate::engine::Engine;
use crate::env::SharedEnv;
use crate::filter::Filters;
use crate::layout::ShardRange;

/// Brings calls to the owner of their target. The runtime, the client and the context of a turn all call through it.
pub trait Transport: Send + Sync + 'static {
    /// Makes the call and waits for its reply until the call's deadline. Dropping the future cancels the call.
    fn call(&self, call: Call) -> BoxFuture<'static, CallResult>;

    /// Makes the call without waiting for its reply, in the order in which calls are told to one actor. What cannot be
    /// delivered is counted and becomes a dead letter. Never blocks.
    fn tell(&self, call: Call) {
        let (target, method) = (call.target.clone(), call.method.clone());
        let answer = self.call(call);
        self.env().spawn(Box::pin(async move {
            if let Err(error) = answer.await {
                tracing::warn!(%target, %method, %error, "a message was told and nobody took it");
            }
        }));
    }

    /// The engine of this process, if there is one: calls to its own shards then need no encoding.
    fn engine(&self) -> Option<&Arc<Engine>>;

    /// What is around all that programs send through this.
    fn outgoing(&self) -> Option<&Filters> {
        self.engine().map(|engine| engine.outgoing())
    }

    /// For each of these shards a name for the node that serves it, as far as it is known: what goes to several of them may then go
    /// together.
    fn owners(&self, shards: ShardRange) -> Vec<Option<String>> {
        vec![None; shards.shards().len()]
    }

    /// Time and randomness for the calls made here.
    fn env(&self) -> &SharedEnv;
}

/// A shared transport.
pub type SharedTransport = Arc<dyn Transport>;
