//! What was read from nodes and not shown yet, for a moment: until the next page of the same list is asked for.
//!
//! The pages of the nodes do not end where a page of the list does. Who asks for a second page goes on, most likely: what
//! is over waits here, and nodes are asked for more at once than one page needs. Nothing depends on it: a page that comes
//! late, or to another replica, asks the nodes from its place on. What waits was true at a moment after the list's
//! version, which is all that a list promises.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::ClusterId;
use super::listing::{Merge, Request};

/// Placements that are read ahead, over all nodes of a cluster.
pub const AHEAD: usize = 5_000;
/// How long they wait.
const WAITING: Duration = Duration::from_secs(10);
/// How many lists may have some waiting.
const LISTS: usize = 16;

/// What waits.
#[derive(Default)]
pub struct ReadAhead(Mutex<VecDeque<Waiting>>);

struct Waiting {
    cluster: ClusterId,
    request: Request,
    merge: Merge,
    until: Instant,
}

impl ReadAhead {
    /// What waits for just this request.
    pub fn take(&self, cluster: &ClusterId, request: &Request) -> Option<Merge> {
        let mut waiting = self.0.lock();
        let now = Instant::now();
        waiting.retain(|waiting| waiting.until > now);
        let found = waiting.iter().position(|it| it.request == *request && it.cluster == *cluster)?;
        waiting.remove(found).map(|it| it.merge)
    }

    /// Lets something wait for this request. The oldest goes if there is too much.
    pub fn put(&self, cluster: &ClusterId, request: Request, merge: Merge) {
        let mut waiting = self.0.lock();
        if waiting.len() >= LISTS {
            waiting.pop_front();
        }
        let until = Instant::now() + WAITING;
        waiting.push_back(Waiting { cluster: cluster.clone(), request, merge, until });
    }
}
