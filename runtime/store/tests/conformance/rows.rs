//! Rows are committed with their turn, and read in the order of their keys.

use bytes::Bytes;
use greenroom_core::Shard;
use greenroom_core::journal::{Record, RecordKind};
use greenroom_core::rows::{RowChange, RowRange, Space};

use crate::common::{Engine, Rig, commit, open, rows};

fn put(key: &'static [u8], value: &'static [u8]) -> RowChange {
    RowChange::put(Space::ITEM, key, value)
}

fn remove(key: &'static [u8]) -> RowChange {
    RowChange::remove(Space::ITEM, key)
}

/// A commit that changes these rows too.
fn with(mut record: Record, changes: impl Into<Vec<RowChange>>) -> Record {
    let RecordKind::Commit(commit) = &mut record.kind else { unreachable!() };
    commit.rows = changes.into();
    record
}

fn keys(rig: &Rig, range: RowRange, limit: usize) -> Vec<Bytes> {
    rig.rows(5, range, limit).into_iter().map(|(key, _)| key).collect()
}

pub(crate) fn rows_are_there_with_their_turn_and_after_reopening(engine: Engine) {
    let rig = Rig::new(engine);
    rig.commit([
        open(5, 1, 1, 0),
        with(commit(5, 1, 2, "Counter/a"), [put(b"b", b"2"), put(b"a", b"1"), put(b"b", b"3")]),
        rows(5, 1, 3, vec![put(b"c", b""), remove(b"a"), remove(b"never there")]),
    ]);
    let expected = [(Bytes::from("b"), Bytes::from("3")), (Bytes::from("c"), Bytes::new())];
    assert_eq!(rig.rows(5, RowRange::all(Space::ITEM), 9), expected);
    let rig = rig.reopen();
    assert_eq!(rig.rows(5, RowRange::all(Space::ITEM), 9), expected);
    assert_eq!(rig.store.records(Shard(5), greenroom_core::Seq(2)).unwrap().len(), 1);
}

pub(crate) fn a_range_is_in_the_order_of_bytes_and_of_one_space_and_shard(engine: Engine) {
    let rig = Rig::new(engine);
    let other_space = RowChange::put(Space::DUE, &b"ab"[..], &b""[..]);
    let all =
        [put(b"\xff", b""), put(b"ab\0", b""), put(b"ab", b""), put(b"a", b""), put(b"b", b""), other_space];
    rig.commit([open(5, 1, 1, 0), with(commit(5, 1, 2, "Counter/a"), all)]);
    rig.commit([open(6, 1, 1, 0), with(commit(6, 1, 2, "Counter/a"), [put(b"abc", b"")])]);
    assert_eq!(keys(&rig, RowRange::all(Space::ITEM), 9), [&b"a"[..], b"ab", b"ab\0", b"b", b"\xff"]);
    assert_eq!(keys(&rig, RowRange::prefix(Space::ITEM, &b"ab"[..]), 9), [&b"ab"[..], b"ab\0"]);
    assert_eq!(keys(&rig, RowRange::one(Space::ITEM, &b"ab"[..]), 9), [&b"ab"[..]]);
    assert_eq!(keys(&rig, RowRange::all(Space::ITEM).after(b"ab"), 2), [&b"ab\0"[..], b"b"]);
    assert_eq!(keys(&rig, RowRange::all(Space::DUE), 9), [&b"ab"[..]]);
    assert_eq!(keys(&rig, RowRange::all(Space::OUTBOX), 9), [&b""[..]; 0]);
}
