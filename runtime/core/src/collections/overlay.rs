//! Rows of collections that turns have committed and that are not durable yet: the journal does not show them, the
//! next turn must.
//!
//! **Rule**: who wants the newest row looks here first and then, if it is not here, in the journal. A row leaves when its
//! record is durable, so what is not here when it is looked for is in the journal by then. (In the other order a row could
//! become durable between the two looks and be missed by both.)
//!
//! It belongs to the shard and not to the activation: a turn that fails throws the actor's state away and the rows of
//! the turns before it must stay. An actor without collections never comes here.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::identity::{Seq, ShardCount};
use crate::rows::{RowChange, RowFollower, RowRange, Space};
use crate::shard::OwnedShard;

/// The rows of every shard of a node that are not durable yet.
pub(crate) struct Overlay {
    /// By shard. `None` where there are none, which is the rule.
    shards: Vec<Mutex<Option<Box<Pending>>>>,
}

/// The record of a row that a relaxed turn has changed and that is in no record yet: later than all there are.
const UNWRITTEN: Seq = Seq(u64::MAX);

/// The rows of one shard.
struct Pending {
    shard: Arc<OwnedShard>,
    /// The newest change of each row, with the record that it is in.
    rows: BTreeMap<Bytes, (Seq, Option<Bytes>)>,
    /// All changes that are in records, nearly in their order: actors tell theirs one after the other.
    order: VecDeque<(Seq, Bytes)>,
}

impl Pending {
    fn new(shard: &Arc<OwnedShard>) -> Box<Self> {
        Box::new(Self { shard: shard.clone(), rows: BTreeMap::new(), order: VecDeque::new() })
    }

    /// Forgets what is durable. False if nothing is left.
    fn prune(&mut self) -> bool {
        let Some(committed) = self.shard.gate().committed() else { return false };
        while let Some((seq, key)) = self.order.pop_front_if(|(seq, _)| *seq <= committed) {
            if self.rows.get(&key).is_some_and(|(newest, _)| *newest <= seq) {
                self.rows.remove(&key);
            }
        }
        !self.rows.is_empty()
    }
}

impl Overlay {
    pub(crate) fn new(count: ShardCount) -> Self {
        Self { shards: count.shards().map(|_| Mutex::new(None)).collect() }
    }

    /// The newest change of this row, if it is not durable yet.
    pub(crate) fn get(&self, shard: &Arc<OwnedShard>, key: &[u8]) -> Option<Option<Bytes>> {
        self.of(shard, |rows| rows.get(key).map(|(_, value)| value.clone()))?
    }

    /// The first rows of a range that are not durable yet, at most `limit`.
    pub(crate) fn first(
        &self,
        shard: &Arc<OwnedShard>,
        range: &RowRange,
        limit: usize,
    ) -> Vec<(Bytes, Option<Bytes>)> {
        let until = range.until.as_ref().map_or(Bound::Unbounded, |until| Bound::Excluded(&until[..]));
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&range.from), until);
        let first = self.of(shard, |rows| {
            let found = rows.range::<[u8], _>(bounds).take(limit);
            found.map(|(key, (_, value))| (key.clone(), value.clone())).collect()
        });
        first.unwrap_or_default()
    }

    /// A relaxed turn has changed this row. When it is in a record, [`committed`](RowFollower::committed) says so.
    pub(crate) fn unwritten(&self, shard: &Arc<OwnedShard>, row: &RowChange) {
        self.put(shard, UNWRITTEN, row);
    }

    /// Forgets what is durable. What nobody reads or changes any more goes this way.
    pub(crate) fn prune(&self) {
        for slot in &self.shards {
            let mut slot = slot.lock();
            slot.take_if(|pending| !pending.prune());
        }
    }

    fn of<T>(
        &self,
        shard: &Arc<OwnedShard>,
        look: impl FnOnce(&BTreeMap<Bytes, (Seq, Option<Bytes>)>) -> T,
    ) -> Option<T> {
        let mut slot = self.shards.get(usize::from(shard.shard().0))?.lock();
        let pending = slot.as_mut().filter(|pending| Arc::ptr_eq(&pending.shard, shard))?;
        if !pending.prune() {
            *slot = None;
            return None;
        }
        Some(look(&pending.rows))
    }
}

impl RowFollower for Overlay {
    /// All that a shard has when it is opened is durable.
    fn opened(&self, _: &Arc<OwnedShard>) {}

    fn committed(&self, shard: &Arc<OwnedShard>, seq: Seq, row: &RowChange) {
        self.put(shard, seq, row);
    }

    fn closed(&self, shard: &Arc<OwnedShard>) {
        if let Some(slot) = self.shards.get(usize::from(shard.shard().0)) {
            slot.lock().take_if(|pending| Arc::ptr_eq(&pending.shard, shard));
        }
    }
}

impl Overlay {
    fn put(&self, shard: &Arc<OwnedShard>, seq: Seq, row: &RowChange) {
        if row.space != Space::ITEM {
            return;
        }
        let Some(slot) = self.shards.get(usize::from(shard.shard().0)) else { return };
        let mut slot = slot.lock();
        // A turn that was overtaken by the next owner must not push that one's rows away.
        if slot.as_ref().is_some_and(|pending| pending.shard.epoch() > shard.epoch()) {
            return;
        }
        slot.take_if(|pending| !Arc::ptr_eq(&pending.shard, shard));
        let pending = slot.get_or_insert_with(|| Pending::new(shard));
        pending.prune();
        pending.rows.insert(row.key.clone(), (seq, row.value.clone()));
        if seq != UNWRITTEN {
            pending.order.push_back((seq, row.key.clone()));
        }
    }
}
