//! The calls that an actor has applied lately, so that a repeated call gets the stored reply and is applied once (I4).
//!
//! The window is part of the activation: it is loaded with the state and changes with each commit, as the journal's own
//! table does. A call leaves it [`CALL_RETENTION_MS`] after its commit, or when [`CALL_RETENTION_MAX`] newer ones came. Of
//! its reply less is promised: when newer ones take [`REPLIES_MAX_BYTES`] together, memory keeps that the call was applied,
//! and not what it was told.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use smol_str::SmolStr;

use crate::codec::Payload;
use crate::identity::{CallId, Seq};
use crate::journal::{CALL_RETENTION_MAX, CALL_RETENTION_MS, CallRecord, REPLIES_MAX_BYTES};

/// An applied call. The reply leaves when the call's own record is committed.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) seq: Seq,
    pub(crate) method: SmolStr,
    pub(crate) arguments_hash: u64,
    /// `None` if newer replies were too large to keep it.
    pub(crate) reply: Option<Payload>,
    at_unix_ms: u64,
}

/// The applied calls of one actor. Empty for actors that never commit, and then it owns no memory.
#[derive(Debug, Default)]
pub(crate) struct CallWindow(Option<Box<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    applied: HashMap<CallId, Applied, FixedState>,
    /// The same ids, oldest first.
    order: VecDeque<CallId>,
    /// How many of the newest have their replies, and how large these are together.
    replies: usize,
    reply_bytes: usize,
}

impl CallWindow {
    /// The window as the journal has it.
    pub(crate) fn load(calls: Vec<(Seq, CallRecord)>, now_unix_ms: u64) -> Self {
        let mut window = Self::default();
        for (seq, call) in calls {
            window.insert(seq, &call);
        }
        window.prune(now_unix_ms);
        window
    }

    /// The call with this id, if it has been applied.
    pub(crate) fn find(&self, id: CallId) -> Option<&Applied> {
        self.0.as_ref()?.applied.get(&id)
    }

    /// Whether a newer call may have pushed out one that was applied lately.
    pub(crate) fn is_full(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.order.len() >= CALL_RETENTION_MAX)
    }

    /// Remembers a call that has just been appended at `seq`.
    pub(crate) fn remember(&mut self, seq: Seq, call: &CallRecord) {
        self.insert(seq, call);
        self.prune(call.at_unix_ms);
    }

    fn insert(&mut self, seq: Seq, call: &CallRecord) {
        let inner = self.0.get_or_insert_default();
        let applied = Applied {
            seq,
            method: call.method.clone(),
            arguments_hash: call.arguments_hash,
            reply: Some(call.reply.clone()),
            at_unix_ms: call.at_unix_ms,
        };
        if inner.applied.contains_key(&call.id) {
            return;
        }
        inner.applied.insert(call.id, applied);
        inner.order.push_back(call.id);
        inner.replies += 1;
        inner.reply_bytes += call.reply.data.len();
        inner.forget_replies();
    }

    fn prune(&mut self, now_unix_ms: u64) {
        let Some(inner) = self.0.as_deref_mut() else { return };
        while let Some(oldest) = inner.order.front() {
            let expired = inner
                .applied
                .get(oldest)
                .is_none_or(|call| call.at_unix_ms.saturating_add(CALL_RETENTION_MS) < now_unix_ms);
            if !expired && inner.order.len() <= CALL_RETENTION_MAX {
                break;
            }
            if inner.replies == inner.order.len() {
                inner.forget_reply();
            }
            inner.order.pop_front().map(|oldest| inner.applied.remove(&oldest));
        }
    }
}

impl Inner {
    /// The newest reply is always kept.
    fn forget_replies(&mut self) {
        while self.reply_bytes > REPLIES_MAX_BYTES && self.replies > 1 {
            self.forget_reply();
        }
    }

    /// The oldest that is kept.
    fn forget_reply(&mut self) {
        let oldest = self.order.get(self.order.len() - self.replies);
        let reply = oldest.and_then(|oldest| self.applied.get_mut(oldest)?.reply.take());
        self.reply_bytes -= reply.map_or(0, |reply| reply.data.len());
        self.replies -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: u128, at_unix_ms: u64) -> CallRecord {
        CallRecord {
            id: CallId(id),
            method: "add".into(),
            arguments_hash: 7,
            reply: Payload::default(),
            at_unix_ms,
        }
    }

    #[test]
    fn a_call_is_forgotten_after_its_retention_and_not_before() {
        let mut window = CallWindow::load(vec![(Seq(1), call(1, 1_000))], 1_000);
        window.remember(Seq(2), &call(2, 1_000 + CALL_RETENTION_MS));
        assert_eq!(window.find(CallId(1)).unwrap().seq, Seq(1));
        window.remember(Seq(3), &call(3, 1_001 + CALL_RETENTION_MS));
        assert!(window.find(CallId(1)).is_none());
        assert!(window.find(CallId(2)).is_some());
    }

    #[test]
    fn replies_that_are_too_large_go_and_their_calls_stay() {
        let large = |id| {
            let data = vec![0; REPLIES_MAX_BYTES / 4].into();
            CallRecord { reply: Payload { data, ..Payload::default() }, ..call(u128::from(id), id) }
        };
        let mut window = CallWindow::default();
        (0..6).for_each(|id| window.remember(Seq(id), &large(id)));
        let kept = |window: &CallWindow| {
            let has_reply = |id| Some(window.find(CallId(id))?.reply.is_some());
            (0..7).map(has_reply).collect::<Vec<_>>()
        };
        let (no, yes) = (Some(false), Some(true));
        assert_eq!(kept(&window), [no, no, yes, yes, yes, yes, None]);
        window.prune(3 + CALL_RETENTION_MS);
        assert_eq!(kept(&window), [None, None, None, yes, yes, yes, None]);
        let data = vec![0; 2 * REPLIES_MAX_BYTES].into();
        let largest = CallRecord { reply: Payload { data, ..Payload::default() }, ..call(6, 6) };
        window.remember(Seq(6), &largest);
        assert_eq!(kept(&window), [None, None, None, no, no, no, yes]);
        assert_eq!(window.0.unwrap().reply_bytes, 2 * REPLIES_MAX_BYTES);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut window = CallWindow::default();
        for id in 0..=CALL_RETENTION_MAX as u128 {
            window.remember(Seq(id as u64), &call(id, 5));
        }
        assert!(window.find(CallId(0)).is_none());
        assert!(window.find(CallId(1)).is_some());
    }
}
