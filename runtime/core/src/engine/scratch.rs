//! Memory that a turn needs for a moment: each thread keeps some for the next.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

/// More than this is given back to the system: one large actor should not cost each thread as much for ever.
const KEPT: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes, empty at first.
#[derive(Default)]
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    /// What this thread has kept, or memory that is still to be taken.
    pub(crate) fn take() -> Self {
        // Without a spare: this thread ends.
        Self(SPARE.try_with(Cell::take).unwrap_or_default())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if (1..=KEPT).contains(&self.0.capacity()) {
            self.0.clear();
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.0)));
        }
    }
}

impl Deref for Scratch {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}
