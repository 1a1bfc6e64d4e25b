//! What a seed decides before anything runs: the size of the cluster and which faults there are, and how often.
//!
//! Not every seed has every fault ("swarm testing"): a fault that always happens hides what happens without it.

use std::time::Duration;

use fastrand::Rng;
use greenroom_core::{ShardCount, ShardGroup, ShardLayout};
use greenroom_testing::Conditions;
use greenroom_testing::conditions::{DiskFaults, NetworkFaults, RegisterFaults};

/// The group that the ledgers are pinned to, in the clusters that have it.
pub(crate) const VAULT: &str = "vault";

/// What a seed decides beforehand.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) nodes: usize,
    /// How many of them are the group that the ledgers are pinned to; 0: there is none.
    pub(crate) vault: usize,
    pub(crate) shards: ShardCount,
    pub(crate) ledgers: usize,
    pub(crate) clients: usize,
    /// The mean time between two calls of a client, milliseconds.
    pub(crate) think_ms: u64,
    /// How long things go wrong.
    pub(crate) trouble: Duration,
    /// The mean time between two faults of the schedule, milliseconds.
    pub(crate) fault_every_ms: u64,
    pub(crate) schedule: Schedule,
    pub(crate) conditions: Conditions,
}

/// How much of each scheduled fault there is; 0 for none.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) crash: u32,
    pub(crate) drain: u32,
    pub(crate) pause: u32,
    pub(crate) cut: u32,
    pub(crate) partition: u32,
    pub(crate) outage: u32,
    pub(crate) slow_disk: u32,
    pub(crate) replace: u32,
}

impl Settings {
    pub(crate) fn draw(random: &mut Rng) -> Self {
        let shards = if random.u8(..12) == 0 { 260 } else { random.u16(1..12) };
        let nodes = random.usize(3..=5);
        Self {
            nodes,
            vault: if shards.is_multiple_of(4) { nodes - 1 } else { 0 },
            shards: ShardCount::new(shards).expect("at least one shard is drawn"),
            ledgers: random.usize(2..=6),
            clients: random.usize(3..=8),
            think_ms: random.u64(5..200),
            trouble: Duration::from_millis(random.u64(4_000..12_000)),
            fault_every_ms: random.u64(150..1_500),
            schedule: Schedule::draw(random),
            conditions: conditions(random),
        }
    }
}

impl Settings {
    pub(crate) fn general(&self) -> usize {
        self.nodes - self.vault
    }

    /// A group has as many shards as the general nodes.
    pub(crate) fn layout(&self) -> ShardLayout {
        let vault = (self.vault > 0).then(|| ShardGroup { name: VAULT.into(), shards: self.shards });
        ShardLayout::new(self.shards, vault).expect("the name is valid and the shards are few")
    }
}

impl Schedule {
    fn draw(random: &mut Rng) -> Self {
        let mut weight = |most: u32| if random.u8(..3) == 0 { 0 } else { random.u32(1..=most) };
        Self {
            crash: weight(10),
            drain: weight(4),
            pause: weight(6),
            cut: weight(6),
            partition: weight(4),
            outage: weight(3),
            slow_disk: weight(4),
            replace: weight(6),
        }
    }
}

/// A probability up to `most`, or zero.
fn sometimes(random: &mut Rng, most: f64) -> f64 {
    if random.bool() { random.f64() * most } else { 0.0 }
}

fn conditions(random: &mut Rng) -> Conditions {
    Conditions {
        network: NetworkFaults {
            lose: sometimes(random, 0.15),
            duplicate: sometimes(random, 0.2),
            late: sometimes(random, 0.1),
            delay_ms: random.u64(1..8),
        },
        disk: DiskFaults {
            crash_before_notice: sometimes(random, 0.03),
            slow: sometimes(random, 0.1),
            sync_ms: random.u64(1..12),
            queue: if random.u8(..4) == 0 { random.usize(1..4) } else { 1_000 },
        },
        register: RegisterFaults {
            lose: sometimes(random, 0.3),
            lose_answer: sometimes(random, 0.3),
            late: sometimes(random, 0.2),
            delay_ms: random.u64(1..30),
            watch_lag_ms: random.u64(1..300),
        },
        clock_offset_ms: if random.bool() { 60_000 } else { 0 },
    }
}
