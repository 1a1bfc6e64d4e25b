//! Messages that nobody waits for: to the owner of their target, in the order in which they were told.
//!
//! A message is repeated with back-off until the owner has taken it or its deadline has passed; the owner says nothing
//! back. **A message never goes in circles**: a node that got it at an epoch and is not the owner passes it on at a later
//! epoch only, and waits for its map to know one.

use std::sync::Arc;

use greenroom_core::call::Call;
use greenroom_core::retry::Backoff;
use greenroom_core::{CallError, Epoch, Payload};
use tokio::time::timeout_at;

use super::{Route, Routing, timed_out};
use crate::network::{MeshRequest, NetworkError};

impl Routing {
    /// Brings a message on its way; what becomes of it is counted here. `from` is the least epoch that it may go to.
    pub(super) fn tell(self: &Arc<Self>, call: Call, from: Epoch) {
        // The usual case: its shard is here and nothing waits before it.
        let routing = self.clone();
        let bring = |call| async move { routing.bring(call, from).await };
        if let Err(call) = self.lanes.send(call, bring) {
            let full = "too many messages of this node wait; tell less, or find out what they wait for";
            self.engine().undelivered(&call, &CallError::Overloaded(full.to_owned()));
        }
    }

    /// Takes a message of another node, which believes this one to own its shard at `epoch`.
    pub(super) fn take(self: &Arc<Self>, request: MeshRequest) {
        let MeshRequest { shard, epoch, call, .. } = request;
        let mine = self.engine().shard_of(&call.target);
        if mine != shard {
            let layout = self.engine().layout();
            if layout.group_of(shard).is_none() && layout.group_of(mine).is_some() {
                // Its sender did not know yet where the type lives. Only who knows it passes on, so there is no circle.
                return self.tell(call, Epoch(0));
            }
            let error = self.in_another_shard(&call.target, mine, shard);
            return self.engine().undelivered(&call, &error);
        }
        self.tell(call, Epoch(epoch.0 + 1));
    }

    async fn bring(self: Arc<Self>, call: Call, from: Epoch) {
        let call = match self.engine().tell(call) {
            Ok(()) => return,
            Err(call) => *call,
        };
        let deadline = call.context.deadline;
        if let Err(error) = self.bring_to_owner(call.clone(), from).await {
            let late = self.node.config.env.now() >= deadline;
            let error = if late && error.is_retryable() { timed_out(true) } else { error };
            self.engine().undelivered(&call, &error);
        }
    }

    /// Attempts until somebody has taken it.
    async fn bring_to_owner(&self, mut call: Call, from: Epoch) -> Result<(), CallError<Payload>> {
        let (deadline, env) = (call.context.deadline, &self.node.config.env);
        let shard = self.engine().shard_of(&call.target);
        let mut backoff = Backoff::default();
        loop {
            let why = match self.route(&self.node.map.view(), shard) {
                Route::Here => {
                    let opened = timeout_at(deadline, self.when_open(shard)).await;
                    call = match self.engine().tell(call) {
                        Ok(()) => return Ok(()),
                        Err(call) => *call,
                    };
                    match opened {
                        Ok(_) => format!("shard {shard} is moving"),
                        Err(_) => return Err(timed_out(false)),
                    }
                }
                Route::Peer(to, epoch) if epoch >= from => {
                    let request = MeshRequest { shard, epoch, call: call.clone(), one_way: true };
                    match timeout_at(deadline, self.network.tell(&to, request)).await {
                        Ok(Ok(())) => return Ok(()),
                        Ok(Err(NetworkError::NotSent(why))) => why,
                        Ok(Err(NetworkError::Lost(why))) => return Err(CallError::Unavailable(why)),
                        Ok(Err(error)) => return Err(CallError::Invalid(error.to_string())),
                        Err(_) => return Err(timed_out(true)),
                    }
                }
                Route::Peer(..) => {
                    format!("this node's map has not reached epoch {from} of shard {shard} yet")
                }
                Route::Nowhere(why) => why,
            };
            let again = env.now() + backoff.next(env.random() as u64);
            if again >= deadline {
                return Err(CallError::Unavailable(why));
            }
            tokio::time::sleep_until(again).await;
        }
    }
}
