//! Messages that are not due yet, and messages that stand in line once more.
//!
//! Numbers must stand in the journal in the order in which they were given, and a message that waits would hold up all
//! behind it. So a delayed message has no number: when it is due, one record takes it away and puts it at the end of
//! the sender's second lane, under one lock with the numbers of that lane. A dead letter that is sent again goes the
//! same way. **Invariant**: numbers of the second lane are given nowhere else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::message::REQUEUED;
use super::{Message, Outbox, PairId, Place, ShardBox, Waiting};
use crate::identity::{ActorId, Seq};
use crate::rows::{RowChange, RowRange, Space};
use crate::shard::AppendError;

/// Calendar clocks may be set: look at them at least so often.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long to wait when the journal does not take a record.
const PAUSE: Duration = Duration::from_millis(100);

impl Outbox {
    pub(super) fn add_delayed(&self, of: &Arc<ShardBox>, due: u64, key: Bytes, seq: Seq) {
        let mut state = of.state.lock();
        state.delayed.insert((due, key), seq);
        if std::mem::replace(&mut state.timing, true) {
            of.earlier.notify_one();
        } else {
            let of = of.clone();
            self.spawn(|me| me.send_due(of));
        }
    }

    /// Puts messages in line when they are due.
    async fn send_due(self: Arc<Self>, of: Arc<ShardBox>) {
        loop {
            let first = {
                let mut state = of.state.lock();
                let first = state.delayed.first_key_value().map(|(at, seq)| (at.clone(), *seq));
                state.timing = first.is_some();
                first
            };
            let Some(((due, key), seq)) = first else { return };
            let left = Duration::from_millis(due.saturating_sub(self.env.unix_ms()));
            if !left.is_zero() {
                // Something earlier has come, or it is time to look at the clock.
                let _ = tokio::time::timeout(left.min(LOOK_AGAIN), of.earlier.notified()).await;
                if of.shard.gate().committed().is_none() {
                    return;
                }
                continue;
            }
            if of.shard.gate().wait(seq).await.is_err() || self.enter_line(&of, &key).await.is_none() {
                return;
            }
            of.state.lock().delayed.remove(&(due, key));
        }
    }

    /// `None` if the shard is closed.
    async fn enter_line(&self, of: &Arc<ShardBox>, key: &Bytes) -> Option<()> {
        let row = self.read(&of.shard, RowRange::one(Space::OUTBOX, key.clone()), 1).await?;
        let read = row.first().and_then(|(key, value)| Some((Place::read(key)?.0, Message::read(value)?)));
        let Some((from, message)) = read else { return Some(()) };
        loop {
            let instead = RowChange::remove(Space::OUTBOX, key.clone());
            match self.requeue(of, from.clone(), message.clone(), instead) {
                Ok(_) => return Some(()),
                Err(AppendError::Closed) => return None,
                Err(AppendError::Journal(_)) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Puts the message at the end of its sender's second lane, in one record with the change of the row that it was.
    pub(super) fn requeue(
        &self,
        of: &Arc<ShardBox>,
        from: ActorId,
        message: Message,
        instead_of: RowChange,
    ) -> Result<Seq, AppendError> {
        let mut state = of.state.lock();
        let (epoch, number) = (of.shard.epoch(), of.shard.next_number());
        let place = Place::Numbered { lane: REQUEUED, epoch, number };
        let seq = of.shard.append_rows(vec![instead_of, message.row(&from, place)])?;
        let key = place.key(&from);
        let id = PairId { from, lane: REQUEUED, target: message.target.clone() };
        self.add(of, &mut state, id, key, Waiting { seq, message, again: false });
        Ok(seq)
    }
}
