//! The waits-for graph, as far as one actor knows it, and how a probe passes through it (edge chasing after Chandy,
//! Misra and Haas).
//!
//! A call waits in the mailbox of its actor for *every* turn that holds the actor; a turn waits for *every* call that it
//! has made and not dropped. (So a `select!` counts as waiting for all that it holds.) A cycle of such waits is a
//! deadlock. Each actor keeps two kinds of edges: calls that wait in its mailbox, and what its turns wait for.
//!
//! 1. A waiting call sends a probe along the edges. A call in a mailbox lets a probe pass only if its own id is higher,
//!    so of every cycle only the call with the lowest id sees its probe come back. A turn passes a probe on once.
//! 2. A probe that came back has noted the cycle. Each edge was there when the probe passed, but maybe not all at one
//!    moment: so the same path is *checked* once more, edge by edge.
//! 3. If all edges are still there, the call fails, and the others of the cycle go on.
//!
//! **Claim**: no call fails without a deadlock. Calls have ids of their own, so an edge that was dropped never comes
//! back: one that was there in the search and in the check was there all the time between, and the moment between the two
//! is the same for all edges. **And** every cycle that stays is found, if its lowest call searches again and again, unless
//! it is longer than [`MAX_HOPS`].
//!
//! Pure: what is to be sent comes out as [`Effect`]s.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::identity::{ActorId, CallId};

/// The longest cycle that is found, in actors; longer ones end with their deadlines.
pub(super) const MAX_HOPS: usize = 64;
/// How many searches a turn remembers to have passed on.
const MAX_PASSED: usize = 256;

/// One step of a path: a call to an actor, and the turn that it waits for (or that it is itself).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hop {
    actor: ActorId,
    call: CallId,
    turn: CallId,
}

/// A question on its way: what does the call `about` wait for?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Probe {
    /// The call that searches.
    origin: CallId,
    /// Which of its searches this is; later ones have higher numbers.
    search: u64,
    /// A call to the actor that is asked.
    about: CallId,
    /// The way from the origin to here.
    path: Vec<Hop>,
    /// What of a path that was found is still to be checked; `None` for a probe that searches.
    ahead: Option<Vec<Hop>>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Ask this actor.
    Send(ActorId, Probe),
    /// This call, which waits here, fails; the actors of the cycle, in the order of the calls.
    Deadlock(CallId, Vec<String>),
}

/// The waits at one actor.
#[derive(Debug, Default)]
pub(super) struct ActorWaits {
    /// Calls in the mailbox, with their running search.
    queued: BTreeMap<CallId, u64>,
    /// The turns that wait for calls.
    turns: BTreeMap<CallId, Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    awaits: Vec<(CallId, ActorId)>,
    /// The last search of each origin that it has passed on.
    passed: HashMap<CallId, u64, FixedState>,
}

impl ActorWaits {
    /// A call waits in the mailbox from now on. False if one with its id does already.
    pub(super) fn queue(&mut self, call: CallId) -> bool {
        self.queued.insert(call, 0).is_none()
    }

    /// It does not wait any more.
    pub(super) fn unqueue(&mut self, call: CallId) {
        self.queued.remove(&call);
    }

    /// A turn waits for a call that it has made.
    pub(super) fn awaits(&mut self, turn: CallId, call: CallId, target: ActorId) {
        self.turns.entry(turn).or_default().awaits.push((call, target));
    }

    /// The call has ended, or was dropped.
    pub(super) fn awaits_no_more(&mut self, turn: CallId, call: CallId) {
        let Some(waiting) = self.turns.get_mut(&turn) else { return };
        if let Some(at) = waiting.awaits.iter().position(|(awaited, _)| *awaited == call) {
            waiting.awaits.swap_remove(at);
        }
        if waiting.awaits.is_empty() {
            self.turns.remove(&turn);
        }
    }

