//! What happened, in order: one line per event, and a hash over the lines and over every task that was polled.
//!
//! Two runs of one seed must give the same trace; the hash also differs if only the order of tasks does.

use parking_lot::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// The events of a simulation.
pub struct Trace {
    start: Instant,
    state: Mutex<State>,
}

struct State {
    lines: Vec<String>,
    hash: Xxh3,
}

impl Trace {
    /// Empty; times count from `start`.
    pub fn new(start: Instant) -> Self {
        Self { start, state: Mutex::new(State { lines: Vec::new(), hash: Xxh3::new() }) }
    }

    /// Notes an event with the virtual time.
    pub fn add(&self, event: impl AsRef<str>) {
        let line = format!("{:>9.3} {}", self.start.elapsed().as_secs_f64(), event.as_ref());
        let mut state = self.state.lock();
        state.hash.update(line.as_bytes());
        state.lines.push(line);
    }

    /// Notes, in the hash only, which task was polled.
    pub fn polled(&self, task: u64) {
        self.state.lock().hash.update(&task.to_le_bytes());
    }

    /// The lines and the hash so far.
    pub fn read(&self) -> (Vec<String>, u64) {
        let state = self.state.lock();
        (state.lines.clone(), state.hash.digest())
    }
}
