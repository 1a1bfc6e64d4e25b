//! The owner's part of the shard protocol, for one shard on one node (protocol 4.1, 4.3, 4.4), without I/O.
//!
//! ```text
//!            Entry(owner = me, new epoch)        Recovered(last)           Durable(open_seq)
//!   Idle ──────────────────────────────▶ Recovering ─────────▶ Opening ──────────────────▶ Serving
//!     ▲                                    │                      │                           │
//!     └────────────────────────────────────┴── a higher epoch, or Stopping: StepDown ─────────┘
//! ```
//! A node becomes owner at the epoch of the map entry that names its run. Its first act is an Open record behind the
//! last record of its log; it serves when that record is committed. A record is committed when every *required* store
//! has it on disk. With one copy the in-sync set is the owner alone: required = {me}, nobody else may be promoted, so
//! no grants are needed and there is nothing to sit out before serving.
//!
//! **I1**: an epoch is opened at most once, by one run (the entry names store and incarnation), and never an epoch
//! lower than one that was heard of; records of a lower epoch never follow. **I3**: `Serve` comes after the Open record's
//! commit; after `StepDown` nothing of that epoch is committed or served here.

use greenroom_core::journal::Position;
use greenroom_core::map::{Entry, NodeRun};
use greenroom_core::{Epoch, Seq};

/// What happens to a shard on this node.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The map's entry, from a page version that is newer than the one before.
    Entry(&'a Entry),
    /// The answer to [`Effect::Recover`]: the place of the log's last record, durable or not.
    Recovered(Position),
    /// The journal did not take the Open record; it may do so later, after another [`Event::Recovered`].
    NotOpened,
    /// Everything of this shard up to here is on this node's disk.
    Durable(Position),
    /// The node stops: give the shard up and take it no more.
    Stopping,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Say where the log ends: [`Event::Recovered`].
    Recover,
    /// Append the Open record of this epoch behind the log's last record.
    Open {
        /// The epoch to open.
        epoch: Epoch,
        /// The log's last record.
        behind: Position,
    },
    /// Everything up to here is committed: its output may leave.
    Commit(Seq),
    /// Run the shard's calls here from now on.
    Serve,
    /// Drop the shard's memory and pending output; take no further record of its epoch.
    StepDown,
    /// Do not take the shard, and say so loudly.
    Refuse(Refusal),
}

/// Why a shard is not taken although the map names this run as its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The log has a record of this epoch or a later one: the map was set back.
    MapSetBack {
        /// The epoch of the log's last record.
        log: Epoch,
        /// The epoch in the map.
        map: Epoch,
    },
    /// The in-sync set has other stores than the owner's: replication is not part of this version.
    Copies(usize),
}

/// The owner's state for one shard.
#[derive(Debug, Clone)]
pub struct Owner {
    me: NodeRun,
    /// The highest epoch heard of, from the map or the log.
    seen: Epoch,
    /// The highest epoch that this run has taken.
    taken: Epoch,
    role: Role,
    stopping: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Idle,
    Recovering { epoch: Epoch },
    Opening { epoch: Epoch, open_seq: Seq },
    Serving { epoch: Epoch, commit: Seq },
}

impl Owner {
    /// A shard that this run does not own yet.
    pub fn new(me: NodeRun) -> Self {
        Self { me, seen: Epoch(0), taken: Epoch(0), role: Role::Idle, stopping: false }
    }

    /// True from taking the shard until stepping down.
    pub fn is_owner(&self) -> bool {
        self.role != Role::Idle
    }

    /// True if calls run here.
    pub fn is_serving(&self) -> bool {
        matches!(self.role, Role::Serving { .. })
    }

    /// The epoch at which this run owns the shard, while it does.
    pub fn epoch(&self) -> Option<Epoch> {
        match self.role {
            Role::Idle => None,
            Role::Recovering { epoch } | Role::Opening { epoch, .. } | Role::Serving { epoch, .. } => {
                Some(epoch)
            }
        }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event<'_>) -> Vec<Effect> {
        match event {
            Event::Entry(entry) => self.on_entry(entry),
            Event::Recovered(last) => self.on_recovered(last),
            Event::NotOpened => self.on_not_opened(),
            Event::Durable(position) => self.on_durable(position),
            Event::Stopping => {
                self.stopping = true;
                self.step_down()
            }
        }
    }

    fn on_entry(&mut self, entry: &Entry) -> Vec<Effect> {
        let mut effects = self.hear(entry.epoch);
        let mine = entry.owner == self.me && entry.epoch > self.taken && entry.epoch >= self.seen;
        if !mine || self.stopping {
            return effects;
        }
        self.taken = entry.epoch;
        if entry.in_sync != [self.me.store] {
            effects.push(Effect::Refuse(Refusal::Copies(entry.in_sync.len())));
        } else {
            self.role = Role::Recovering { epoch: entry.epoch };
            effects.push(Effect::Recover);
        }
        effects
    }

    fn hear(&mut self, epoch: Epoch) -> Vec<Effect> {
        self.seen = self.seen.max(epoch);
        match self.epoch() {
            Some(mine) if mine < epoch => self.step_down(),
            _ => Vec::new(),
        }
    }

    fn step_down(&mut self) -> Vec<Effect> {
        match std::mem::replace(&mut self.role, Role::Idle) {
            // Nothing has been opened yet, so there is nothing to close.
            Role::Idle | Role::Recovering { .. } => Vec::new(),
            Role::Opening { .. } | Role::Serving { .. } => vec![Effect::StepDown],
        }
    }

    fn on_recovered(&mut self, last: Position) -> Vec<Effect> {
        let Role::Recovering { epoch } = self.role else { return Vec::new() };
        self.seen = self.seen.max(last.epoch);
        if last.epoch >= epoch {
            self.role = Role::Idle;
            return vec![Effect::Refuse(Refusal::MapSetBack { log: last.epoch, map: epoch })];
        }
        self.role = Role::Opening { epoch, open_seq: last.seq.next() };
        vec![Effect::Open { epoch, behind: last }]
    }

    fn on_not_opened(&mut self) -> Vec<Effect> {
        let Role::Opening { epoch, .. } = self.role else { return Vec::new() };
        self.role = Role::Recovering { epoch };
        vec![Effect::Recover]
    }

    /// With one copy, what is durable here is on every required store.
    fn on_durable(&mut self, position: Position) -> Vec<Effect> {
        match &mut self.role {
            Role::Opening { epoch, open_seq } if position.epoch == *epoch && position.seq >= *open_seq => {
                self.role = Role::Serving { epoch: *epoch, commit: position.seq };
                vec![Effect::Commit(position.seq), Effect::Serve]
            }
            Role::Serving { epoch, commit } if position.epoch == *epoch && position.seq > *commit => {
                *commit = position.seq;
                vec![Effect::Commit(position.seq)]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
