//! Local actors: each run of a node has its own of every key, and a call stays on the node where it is made.
//!
//! An usher keeps notes. Its turns run one after the other, and each begins with the notes of those before that ended
//! well on this run of its node; or with none, if it may have left memory meanwhile.

use std::collections::BTreeMap;
use std::sync::Weak;

use greenroom_testing::{Mutation, Owner};
use tokio::time::Instant;

use super::actors::USHER_IDLE;
use super::witness::{self, Witness};

/// An usher: its node's run, and its key.
pub(crate) type Usher = (Owner, u8);

/// All ushers.
pub(super) type Locals = BTreeMap<Usher, Book>;

/// What an usher has in memory.
pub(super) struct Book {
    notes: Vec<u32>,
    /// When a turn began or ended last.
    used: Instant,
    is_busy: bool,
}

/// A turn of an usher.
pub(crate) struct Shift(Usher);

impl Witness {
    /// The run of a node that is at work.
    pub(crate) fn here(&self) -> Option<Owner> {
        self.world.get().and_then(Weak::upgrade)?.executor.running()
    }

    /// A turn of an usher begins, with these notes.
    pub(crate) fn usher_begins(&self, key: u8, notes: &mut Vec<u32>) -> Option<Shift> {
        let usher = (self.here()?, key);
        let mut state = self.state.lock();
        let locals = &mut state.locals;
        let of_another = locals
            .iter()
            .find(|((owner, of), book)| (*owner, *of) != usher && *of == key && !book.notes.is_empty());
        if let (Some(Mutation::LocalsAreShared), Some((_, book))) = (self.mutation, of_another) {
            notes.clone_from(&book.notes);
        }
        let new = || Book { notes: Vec::new(), used: Instant::now(), is_busy: false };
        let book = locals.entry(usher).or_insert_with(new);
        let may_have_left = book.used.elapsed() >= USHER_IDLE || self.stats.lock().drains > 0;
        if notes.is_empty() && may_have_left {
            book.notes.clear();
        }
        if *notes != book.notes {
            let message =
                format!("{usher:?} begins with {notes:?}, its turns here have left {:?}", book.notes);
            self.violate("a_local_actor_is_its_nodes_own", message);
        }
        if book.is_busy {
            self.violate("a_local_actor_is_its_nodes_own", format!("two turns of {usher:?} at a time"));
        }
        (book.is_busy, book.used) = (true, Instant::now());
        Some(Shift(usher))
    }

    /// It is about to end well.
    pub(crate) fn usher_ends(&self, shift: &Shift, notes: &[u32]) {
        if let Some(book) = self.state.lock().locals.get_mut(&shift.0) {
            book.notes = notes.to_vec();
        }
    }

    /// A turn that runs here has been answered by an usher that says where it is.
    pub(crate) fn is_ushered(&self, there: Option<u64>) {
        self.counts.lock().ushered += 1;
        let here = self.here().and_then(number);
        if here != there {
            let message = format!("a call on {here:?} was answered on {there:?}");
            self.violate("a_local_actor_is_its_nodes_own", message);
        }
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        witness::with(|witness| {
            if let Some(book) = witness.state.lock().locals.get_mut(&self.0) {
                (book.is_busy, book.used) = (false, Instant::now());
            }
        });
    }
}

/// The number of a node's run.
pub(crate) fn number(owner: Owner) -> Option<u64> {
    match owner {
        Owner::World => None,
        Owner::Run(run) => Some(run),
    }
}
