//! The rows by due time follow the rows by name.
//!
//! A turn that sets, moves or forgets a reminder only changes its row by name. When the turn is about to commit, and has
//! its actor still for itself, [`complete`](Reminders::complete) adds what must change with it: the old row by due time
//! goes, the new one comes. The old due time is usually in memory; if not, it is read, once everything that earlier
//! turns have changed is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Reminders;
use super::agenda::Known;
use super::stored::{Stored, due_key};
use crate::identity::Seq;
use crate::journal::JournalError;
use crate::rows::{RowChange, RowRange, Space};
use crate::shard::OwnedShard;

/// Whether a turn has changed reminders.
pub(in crate::engine) fn changed(rows: &[RowChange]) -> bool {
    rows.iter().any(|row| row.space == Space::REMINDER)
}

impl Reminders {
    /// A turn's rows with those by due time.
    pub(in crate::engine) async fn complete(
        &self,
        shard: &Arc<OwnedShard>,
        rows: Vec<RowChange>,
    ) -> Result<Vec<RowChange>, JournalError> {
        let (by_name, mut rows): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.space == Space::REMINDER);
        // Of several changes of one reminder the last one counts.
        let last: BTreeMap<Bytes, Option<Bytes>> =
            by_name.into_iter().map(|row| (row.key, row.value)).collect();
        for (key, value) in last {
            if let Some(before) = self.due_row(shard, &key).await? {
                rows.push(RowChange::remove(Space::DUE, before));
            }
            if let Some(stored) = value.as_deref().and_then(Stored::decode) {
                rows.push(RowChange::put(Space::DUE, due_key(stored.due, &key), Bytes::new()));
            }
            rows.push(RowChange { space: Space::REMINDER, key, value });
        }
        Ok(rows)
    }

    /// The row by due time of a reminder, as the commits so far leave it.
    async fn due_row(&self, shard: &Arc<OwnedShard>, key: &Bytes) -> Result<Option<Bytes>, JournalError> {
        match self.find(shard, key) {
            Known::Due(row) => return Ok(Some(row)),
            Known::Nothing => return Ok(None),
            Known::OnDisk => {}
        }
        let last = shard.last().unwrap_or(Seq(0));
        shard.gate().wait(last).await.map_err(|_| JournalError::Closed)?;
        let stored = self.stored(shard, key).await?;
        Ok(stored.map(|stored| due_key(stored.due, key)))
    }

    /// The reminder with this name as the disk has it.
    pub(super) async fn stored(
        &self,
        shard: &Arc<OwnedShard>,
        key: &Bytes,
    ) -> Result<Option<Stored>, JournalError> {
        let range = RowRange::one(Space::REMINDER, key.clone());
        let rows = shard.journal().rows(shard.shard(), range, 1).await?;
        Ok(rows.first().and_then(|(_, value)| Stored::decode(value)))
    }
}
