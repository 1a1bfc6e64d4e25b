//! Where the messages that turns have told wait for their output gate, in their order.
//!
//! A turn puts its messages here while it still has its actor, so the messages of one actor stand in the order of its
//! turns. They leave when everything that the turn saw is committed (I3). **Invariant**: at most one thread or task of a
//! shard sends at a time, from the front; so what one actor tells another arrives in that order. A shard without such
//! messages costs nobody anything: whoever wants to know looks at one number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Core;
use super::drain::Running;
use crate::cx::Cx;
use crate::identity::Seq;
use crate::shard::OwnedShard;

/// A message that was told, ready to leave.
pub(crate) trait Outgoing: Send {
    /// Brings it on its way. Never waits.
    fn send(self: Box<Self>);
    /// It does not leave: its shard has been closed.
    fn give_up(self: Box<Self>, engine: &Core);
}

/// The messages of one shard that wait.
pub(crate) struct Post {
    queue: Mutex<Queue>,
    /// The least record that a message waits for which has not left; [`NONE`] if all have.
    first: AtomicU64,
    moved: Notify,
}

/// No message waits.
const NONE: u64 = u64::MAX;

#[derive(Default)]
struct Queue {
    /// By the record that they wait for; those of one record in the order in which they came.
    letters: VecDeque<(Seq, Box<dyn Outgoing>)>,
    /// Somebody sends, or waits for the gate to do so.
    sending: bool,
}

/// What the front of the queue is.
enum Front {
    Empty,
    /// It waits for this record.
    Waits(Seq),
    Ready(Box<dyn Outgoing>),
    /// The shard is closed: nothing of these leaves.
    Closed(Vec<Box<dyn Outgoing>>),
}

/// How many messages leave on the thread of a turn that has ended; further ones get a task.
const AT_ONCE: usize = 16;
/// How many messages a task sends before it lets others run.
const IN_A_ROW: usize = 64;

impl Default for Post {
    fn default() -> Self {
        Self { queue: Mutex::default(), first: AtomicU64::new(NONE), moved: Notify::new() }
    }
}

impl Post {
    /// True if nothing is left of what turns up to this record have told: who calls now overtakes none of it.
    pub(crate) fn has_left(&self, seq: Seq) -> bool {
        self.first.load(Ordering::Acquire) > seq.0
    }

    /// Waits until everything that turns up to this record have told has left, or will not leave any more.
    pub(crate) async fn when_left(&self, seq: Seq) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Registered before the check, so that no notice can fall in between.
            moved.as_mut().enable();
            if self.has_left(seq) {
                return;
            }
            moved.await;
        }
    }

    fn put(&self, seq: Seq, letters: Vec<Box<dyn Outgoing>>) {
        let mut queue = self.queue.lock();
        self.first.fetch_min(seq.0, Ordering::AcqRel);
        // Turns that end at the same time may come here in another order than their records.
        let mut at = queue.letters.len();
        while at > 0 && queue.letters[at - 1].0 > seq {
            at -= 1;
        }
        for letter in letters {
            queue.letters.insert(at, (seq, letter));
            at += 1;
        }
    }

    fn begin(&self) -> bool {
        !std::mem::replace(&mut self.queue.lock().sending, true)
    }

    /// Takes the front if it may leave; what was taken before has left. The caller is the one that sends, and no longer
    /// once the queue is at its end.
    fn front(&self, committed: Option<Seq>) -> Front {
        let mut queue = self.queue.lock();
        let first = queue.letters.front().map(|&(seq, _)| seq);
        self.first.store(first.map_or(NONE, |seq| seq.0), Ordering::Release);
        self.moved.notify_waiters();
        match (first, committed) {
            (None, _) => {
                queue.sending = false;
                Front::Empty
            }
            (Some(_), None) => {
                queue.sending = false;
                self.first.store(NONE, Ordering::Release);
                Front::Closed(queue.letters.drain(..).map(|(_, letter)| letter).collect())
            }
            (Some(seq), Some(committed)) if committed < seq => Front::Waits(seq),
            (Some(_), Some(_)) => {
                queue.letters.pop_front().map_or(Front::Empty, |(_, letter)| Front::Ready(letter))
            }
        }
    }
}

/// Puts what the turn has told behind its output gate. To be called while the turn still has its actor.
#[must_use = "the messages leave when the turn has given its actor back"]
pub(super) fn put(cx: &Cx) -> bool {
    let letters = cx.take_told();
    if letters.is_empty() {
        return false;
    }
    cx.shard().post().put(cx.saw(), letters);
    true
}

/// Sends what may leave. To be called when the turn has given its actor back.
pub(super) fn send(engine: &Arc<Core>, shard: &Arc<OwnedShard>) {
    if !shard.post().begin() {
        return;
    }
    if !matches!(send_some(engine, shard, AT_ONCE), Sent::All) {
        // Counted as running: a node that drains waits for it.
        let running = Running::new(engine.clone());
        engine.env.spawn(Box::pin(send_rest(running, shard.clone())));
    }
}

enum Sent {
    All,
    Some,
    Until(Seq),
}

fn send_some(engine: &Core, shard: &OwnedShard, most: usize) -> Sent {
    let post = shard.post();
    for _ in 0..most {
        match post.front(shard.gate().committed()) {
            Front::Empty => return Sent::All,
            Front::Waits(seq) => return Sent::Until(seq),
            Front::Ready(letter) => letter.send(),
            Front::Closed(letters) => {
                letters.into_iter().for_each(|letter| letter.give_up(engine));
                return Sent::All;
            }
        }
    }
    Sent::Some
}

async fn send_rest(running: Running, shard: Arc<OwnedShard>) {
    loop {
        match send_some(running.engine(), &shard, IN_A_ROW) {
            Sent::All => return,
            Sent::Some => tokio::task::yield_now().await,
            // If the shard is closed the next look says so.
            Sent::Until(seq) => drop(shard.gate().wait(seq).await),
        }
    }
}