    /// The turn holds its actor no more, whoever still waits for its calls.
    pub(super) fn ended(&mut self, turn: CallId) {
        self.turns.remove(&turn);
    }

    /// Nothing waits here.
    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.turns.is_empty()
    }

    /// A waiting call searches, under a number above those that it has used before.
    pub(super) fn search(&mut self, here: &ActorId, call: CallId, search: u64) -> Vec<Effect> {
        let Some(running) = self.queued.get_mut(&call) else { return Vec::new() };
        *running = search;
        self.pass(here, Probe { origin: call, search, about: call, path: Vec::new(), ahead: None })
    }

    /// A probe has come.
    pub(super) fn arrived(&mut self, here: &ActorId, mut probe: Probe) -> Vec<Effect> {
        let came_back = probe.about == probe.origin && !probe.path.is_empty();
        if came_back && self.queued.get(&probe.origin) != Some(&probe.search) {
            return Vec::new();
        }
        match (came_back, &probe.ahead) {
            (true, None) => {
                probe.ahead = Some(std::mem::take(&mut probe.path));
                self.check(here, probe)
            }
            (true, Some(_)) => vec![Effect::Deadlock(probe.origin, actors(&probe.path))],
            (false, None) => self.pass(here, probe),
            (false, Some(_)) => self.check(here, probe),
        }
    }

    /// Passes a probe that searches on along every edge.
    fn pass(&mut self, here: &ActorId, probe: Probe) -> Vec<Effect> {
        let Probe { origin, search, about, path, .. } = probe;
        let queued = self.queued.contains_key(&about);
        if path.len() >= MAX_HOPS || queued && about < origin {
            return Vec::new();
        }
        let mut effects = Vec::new();
        for (id, turn) in &mut self.turns {
            if !(queued || *id == about) || !turn.is_new(origin, search) {
                continue;
            }
            let mut path = path.clone();
            path.push(Hop { actor: here.clone(), call: about, turn: *id });
            effects.extend(turn.awaits.iter().map(|(call, target)| {
                let probe = Probe { origin, search, about: *call, path: path.clone(), ahead: None };
                Effect::Send(target.clone(), probe)
            }));
        }
        effects
    }

    /// Passes a probe on along the next edge of its path, if that is still there.
    fn check(&self, here: &ActorId, mut probe: Probe) -> Vec<Effect> {
        let mut ahead = probe.ahead.take().unwrap_or_default();
        if ahead.is_empty() {
            return Vec::new();
        }
        let hop = ahead.remove(0);
        let waits = self.queued.contains_key(&hop.call) || hop.turn == hop.call;
        let begin = probe.path.first().unwrap_or(&hop);
        let (call, target) =
            ahead.first().map_or((probe.origin, &begin.actor), |next| (next.call, &next.actor));
        let edge = (call, target.clone());
        let awaits = self.turns.get(&hop.turn).is_some_and(|turn| turn.awaits.contains(&edge));
        if hop.actor != *here || hop.call != probe.about || !waits || !awaits {
            return Vec::new();
        }
        probe.path.push(hop);
        vec![Effect::Send(edge.1, Probe { about: call, ahead: Some(ahead), ..probe })]
    }
}

impl Turn {
    /// Whether neither this search nor a later one of its origin has been here.
    fn is_new(&mut self, origin: CallId, search: u64) -> bool {
        if self.passed.len() >= MAX_PASSED
            && let Some(oldest) = self.passed.iter().min_by_key(|(_, search)| **search).map(|(id, _)| *id)
        {
            self.passed.remove(&oldest);
        }
        let last = self.passed.entry(origin).or_insert(0);
        let is_new = search > *last;
        *last = search.max(*last);
        is_new
    }
}

/// The actors of a cycle, the first one again at its end.
fn actors(path: &[Hop]) -> Vec<String> {
    path.iter().chain(path.first()).map(|hop| hop.actor.to_string()).collect()
}

#[cfg(test)]
mod tests;
