//! The programs with their sizes, and which of what is measured stands in their tables.

use greenroom_bench_rig::protocol::{self, Sample};

use super::rigs::{FLOOR, Kind, MAP, PLAIN};
use crate::report::Unit;

/// A program as it is measured here.
pub(super) struct Program {
    pub(super) what: protocol::Program,
    pub(super) title: &'static str,
    pub(super) n: u64,
    /// The size of what a new process runs first, without that it counts; none if 0.
    pub(super) warm_up: u64,
    /// Whether each round has new processes, because a round leaves actors behind.
    pub(super) fresh: bool,
    /// The rig that others are compared with.
    pub(super) base: &'static str,
    /// Whether they are compared.
    pub(super) compared: bool,
}

const fn asks(what: protocol::Program, title: &'static str, n: u64) -> Program {
    Program { what, title, n, warm_up: n, fresh: false, base: FLOOR, compared: true }
}

const fn lives(what: protocol::Program, title: &'static str, n: u64, warm_up: u64) -> Program {
    Program { what, title, n, warm_up, fresh: true, base: FLOOR, compared: true }
}

pub(super) const PING: &str = "ping: an ask, 100 callers with an actor each";
pub(super) const HOT: &str = "hot: an ask, 256 callers of one actor";
pub(super) const RANDOM: &str = "random: an ask by key, 100,000 actors";
pub(super) const ONE_WAY: &str = "one-way: a message, 1 caller";
pub(super) const FAN_OUT_1000: &str = "fan-out: 1,000 asks at once";
pub(super) const SKYNET: &str = "skynet: a tree of 1 million actors";
pub(super) const ACTIVATION: &str = "activation: a new actor's first ask";
pub(super) const IDLE: &str = "idle: 1 million actors";
pub(super) const TICKS: &str = "ticks: 10,000 actors at 30 Hz";

/// In the order of the page.
pub(super) const PROGRAMS: &[Program] = &[
    asks(protocol::Program::Ping, PING, 500_000),
    asks(protocol::Program::Hot, HOT, 256_000),
    Program { base: MAP, ..asks(protocol::Program::Random, RANDOM, 500_000) },
    asks(protocol::Program::OneWay, ONE_WAY, 500_000),
    asks(protocol::Program::FanOut10, "fan-out: 10 asks at once", 20_000),
    asks(protocol::Program::FanOut1000, FAN_OUT_1000, 200),
    lives(protocol::Program::Skynet, SKYNET, 1_000_000, 100_000),
    lives(protocol::Program::Activation, ACTIVATION, 200_000, 20_000),
    Program { compared: false, ..lives(protocol::Program::Idle, IDLE, 1_000_000, 0) },
    Program { compared: false, ..lives(protocol::Program::Ticks, TICKS, 10_000, 0) },
];

/// The metrics that are compared with a bar.
pub(super) const CPU: &str = "CPU";
pub(super) const CPU_TO_FLOOR: &str = "CPU ÷ floor";
pub(super) const CPU_TO_MAP: &str = "CPU ÷ look-up";
pub(super) const JITTER: &str = "jitter p99";
pub(super) const OVERTAKEN: &str = "overtaken by";
pub(super) const PER_SECOND: &str = "per second";
pub(super) const RESIDENT: &str = "resident, beyond the state";
pub(super) const SHARE: &str = "of a core";
pub(super) const WALL: &str = "wall";
pub(super) const WALL_TO_FLOOR: &str = "wall ÷ floor";

impl Program {
    /// Whether the rig belongs to it: not all of ours do everything.
    pub(super) fn includes(&self, kind: &Kind) -> bool {
        match kind.name {
            MAP => self.base == MAP,
            PLAIN => !self.fresh,
            _ => true,
        }
    }

    /// The most rounds of new processes; they take long, and differ little.
    pub(super) fn fresh_rounds(&self) -> u32 {
        match self.what {
            protocol::Program::Activation => u32::MAX,
            _ => 3,
        }
    }

    /// What the comparison with the base is called.
    pub(super) fn ratios(&self) -> [&'static str; 2] {
        if self.base == MAP { ["wall ÷ look-up", CPU_TO_MAP] } else { [WALL_TO_FLOOR, CPU_TO_FLOOR] }
    }

    /// The metric that says most, and is better the less it is.
    pub(super) fn headline(&self) -> &'static str {
        match self.what {
            protocol::Program::Skynet | protocol::Program::Activation => WALL,
            protocol::Program::Idle => RESIDENT,
            protocol::Program::Ticks => SHARE,
            _ => CPU,
        }
    }

    /// What of a sample stands in the table.
    pub(super) fn metrics(&self, sample: &Sample) -> Vec<(&'static str, Unit, f64)> {
        let per_operation = |nanos: u64| nanos as f64 / sample.operations as f64;
        let costs = [
            (WALL, Unit::Nanoseconds, per_operation(sample.wall_ns)),
            (CPU, Unit::Nanoseconds, per_operation(sample.cpu_ns)),
        ];
        let rate = (PER_SECOND, Unit::PerSecond, 1e9 / per_operation(sample.wall_ns));
        let more = [
            (JITTER, Unit::Nanoseconds, sample.jitter_p99_ns),
            ("p99.9", Unit::Nanoseconds, sample.p999_ns),
            (OVERTAKEN, Unit::Count, sample.overtaken),
            (RESIDENT, Unit::Bytes, sample.bytes),
        ];
        let mut metrics = match self.what {
            protocol::Program::Skynet => costs.to_vec(),
            protocol::Program::Idle => Vec::new(),
            protocol::Program::Ticks => {
                vec![(SHARE, Unit::Share, sample.cpu_ns as f64 / sample.wall_ns as f64), costs[1]]
            }
            _ => [&costs[..], &[rate]].concat(),
        };
        metrics.extend(more.into_iter().filter_map(|(name, unit, value)| Some((name, unit, value? as f64))));
        metrics
    }
}
