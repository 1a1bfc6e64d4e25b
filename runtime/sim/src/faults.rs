//! The schedule of faults: what goes wrong, when and for how long, drawn step by step from the seed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::scene::Scene;

/// How long a drained node waits for its running turns.
const DRAIN: Duration = Duration::from_millis(800);

/// A fault of the schedule. Those of single messages and syncs are drawn where they happen.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// One node crashes and is started again.
    Crash,
    /// All nodes crash together.
    CrashAll,
    /// One node is stopped as by SIGTERM and started again.
    Drain,
    /// One node stands still for a while.
    Pause,
    /// One way between two nodes is cut.
    Cut,
    /// The nodes fall into two groups that do not hear of each other.
    Partition,
    /// The register is away.
    Outage,
    /// One disk is slow.
    SlowDisk,
    /// Some owners are replaced by themselves for no reason.
    Replace,
}

/// Makes things go wrong for the time that the seed gives.
pub(crate) async fn trouble(scene: Arc<Scene>) {
    let world = scene.world.clone();
    let end = Instant::now() + scene.settings.trouble;
    let choices = weighted(&scene);
    loop {
        world.sleep(0..2 * scene.settings.fault_every_ms).await;
        if Instant::now() >= end {
            return;
        }
        if let Some(fault) = world.draw(|random| random.choice(&choices).copied()) {
            happen(&scene, fault);
        }
    }
}

/// Each fault as often as its weight says.
fn weighted(scene: &Scene) -> Vec<Fault> {
    let schedule = &scene.settings.schedule;
    let weights = [
        (Fault::Crash, schedule.crash),
        (Fault::CrashAll, schedule.crash / 5),
        (Fault::Drain, schedule.drain),
        (Fault::Pause, schedule.pause),
        (Fault::Cut, schedule.cut),
        (Fault::Partition, schedule.partition),
        (Fault::Outage, schedule.outage),
        (Fault::SlowDisk, schedule.slow_disk),
        (Fault::Replace, schedule.replace),
    ];
    weights.iter().flat_map(|(fault, weight)| (0..*weight).map(|_| *fault)).collect()
}

fn happen(scene: &Arc<Scene>, fault: Fault) {
    let world = &scene.world;
    let node = world.draw(|random| random.usize(..scene.nodes.size()));
    match fault {
        Fault::Crash => scene.nodes.crash_and_restart(node),
        Fault::CrashAll => (0..scene.nodes.size()).for_each(|node| scene.nodes.crash_and_restart(node)),
        Fault::Drain => {
            scene.nodes.drain(node, DRAIN, move |nodes| nodes.crash_and_restart(node));
        }
        Fault::Pause => scene.nodes.pause(node, world.millis(10..3_000)),
        Fault::Cut => {
            let other = world.draw(|random| random.usize(..scene.nodes.size()));
            cut(scene, vec![(node, other)]);
        }
        Fault::Partition => partition(scene),
        Fault::Outage => outage(scene),
        Fault::SlowDisk => slow_disk(scene, node),
        Fault::Replace => scene.nodes.register.replace_for_no_reason(),
    }
}

fn partition(scene: &Arc<Scene>) {
    scene.checker.stats.lock().partitions += 1;
    let sides: Vec<_> = (0..scene.nodes.size()).map(|_| scene.world.chance(0.5)).collect();
    let pairs = (0..scene.nodes.size()).flat_map(|from| (0..scene.nodes.size()).map(move |to| (from, to)));
    cut(scene, pairs.filter(|(from, to)| sides[*from] != sides[*to]).collect());
}

/// Cuts these ways for a while.
fn cut(scene: &Arc<Scene>, ways: Vec<(usize, usize)>) {
    scene.checker.stats.lock().cuts += ways.len() as u64;
    scene.world.trace.add(format!("cut: {ways:?}"));
    ways.iter().for_each(|(from, to)| scene.nodes.cuts.cut(*from, *to));
    let scene = scene.clone();
    scene.world.clone().spawn(async move {
        scene.world.sleep(50..4_000).await;
        ways.iter().for_each(|(from, to)| scene.nodes.cuts.mend(*from, *to));
    });
}

fn outage(scene: &Arc<Scene>) {
    scene.checker.stats.lock().outages += 1;
    scene.world.trace.add("the register is away");
    scene.nodes.register.set_away(true);
    let scene = scene.clone();
    scene.world.clone().spawn(async move {
        scene.world.sleep(50..4_000).await;
        scene.world.trace.add("the register is back");
        scene.nodes.register.set_away(false);
    });
}

fn slow_disk(scene: &Arc<Scene>, node: usize) {
    scene.checker.stats.lock().slow_disks += 1;
    scene.world.trace.add(format!("the disk of node-{node} is slow"));
    scene.nodes.disk(node).set_slow(true);
    let scene = scene.clone();
    scene.world.clone().spawn(async move {
        scene.world.sleep(50..3_000).await;
        scene.nodes.disk(node).set_slow(false);
    });
}
