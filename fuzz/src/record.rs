//! Records of a shard, as the store and the log keep them.

use bytes::Bytes;
use greenroom_core::journal::{CallRecord, Commit, Record, RecordKind};
use greenroom_core::map::NodeRun;
use greenroom_core::rows::{RowChange, Space};
use greenroom_core::{ActorId, CallId, Epoch, Incarnation, Payload, Seq, Shard, StoreId};
use uuid::Uuid;

use crate::identity::{actor, keeps_its_limits, with_keys_around_the_limit};
use crate::{choice, chosen, read_stored, stored};

/// A whole record, or the part of one that the store keeps in a column.
pub(crate) fn check(input: &[u8]) {
    let (part, data) = choice(input, 4);
    let commit = match part {
        0 => read_stored(data).and_then(|record: Record| match record.kind {
            RecordKind::Commit(commit) => Some(commit),
            _ => None,
        }),
        1 => read_stored(data),
        2 => read_stored::<Vec<RowChange>>(data).and(None),
        _ => read_stored::<NodeRun>(data).and(None),
    };
    if let Some(commit) = commit {
        keeps_its_limits(&commit.actor);
        let calls: Vec<_> = commit.earlier.iter().chain([&commit.call]).collect();
        assert_eq!(commit.calls().collect::<Vec<_>>(), calls, "the newest call comes last");
    }
}

/// A record of every kind, its parts, and commits of actors whose keys are too short or too long.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let rows = vec![RowChange::put(Space::ITEM, "key", "value"), RowChange::remove(Space::DUE, "x")];
    let run = NodeRun { store: StoreId(Uuid::from_u128(5)), incarnation: Incarnation(3) };
    let commit = commit(actor("Counter/page-1"), rows.clone());
    let of_keys =
        with_keys_around_the_limit().map(|actor| chosen(1, stored(&self::commit(actor, Vec::new()))));
    let kinds = [RecordKind::Open(run), RecordKind::Commit(commit.clone()), RecordKind::Rows(rows.clone())];
    let records = kinds.map(|kind| {
        let (shard, epoch, seq, prev_epoch) = (Shard(77), Epoch(5), Seq(9), Epoch(4));
        chosen(0, stored(&Record { shard, epoch, seq, prev_epoch, kind }))
    });
    let parts = [chosen(1, stored(&commit)), chosen(2, stored(&rows)), chosen(3, stored(&run))];
    records.into_iter().chain(parts).chain(of_keys).collect()
}

fn commit(actor: ActorId, rows: Vec<RowChange>) -> Commit {
    let call = |id| CallRecord {
        id: CallId(id),
        method: "add".into(),
        arguments_hash: 3,
        reply: Payload::default(),
        at_unix_ms: 5,
    };
    let state = Bytes::from_static(b"\x81\xa5total\x07");
    Commit { actor, state, earlier: vec![call(1)], call: call(2), rows }
}
