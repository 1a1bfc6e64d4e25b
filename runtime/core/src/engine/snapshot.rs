//! The pages of a listing come out of a snapshot: which actors were in memory at one moment, sorted.
//!
//! # Why
//! The directory has no order, and keeping one would cost every activation. So without a snapshot each page must look at
//! every activation: 100,000 of them, at 500 a page, 200 times. With it they are looked at and sorted once per listing,
//! and a page costs what is on it. Who activates or forgets an actor does nothing for it.
//!
//! # The rule
//! A snapshot has a stamp S, given before its look at the directory. A page that must show what has been in memory since
//! M is made from a snapshot with S > M: of the newest there is, else of a new one. What the snapshot names is looked up
//! again when the page is made, and skipped if it has gone.
//!
//! **Claim**: a listing whose pages all name the same M, or whose first page asked for the present, shows each actor that
//! was in memory all the time exactly once, and nothing on a page that was not in memory when the page was made.
//!
//! 1. Every snapshot that such a page is made from looked at the directory after the listing began: by S > M, or because
//!    a newer snapshot than the first page's looked later. So it names each actor that was in memory all the time, and
//!    the look-up finds it.
//! 2. A page ends with the last actor that it shows, and the next begins behind it, in one order. So whichever snapshots
//!    the pages are made from, no actor is shown twice, and none between two pages is left out.
//! 3. A change that a page does not show was made after the look, so its stamp is greater than S: who follows the
//!    changes from S misses nothing. (Points 1 to 3 of `changes` say what makes that hold.)
//!
//! Only the newest snapshot is kept, whoever it was taken for: it serves older listings as well. One is taken at a time,
//! and whoever waited for that is often served by it, so that many listings which begin together cost two. It is dropped
//! when no page was made from it for [`UNUSED_FOR`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use smol_str::SmolStr;
use tokio::time::Instant;

use super::listing::describe;
use super::local::is_listed;
use super::{Core, Placement, Stamp};
use crate::identity::{ActorId, ActorType};

/// How long a snapshot is kept that no page is made from: pages of one listing follow each other sooner.
const UNUSED_FOR: Duration = Duration::from_secs(30);

/// Some activations, in the order of type and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementsPage {
    /// They were in memory when the page was made.
    pub placements: Vec<Placement>,
    /// Whether there are more behind the last of them.
    pub more: bool,
    /// A change that the page does not show has a greater stamp.
    pub stamp: Stamp,
}

/// The newest snapshot, while it is in use.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<Option<Kept>>);

struct Kept {
    snapshot: Arc<Snapshot>,
    last_used: Instant,
}

/// Which actors were in memory at a moment.
struct Snapshot {
    /// Given before the look.
    stamp: Stamp,
    /// The keys of each type, sorted. 24 bytes per actor; keys too long for that are shared with the activations.
    keys: BTreeMap<ActorType, Vec<SmolStr>>,
}

impl Snapshots {
    /// Forgets a snapshot that is not used any more.
    pub(super) fn drop_if_unused(&self, now: Instant) {
        // One that is being taken is used.
        let Some(mut kept) = self.0.try_lock() else { return };
        if kept.as_ref().is_some_and(|kept| now.saturating_duration_since(kept.last_used) >= UNUSED_FOR) {
            *kept = None;
        }
    }
}

impl Snapshot {
    /// The actors behind one, optionally of one type, in order.
    fn behind<'a>(
        &'a self,
        actor_type: Option<&'a str>,
        after: Option<&'a ActorId>,
    ) -> impl Iterator<Item = ActorId> + 'a {
        let wanted = move |of: &ActorType| actor_type.is_none_or(|name| of.as_str() == name);
        let of_types = self.keys.iter().filter(move |(of, _)| wanted(of));
        of_types.flat_map(move |(of, keys)| {
            let first = match after {
                Some(after) if *of < after.actor_type => keys.len(),
                Some(after) if *of == after.actor_type => keys.partition_point(|key| *key <= after.key),
                _ => 0,
            };
            keys[first..].iter().map(|key| ActorId { actor_type: of.clone(), key: key.clone() })
        })
    }
}

impl Core {
    /// The activations behind `after` in the order of type and key, at most `limit`, optionally of one type.
    ///
    /// `since` says what must be on the page: each actor that has been in memory from that stamp on. `None` is the
    /// present, so this looks at all activations: it is for the first page of a listing, and the pages that follow name
    /// the stamp of the listing, or 0 if it began with this engine's first page.
    pub fn placements(
        &self,
        actor_type: Option<&str>,
        after: Option<&ActorId>,
        since: Option<Stamp>,
        limit: usize,
    ) -> PlacementsPage {
        let snapshot = self.snapshot(since);
        let directory = self.directory.pin();
        let mut found = snapshot.behind(actor_type, after).filter_map(|id| directory.get(&id));
        let placements = found.by_ref().take(limit).map(|activation| describe(&**activation)).collect();
        PlacementsPage { placements, more: found.next().is_some(), stamp: snapshot.stamp }
    }

    /// The newest snapshot, if its stamp is greater than `since`, else a new one.
    fn snapshot(&self, since: Option<Stamp>) -> Arc<Snapshot> {
        let since = since.unwrap_or_else(|| self.next_stamp());
        // Held while a snapshot is taken: whoever comes meanwhile waits, and may find what they need.
        let mut kept = self.snapshots.0.lock();
        let known = kept.take().map(|kept| kept.snapshot).filter(|snapshot| snapshot.stamp > since);
        let snapshot = known.unwrap_or_else(|| Arc::new(self.take_snapshot()));
        *kept = Some(Kept { snapshot: snapshot.clone(), last_used: self.env.now() });
        snapshot
    }

    fn take_snapshot(&self) -> Snapshot {
        // Before the look.
        let stamp = self.next_stamp();
        let mut keys: BTreeMap<ActorType, Vec<SmolStr>> = BTreeMap::new();
        for activation in self.directory.pin().iter().filter(|found| is_listed(&***found)) {
            let id = activation.id();
            match keys.get_mut(&id.actor_type) {
                Some(of_type) => of_type.push(id.key.clone()),
                None => drop(keys.insert(id.actor_type.clone(), vec![id.key.clone()])),
            }
        }
        for of_type in keys.values_mut() {
            of_type.sort_unstable();
            // Who leaves and comes back during the look may be seen twice.
            of_type.dedup();
            of_type.shrink_to_fit();
        }
        Snapshot { stamp, keys }
    }
}

#[cfg(test)]
mod tests;
