//! How well the simulated parts work: how long things take, and how often they go wrong by themselves.

use std::time::Duration;

/// How well everything works. A test may change it while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// The messages between nodes.
    pub network: NetworkFaults,
    /// All disks.
    pub disk: DiskFaults,
    /// The register with the shard map.
    pub register: RegisterFaults,
    /// How far the nodes' calendars may be off, in milliseconds.
    pub clock_offset_ms: i64,
}

/// Probabilities per message, and the usual delay.
#[derive(Debug, Clone, Copy)]
pub struct NetworkFaults {
    /// That it is lost.
    pub lose: f64,
    /// That a request is delivered twice.
    pub duplicate: f64,
    /// That it takes up to 1.5 s.
    pub late: f64,
    /// How long it takes otherwise, at most.
    pub delay_ms: u64,
}

/// Probabilities per group of commits, the usual time of a sync, and the queue's limit.
#[derive(Debug, Clone, Copy)]
pub struct DiskFaults {
    /// That the node crashes when the group is on disk and nobody has been told.
    pub crash_before_notice: f64,
    /// That the sync takes up to 400 ms longer.
    pub slow: f64,
    /// How long it takes otherwise, at most.
    pub sync_ms: u64,
    /// How many records may wait.
    pub queue: usize,
}

/// Probabilities per request of the register, and the usual delay of an answer and of a watch.
#[derive(Debug, Clone, Copy)]
pub struct RegisterFaults {
    /// That a write never arrives.
    pub lose: f64,
    /// That a write arrives and its answer does not.
    pub lose_answer: f64,
    /// That a message takes up to 3 s.
    pub late: f64,
    /// How long it takes otherwise, at most.
    pub delay_ms: u64,
    /// How much later than a change a watch shows it, at most.
    pub watch_lag_ms: u64,
}

impl Conditions {
    /// Everything works, as quickly as in one room.
    pub const GOOD: Self = Self {
        network: NetworkFaults { lose: 0.0, duplicate: 0.0, late: 0.0, delay_ms: 1 },
        disk: DiskFaults { crash_before_notice: 0.0, slow: 0.0, sync_ms: 2, queue: 100_000 },
        register: RegisterFaults { lose: 0.0, lose_answer: 0.0, late: 0.0, delay_ms: 2, watch_lag_ms: 5 },
        clock_offset_ms: 0,
    };

    /// From now on a message takes up to `most`.
    pub fn delay_messages(&mut self, most: Duration) {
        self.network.delay_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    }
}
