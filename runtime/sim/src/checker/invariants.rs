//! The invariants that are checked from inside, as each record becomes durable and as each reply leaves.
//!
//! Every function has above it why the protocol keeps what it checks.

use std::collections::BTreeMap;

use greenroom_core::Epoch;
use greenroom_core::journal::{Position, Record, RecordKind};
use greenroom_core::map::NodeRun;

/// What became durable of one shard, over all disks.
#[derive(Default)]
pub(super) struct ShardLog {
    last: Position,
    writers: BTreeMap<Epoch, NodeRun>,
}

impl ShardLog {
    pub(super) fn take(&mut self, run: NodeRun, record: &Record) {
        self.writers.entry(record.epoch).or_insert(run);
        self.last = Position { epoch: record.epoch, seq: record.seq };
    }
}

/// I1, first half: two runs never both commit for one shard at one epoch.
///
/// The map's entry names one run per epoch, the register gives an epoch to one entry only, and a run opens an epoch
/// only if the entry names it.
pub(super) fn i1_one_writer_per_epoch(log: &ShardLog, run: NodeRun, record: &Record) -> Result<(), String> {
    match log.writers.get(&record.epoch) {
        Some(writer) if *writer != run => {
            Err(format!("{} and {} both wrote {}", name(*writer), name(run), place(record)))
        }
        Some(_) => Ok(()),
        None => match &record.kind {
            RecordKind::Open(owner) if *owner == run => Ok(()),
            _ => Err(format!("{} of {} begins an epoch without its Open record", place(record), name(run))),
        },
    }
}

/// I1, second half: a lower epoch takes no place after a higher epoch's Open record.
///
/// With one copy the higher epoch belongs to a later run on the same store, or to the same run, which closes the shard
/// before it opens it again.
pub(super) fn i1_no_lower_epoch_after_an_open(log: &ShardLog, record: &Record) -> Result<(), String> {
    if record.epoch < log.last.epoch {
        return Err(format!("{} became durable after epoch {}", place(record), log.last.epoch));
    }
    Ok(())
}

/// I1: the places of a shard are taken one after the other, and each record names the epoch of the one before.
///
/// Records are numbered under one lock, an owner begins behind the last record of its log, and what a crash loses is a
/// tail.
pub(super) fn i1_no_gap(log: &ShardLog, record: &Record) -> Result<(), String> {
    if record.seq == log.last.seq.next() && record.prev_epoch == log.last.epoch {
        return Ok(());
    }
    let Position { epoch, seq } = log.last;
    let told = record.prev_epoch;
    Err(format!("{} behind epoch {told} became durable behind seq {seq} of epoch {epoch}", place(record)))
}

/// I2: what is durable stays. The next durable state of an actor contains the one before.
///
/// An activation begins with the last durable state, and one turn runs at a time.
pub(super) fn i2_nothing_durable_is_undone(before: &[u64], after: &[u64]) -> Result<(), String> {
    if after.starts_with(before) {
        return Ok(());
    }
    Err(format!("a ledger with {before:?} became {after:?}"))
}

/// I3: what shows the first `length` values of a ledger leaves after their records are durable.
///
/// The gate holds every output back until the newest record that its turn saw is committed, and with one copy that is
/// when the journal says that it is on disk.
pub(super) fn i3_output_waits_for_its_commit(
    key: &str,
    durable: usize,
    length: usize,
    what: &str,
) -> Result<(), String> {
    if length <= durable {
        return Ok(());
    }
    Err(format!("{what} of ledger {key} shows {length} values while {durable} are durable"))
}

/// I3 for reading turns, whose replies show all values: they are a beginning of the durable ones.
pub(super) fn i3_list_is_durable(key: &str, durable: &[u64], shown: &[u64]) -> Result<(), String> {
    if durable.starts_with(shown) {
        return Ok(());
    }
    Err(format!("a read of ledger {key} shows {shown:?} while {durable:?} is durable"))
}

/// I4: a call is applied at most once. Each call has a value of its own.
///
/// The call's id is in the same record as its effect, so whoever has the effect has the id.
pub(super) fn i4_applied_once(values: &[u64]) -> Result<(), String> {
    let Some((last, before)) = values.split_last() else { return Ok(()) };
    if !before.contains(last) {
        return Ok(());
    }
    Err(format!("value {last} was applied twice: {values:?}"))
}

fn place(record: &Record) -> String {
    format!("seq {} of shard {} at epoch {}", record.seq, record.shard, record.epoch)
}

fn name(run: NodeRun) -> String {
    format!("run {} of store {}", run.incarnation, run.store.0.as_u128() - 1)
}
