//! What goes wrong by a schedule: each fault is data, drawn from the seed and carried out when its time comes.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use greenroom_testing::Nodes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::report::Stats;
use crate::scene::Scene;
use crate::settings::Schedule;

/// How long a drained node waits for its running turns.
const DRAIN: Duration = Duration::from_millis(800);

/// A fault of the schedule. Those of single messages and syncs are drawn where they happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One node crashes and is started again.
    Crash { node: usize },
    /// All nodes crash together.
    CrashAll,
    /// One node is stopped as by SIGTERM and started again.
    Drain { node: usize },
    /// One node stands still for a while.
    Pause { node: usize, ms: u64 },
    /// Ways between nodes are cut, each in one direction.
    Cut { ways: Vec<(usize, usize)>, ms: u64 },
    /// The nodes fall into two groups that do not hear of each other.
    Partition { ways: Vec<(usize, usize)>, ms: u64 },
    /// The register is away.
    Outage { ms: u64 },
    /// One disk is slow.
    SlowDisk { node: usize, ms: u64 },
    /// Some owners are replaced by themselves for no reason.
    Replace,
}

/// Makes things go wrong for the time that the seed gives.
pub(crate) async fn trouble(scene: Arc<Scene>) {
    let world = scene.world.clone();
    let end = Instant::now() + scene.settings.trouble;
    loop {
        world.sleep(0..2 * scene.settings.fault_every_ms).await;
        if Instant::now() >= end {
            return;
        }
        let fault = world.draw(|random| Fault::draw(random, &scene.settings.schedule, scene.nodes.size()));
        if let Some(fault) = fault {
            fault.happen(&scene.nodes, &scene.checker.stats);
        }
    }
}

impl Fault {
    /// Each kind as often as its weight says, about some of the nodes; `None` if there are no faults.
    pub(crate) fn draw(random: &mut Rng, schedule: &Schedule, nodes: usize) -> Option<Self> {
        let (node, other) = (random.usize(..nodes), random.usize(..nodes));
        let sides: Vec<_> = (0..nodes).map(|_| random.bool()).collect();
        let ways = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        let between: Vec<_> = ways.filter(|(from, to)| sides[*from] != sides[*to]).collect();
        let ms = random.u64(50..4_000);
        let choices = [
            (Self::Crash { node }, schedule.crash),
            (Self::CrashAll, schedule.crash / 5),
            (Self::Drain { node }, schedule.drain),
            (Self::Pause { node, ms: ms * 3 / 4 }, schedule.pause),
            (Self::Cut { ways: vec![(node, other)], ms }, schedule.cut),
            (Self::Partition { ways: between, ms }, schedule.partition),
            (Self::Outage { ms }, schedule.outage),
            (Self::SlowDisk { node, ms: ms * 3 / 4 }, schedule.slow_disk),
            (Self::Replace, schedule.replace),
        ];
        let sum: u32 = choices.iter().map(|(_, weight)| weight).sum();
        let mut drawn = if sum == 0 { return None } else { random.u32(..sum) };
        for (fault, weight) in choices {
            match drawn.checked_sub(weight) {
                None => return Some(fault),
                Some(rest) => drawn = rest,
            }
        }
        None
    }

    /// Carries it out now, and ends it when its time is over.
    pub(crate) fn happen(&self, nodes: &Arc<Nodes>, stats: &Mutex<Stats>) {
        match *self {
            Self::Crash { node } => nodes.crash_and_restart(node),
            Self::CrashAll => (0..nodes.size()).for_each(|node| nodes.crash_and_restart(node)),
            Self::Drain { node } => nodes.drain(node, DRAIN, move |nodes| nodes.crash_and_restart(node)),
            Self::Pause { node, ms } => nodes.pause(node, Duration::from_millis(ms)),
            Self::Cut { ref ways, ms } => cut(nodes, stats, ways, ms),
            Self::Partition { ref ways, ms } => {
                stats.lock().partitions += 1;
                cut(nodes, stats, ways, ms);
            }
            Self::Outage { ms } => {
                stats.lock().outages += 1;
                nodes.world.trace.add("the register is away");
                nodes.register.set_away(true);
                later(nodes, ms, |nodes| {
                    nodes.world.trace.add("the register is back");
                    nodes.register.set_away(false);
                });
            }
            Self::SlowDisk { node, ms } => {
                stats.lock().slow_disks += 1;
                nodes.world.trace.add(format!("the disk of node-{node} is slow"));
                nodes.disk(node).set_slow(true);
                later(nodes, ms, move |nodes| nodes.disk(node).set_slow(false));
            }
            Self::Replace => nodes.register.replace_for_no_reason(),
        }
    }
}

/// Cuts these ways for a while.
fn cut(nodes: &Arc<Nodes>, stats: &Mutex<Stats>, ways: &[(usize, usize)], ms: u64) {
    stats.lock().cuts += ways.len() as u64;
    nodes.world.trace.add(format!("cut: {ways:?}"));
    ways.iter().for_each(|(from, to)| nodes.cuts.cut(*from, *to));
    let ways = ways.to_vec();
    later(nodes, ms, move |nodes| ways.iter().for_each(|(from, to)| nodes.cuts.mend(*from, *to)));
}

fn later(nodes: &Arc<Nodes>, ms: u64, then: impl FnOnce(&Nodes) + Send + 'static) {
    let nodes = nodes.clone();
    nodes.world.clone().spawn(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        then(&nodes);
    });
}
