//! Which record may follow which: invariant I1, checked where the write happens.
//!
//! A shard's records form one chain. Record r may follow position (epoch, seq) if and only if
//! 1. `r.seq == seq + 1`: no gap, and no second record in a place that is taken;
//! 2. `r.prev_epoch == epoch`: it was made by somebody who had seen exactly this history;
//! 3. `r.epoch > epoch` for an opening record, `r.epoch == epoch` for a commit: an epoch begins with its one opening
//!    record, and after it no lower epoch takes a place.

use std::collections::HashMap;

use greenroom_core::journal::{Durable, Position, Record, RecordKind};
use greenroom_core::{Epoch, Seq, Shard};
use thiserror::Error;

/// A record that does not fit behind the last one of its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the record (epoch {epoch}, seq {seq}, after epoch {prev_epoch}) of shard {shard} cannot follow (epoch {}, seq {}): \
     {reason}. Nothing of its group was written; start the node again, and report this as a bug",
    last.epoch,
    last.seq
)]
pub struct Damage {
    /// The shard.
    pub shard: Shard,
    /// The record's epoch.
    pub epoch: Epoch,
    /// The record's place.
    pub seq: Seq,
    /// The epoch that it says it follows.
    pub prev_epoch: Epoch,
    /// The place of the shard's last record.
    pub last: Position,
    /// Which rule it breaks.
    pub reason: Break,
}

/// The rule of the chain that a record breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Break {
    /// Its epoch is lower than the shard's.
    #[error("its epoch has been replaced")]
    LowerEpoch,
    /// It does not take the next place.
    #[error("it does not take the next place")]
    Place,
    /// It was made behind another record than the last one.
    #[error("it was made for another history")]
    History,
    /// A commit of an epoch that has no opening record.
    #[error("its epoch was never opened")]
    NotOpened,
    /// A second opening record of the same epoch.
    #[error("its epoch is open already")]
    OpenedTwice,
}

/// The position of every shard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chains(HashMap<Shard, Position>);

impl Chains {
    /// Begins with what the engine holds.
    pub(crate) fn new(durable: impl IntoIterator<Item = Durable>) -> Self {
        Self(durable.into_iter().map(|d| (d.shard, d.position)).collect())
    }

    /// Where the shard is.
    pub(crate) fn last(&self, shard: Shard) -> Position {
        self.0.get(&shard).copied().unwrap_or_default()
    }

    /// Moves shards on to where they are known to be.
    pub(crate) fn advance(&mut self, durable: &[Durable]) {
        self.0.extend(durable.iter().map(|d| (d.shard, d.position)));
    }

    /// Takes a record into its chain.
    pub(crate) fn admit(&mut self, record: &Record) -> Result<(), Damage> {
        let last = self.0.entry(record.shard).or_default();
        let Record { shard, epoch, seq, prev_epoch, .. } = *record;
        match breaks(*last, record) {
            Some(reason) => Err(Damage { shard, epoch, seq, prev_epoch, last: *last, reason }),
            None => {
                *last = Position { epoch, seq };
                Ok(())
            }
        }
    }
}

fn breaks(last: Position, record: &Record) -> Option<Break> {
    let opens = matches!(record.kind, RecordKind::Open(_));
    if record.epoch < last.epoch {
        Some(Break::LowerEpoch)
    } else if record.seq != last.seq.next() {
        Some(Break::Place)
    } else if record.prev_epoch != last.epoch {
        Some(Break::History)
    } else if opens && record.epoch == last.epoch {
        Some(Break::OpenedTwice)
    } else if !opens && record.epoch != last.epoch {
        Some(Break::NotOpened)
    } else {
        None
    }
}
