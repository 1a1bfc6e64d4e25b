//! A node that drains, and the turns that run meanwhile, as `engine/drain.rs` and `guard.rs` use the turnstile.
//!
//! What must hold: when the drain has ended, no turn runs that has not seen it; and it ends when they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom::future::block_on;
use loom::thread;

use crate::turnstile::Turnstile;

/// A node's turnstile; whether it has stopped is no part of what is checked, so nobody has to synchronise with it.
#[derive(Default)]
struct Node {
    turns: Turnstile,
    stopped: AtomicBool,
}

impl Node {
    fn turn(&self) {
        let entered = self.turns.enter();
        if !self.turns.is_draining() {
            assert!(!self.stopped.load(Ordering::Relaxed), "the node has stopped in the middle of a turn");
        }
        self.turns.leave(entered);
    }

    fn drain(&self) {
        self.turns.begin_drain();
        block_on(self.turns.idle());
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Turns of two threads, and a drain.
pub fn a_drain_waits_for_turns_that_do_not_see_it() {
    let node = Arc::new(Node::default());
    let threads = [(); 2].map(|()| {
        let node = node.clone();
        thread::spawn(move || node.turn())
    });
    node.drain();
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
}
