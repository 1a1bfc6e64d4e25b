//! Who works on the rows of the shards that this node serves, and how they learn of them.

use std::sync::Arc;

use super::{Core, reminders};
use crate::identity::Seq;
use crate::journal::JournalError;
use crate::rows::{RowChange, RowFollower, Space};
use crate::shard::OwnedShard;

/// The followers, each of one space.
pub(super) type Followers = Vec<(Space, Arc<dyn RowFollower>)>;

impl Core {
    pub(super) fn tell_opened(&self, shard: &Arc<OwnedShard>) {
        for (_, follower) in &self.followers {
            follower.opened(shard);
        }
    }

    pub(super) fn tell_closed(&self, shard: &Arc<OwnedShard>) {
        for (_, follower) in &self.followers {
            follower.closed(shard);
        }
    }

    /// A turn's rows with those that change because of them. To be called while the turn has its actor for itself.
    pub(super) async fn complete_rows(
        &self,
        shard: &Arc<OwnedShard>,
        rows: Vec<RowChange>,
    ) -> Result<Vec<RowChange>, JournalError> {
        if !reminders::changed(&rows) {
            return Ok(rows);
        }
        // Boxed, so that turns without reminders do not carry its room with them.
        Box::pin(self.reminders.complete(shard, rows)).await
    }

    /// Those of a commit's rows that somebody follows; most commits have none.
    pub(super) fn followed(&self, rows: &[RowChange]) -> Vec<RowChange> {
        let followed = |row: &&RowChange| self.followers.iter().any(|(space, _)| *space == row.space);
        rows.iter().filter(followed).cloned().collect()
    }

    /// To be called while the turn still has its actor, so that the commits of one actor are told in their order.
    pub(super) fn tell_followers(&self, shard: &Arc<OwnedShard>, seq: Seq, rows: &[RowChange]) {
        for row in rows {
            for (_, follower) in self.followers.iter().filter(|(space, _)| *space == row.space) {
                follower.committed(shard, seq, row);
            }
        }
    }
}
