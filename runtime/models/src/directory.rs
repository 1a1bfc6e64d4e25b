//! The directory with one actor in it, as `Core::activation`, `turn::enter` and `let_go_of` use it.
//!
//! What must hold: a call that comes while the activation leaves memory is not lost, none runs on an activation that has
//! left, and no two activations of an actor run turns at the same time. The real directory is papaya's map; here a mutex
//! stands for it, since each question to a map is one step for whoever asks.

use std::sync::Arc;

use loom::thread;

use crate::actor::{Actor, Count, Guard};
use crate::sync::Mutex;

/// The node, as far as one actor goes.
#[derive(Default)]
struct Node {
    directory: Mutex<Option<Arc<Actor>>>,
    /// Of all activations: two that run turns at once touch it at once.
    journal: Arc<Count>,
}

impl Node {
    /// With the actor in memory, at rest.
    fn new() -> Arc<Self> {
        let node = Self::default();
        *node.directory.lock() = Some(Actor::idle(node.journal.clone()));
        Arc::new(node)
    }

    fn activation(&self) -> Arc<Actor> {
        loop {
            let found = self.directory.lock().clone();
            if let Some(found) = found {
                return found;
            }
            let made = Actor::new(self.journal.clone());
            let mut directory = self.directory.lock();
            if directory.is_none() {
                *directory = Some(made.clone());
                return made;
            }
        }
    }

    fn remove_if(&self, such: impl Fn(&Arc<Actor>) -> bool) {
        let mut directory = self.directory.lock();
        if directory.as_ref().is_some_and(such) {
            *directory = None;
        }
    }

    /// A turn of this activation or the next.
    fn enter(&self, turn: impl Fn(&Arc<Actor>) -> Option<Guard>) -> Guard {
        loop {
            if let Some(guard) = turn(&self.activation()) {
                return guard;
            }
            self.remove_if(|current| current.is_gone());
        }
    }

    fn call(&self, call: usize) {
        self.enter(|actor| actor.begin().or_else(|| actor.wait(true, call))).run();
    }

    fn let_go(&self) {
        let found = self.directory.lock().clone();
        if let Some(activation) = found
            && activation.leave_if_idle()
        {
            self.remove_if(|current| Arc::ptr_eq(current, &activation));
        }
    }
}

/// Two calls, and `other` meanwhile.
fn calls_beside(other: fn(&Node)) {
    let node = Node::new();
    let threads = [|node: &Node| node.call(0), other].map(|work| {
        let node = node.clone();
        thread::spawn(move || work(&node))
    });
    node.call(1);
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    assert_eq!(node.journal.get(), 3);
}

/// A look for idle activations.
pub fn an_activation_that_leaves_loses_no_call() {
    calls_beside(Node::let_go);
}

/// A turn at whose end the actor wants to leave.
pub fn an_actor_that_retires_serves_those_who_wait() {
    calls_beside(|node| node.enter(|actor| actor.wait(true, 2)).retire());
}
