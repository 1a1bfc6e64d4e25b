//! Watches a simulation and keeps the first violation of an invariant.
//!
//! From inside: every record that becomes durable, and every reply that leaves an engine ([`invariants`]). From outside:
//! what clients asked and were told ([`history`]).

pub(crate) mod history;
mod invariants;

use std::collections::{BTreeMap, BTreeSet};

use greenroom_cluster::ClusterError;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::journal::{Record, RecordKind};
use greenroom_core::map::NodeRun;
use greenroom_core::{ActorId, AppError, CallError, CallId, Shard};
use greenroom_testing::{Event, Observer};
use parking_lot::Mutex;

use crate::actors::{Crossing, Ledger};
use crate::report::Stats;
use history::History;
use invariants::ShardLog;

/// What must not happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the function that checks it.
    pub invariant: &'static str,
    /// What was seen.
    pub message: String,
}

/// The checkers and what they have seen.
#[derive(Default)]
pub(crate) struct Checker {
    pub(crate) history: History,
    pub(crate) crossing: Crossing,
    pub(crate) stats: Mutex<Stats>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    logs: BTreeMap<Shard, ShardLog>,
    /// What each ledger shows by its last durable record, by key.
    durable: BTreeMap<String, Vec<u64>>,
    duplicated: BTreeSet<CallId>,
    violation: Option<Violation>,
}

impl Observer for Checker {
    fn happened(&self, event: Event<'_>) {
        match event {
            Event::Durable(run, record) => self.durable(run, record),
            Event::ReplyLeaves(call, outcome) => self.reply_leaves(call, outcome),
            Event::LoadedTooEarly(actor) => self.loaded_too_early(actor),
            Event::DeliveredTwice(call) => self.duplicated(call),
            Event::Lost => self.stats.lock().lost += 1,
            Event::Started => self.stats.lock().starts += 1,
            Event::Ended => self.stats.lock().crashes += 1,
            Event::Drains => self.stats.lock().drains += 1,
            Event::Drained => {}
            Event::Paused => self.stats.lock().pauses += 1,
            Event::CannotGoOn(error) => self.node_failed(error),
            Event::Replaced(owners) => self.stats.lock().replaced += owners as u64,
        }
    }
}

impl Checker {
    /// Notes a violation, if it is the first.
    pub(crate) fn violate(&self, invariant: &'static str, message: String) {
        self.state.lock().violation.get_or_insert(Violation { invariant, message });
    }

    pub(crate) fn has_violation(&self) -> bool {
        self.state.lock().violation.is_some()
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        self.state.lock().violation.clone()
    }

    fn check(&self, invariant: &'static str, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.violate(invariant, message);
        }
    }

    /// A record of this run is on its disk.
    fn durable(&self, run: NodeRun, record: &Record) {
        let mut state = self.state.lock();
        let log = state.logs.entry(record.shard).or_default();
        let one_writer = invariants::i1_one_writer_per_epoch(log, run, record);
        let no_lower = invariants::i1_no_lower_epoch_after_an_open(log, record);
        let no_gap = invariants::i1_no_gap(log, record);
        log.take(run, record);
        let mut contents = None;
        if let RecordKind::Commit(commit) = &record.kind
            && let Ok(ledger) = rmp_serde::from_slice::<Ledger>(&commit.state)
        {
            let before = state.durable.insert(commit.actor.key.to_string(), ledger.values.clone());
            contents = Some((before.unwrap_or_default(), ledger.values));
        }
        drop(state);
        self.check("i1_one_writer_per_epoch", one_writer);
        self.check("i1_no_lower_epoch_after_an_open", no_lower);
        self.check("i1_no_gap", no_gap);
        if let Some((before, after)) = contents {
            self.check("i4_applied_once", invariants::i4_applied_once(&after));
            self.check(
                "i2_nothing_durable_is_undone",
                invariants::i2_nothing_durable_is_undone(&before, &after),
            );
        }
    }

    /// A reply leaves the engine that ran the call.
    pub(crate) fn reply_leaves(&self, call: &Call, outcome: &CallResult) {
        let key = &*call.target.key;
        match outcome {
            Ok(reply) if &*call.method == "read" => {
                if let Ok(shown) = reply.decode::<Vec<u64>>("a list") {
                    self.list_leaves(key, &shown);
                }
            }
            Ok(reply) => {
                if let Ok(length) = reply.decode::<u64>("a length") {
                    self.output(key, length as usize, "a reply");
                }
            }
            Err(CallError::App(error)) => {
                let error = error.decode::<AppError>("an error");
                if let Some(seen) = error.ok().and_then(|error| error.message.parse().ok()) {
                    self.output(key, seen, "an error");
                }
            }
            Err(_) => {}
        }
    }

    /// A list of a ledger's values leaves the engine that ran the call.
    pub(crate) fn list_leaves(&self, key: &str, shown: &[u64]) {
        let durable = self.state.lock().durable.get(key).cloned().unwrap_or_default();
        self.check("i3_output_waits_for_its_commit", invariants::i3_list_is_durable(key, &durable, shown));
    }

    /// Something leaves that shows the first `length` values of a ledger.
    pub(crate) fn output(&self, key: &str, length: usize, what: &str) {
        let durable = self.state.lock().durable.get(key).map_or(0, Vec::len);
        let outcome = invariants::i3_output_waits_for_its_commit(key, durable, length, what);
        self.check("i3_output_waits_for_its_commit", outcome);
    }

    /// The network delivers the request of this call twice.
    fn duplicated(&self, call: CallId) {
        self.stats.lock().duplicates += 1;
        self.state.lock().duplicated.insert(call);
    }

    pub(crate) fn was_duplicated(&self, call: CallId) -> bool {
        self.state.lock().duplicated.contains(&call)
    }

    /// The engine asks for an actor while a record of it waits to become durable.
    fn loaded_too_early(&self, actor: &ActorId) {
        let message = format!("{actor} is loaded while a record of it is not durable yet");
        self.violate("an_actor_is_loaded_when_its_records_are_durable", message);
    }

    /// A node says that it cannot take part. A refused start may come of an old page and passes with the next one.
    fn node_failed(&self, error: &ClusterError) {
        self.stats.lock().refused += 1;
        if !matches!(error, ClusterError::Refused(_)) {
            self.violate("the_map_and_the_logs_agree", error.to_string());
        }
    }
}
