//! Takes a reliable message: applied exactly once, however often it is sent.
//!
//! The receiver keeps a row for each sender and lane, with the number of the last message that it has applied, in the
//! same commit as what the message did. **Claim**: no message is applied twice, whatever is lost and however long that
//! takes.
//!
//! 1. Numbers of a sender and lane grow, and a message is sent only when all before it to the same target are applied
//!    and durable, or are given up durably. So one number at the receiver tells which it has seen.
//! 2. What comes again after its first application was durable finds the number in the row.
//! 3. What comes again before that finds its call id in the actor's window, unless 16,384 newer calls have pushed it
//!    out or ten minutes have passed. Then it is marked as sent again, or the window is full; in both cases the turn
//!    first waits until everything that the actor shows is durable, and 2. holds.
//!
//! Only a turn that commits can keep the number: messages to `&self` methods and to volatile actors are applied at least
//! once.

use std::any::TypeId;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use super::activation::TurnGuard;
use super::turn::{self, CallForm, Progress};
use super::window::CallWindow;
use super::{Core, inline};
use crate::actor::Method;
use crate::call::{Call, CallResult, Delivery};
use crate::codec::Payload;
use crate::error::CallError;
use crate::filter::Way;
use crate::identity::ActorId;
use crate::reference::MOVED_AWAY;
use crate::rows::{RowChange, RowRange, Space, actor_prefix};
use crate::shard::OwnedShard;

/// Runs a reliable message. The reply says only that it is applied.
pub(super) async fn receive<M: Method>(
    engine: Arc<Core>,
    shard: Arc<OwnedShard>,
    call: Call,
    delivery: Arc<Delivery>,
) -> CallResult {
    let arguments = call.arguments.decode::<M::Arguments>("the arguments")?;
    let Call { target, mut context, .. } = call;
    if context.deadline <= engine.env.now() {
        return Err(CallError::Timeout { committed: Some(false) });
    }
    let reply_type = call.arguments.content_type;
    // The sender forgets the message when it has the answer.
    let form = CallForm { arguments_hash: xxh3_64(&call.arguments.data), reply_type, durable: true };
    let table = engine
        .typed
        .get(&TypeId::of::<M::Actor>())
        .ok_or_else(|| engine.unknown_type(target.actor_type.as_str()))?;
    let encode_error = |error: M::Error| match Payload::encode_error(reply_type, &error) {
        Ok(payload) => CallError::App(payload),
        Err(error) => CallError::Invalid(error.to_string()),
    };
    let around = engine.around::<M>(&target, Way::Reliable, &mut context);
    let around = around.map_err(|refusal| refusal.map_app(encode_error))?;
    let (deadline, progress) = (context.deadline, Progress::of::<M>());
    let turn = {
        let (engine, progress) = (engine.clone(), progress.clone());
        around.within(async move {
            let entered = turn::enter::<M>(&engine, &shard, &target, &context).await;
            let mut guard = entered.or_else(|error| engine.answered::<M, _>(Err(error)))?;
            let receipt = turn::commits::<M>().then(|| Receipt::of(&target, &delivery));
            if let Some(receipt) = &receipt {
                let is_there = receipt.is_there::<M>(&mut guard, &shard, delivery.again).await;
                if is_there.or_else(|error| engine.answered::<M, _>(Err(error)))? {
                    return Ok(());
                }
            }
            let cx = turn::cx::<M>(&guard, || context);
            if let Some(receipt) = receipt {
                cx.change_row(receipt.row());
            }
            turn::turn::<M>(guard, cx, progress, arguments, form).await.map(drop)
        })
    };
    let outcome = inline::run(&engine.env, table.pace(), deadline, turn).await;
    let outcome =
        outcome.unwrap_or_else(|interrupted| engine.answered::<M, _>(Err(progress.interrupted(interrupted))));
    around.ended(&outcome);
    outcome.map(|()| Payload::default()).map_err(|error| error.map_app(encode_error))
}

/// That everything of a sender up to this number has been applied.
struct Receipt {
    key: Bytes,
    /// Epoch and number, which compare as bytes.
    value: Bytes,
}

impl Receipt {
    fn of(receiver: &ActorId, delivery: &Delivery) -> Self {
        let mut key = actor_prefix(receiver);
        key.put_slice(&actor_prefix(&delivery.from));
        key.put_u8(delivery.lane);
        let mut value = BytesMut::with_capacity(16);
        value.put_u64(delivery.epoch.0);
        value.put_u64(delivery.number);
        Self { key: key.freeze(), value: value.freeze() }
    }

    fn row(self) -> RowChange {
        RowChange::put(Space::INBOX, self.key, self.value)
    }

    /// Whether this message, or a later one, has been applied and is durable.
    async fn is_there<M: Method>(
        &self,
        guard: &mut TurnGuard<M::Actor>,
        shard: &OwnedShard,
        again: bool,
    ) -> Result<bool, CallError<M::Error>> {
        let window_may_have_lost_it =
            guard.loaded().is_none_or(|loaded| loaded.window().is_some_and(CallWindow::is_full));
        if again || window_may_have_lost_it {
            let durable = shard.gate().wait(guard.saw()).await;
            durable.map_err(|_| CallError::Unavailable(MOVED_AWAY.into()))?;
        }
        let row = shard.journal().rows(shard.shard(), RowRange::one(Space::INBOX, self.key.clone()), 1).await;
        let row = row.map_err(|error| CallError::Unavailable(error.to_string()))?;
        Ok(row.first().is_some_and(|(_, applied)| *applied >= self.value))
    }
}
