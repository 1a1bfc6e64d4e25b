//! The schedule of faults: what goes wrong, when and for how long, drawn step by step from the seed.

use std::sync::Arc;

use tokio::time::Instant;

use crate::cluster::Cluster;

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
pub(crate) async fn trouble(cluster: Arc<Cluster>) {
    let world = cluster.world.clone();
    let end = Instant::now() + world.settings.trouble;
    let choices = weighted(&cluster);
    loop {
        world.sleep(0..2 * world.settings.fault_every_ms).await;
        if Instant::now() >= end {
            return;
        }
        if let Some(fault) = world.draw(|random| random.choice(&choices).copied()) {
            happen(&cluster, fault);
        }
    }
}

/// Each fault as often as its weight says.
fn weighted(cluster: &Cluster) -> Vec<Fault> {
    let schedule = &cluster.world.settings.schedule;
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

fn happen(cluster: &Arc<Cluster>, fault: Fault) {
    let world = &cluster.world;
    let node = world.draw(|random| random.usize(..cluster.size()));
    match fault {
        Fault::Crash => cluster.crash_and_restart(node),
        Fault::CrashAll => (0..cluster.size()).for_each(|node| cluster.crash_and_restart(node)),
        Fault::Drain => cluster.drain_and_restart(node),
        Fault::Pause => cluster.pause(node, world.millis(10..3_000)),
        Fault::Cut => {
            let other = world.draw(|random| random.usize(..cluster.size()));
            cut(cluster, vec![(node, other)]);
        }
        Fault::Partition => partition(cluster),
        Fault::Outage => outage(cluster),
        Fault::SlowDisk => slow_disk(cluster, node),
        Fault::Replace => cluster.register.replace_for_no_reason(),
    }
}

fn partition(cluster: &Arc<Cluster>) {
    cluster.world.stats.lock().partitions += 1;
    let sides: Vec<_> = (0..cluster.size()).map(|_| cluster.world.chance(0.5)).collect();
    let pairs = (0..cluster.size()).flat_map(|from| (0..cluster.size()).map(move |to| (from, to)));
    cut(cluster, pairs.filter(|(from, to)| sides[*from] != sides[*to]).collect());
}

/// Cuts these ways for a while.
fn cut(cluster: &Arc<Cluster>, ways: Vec<(usize, usize)>) {
    cluster.world.stats.lock().cuts += ways.len() as u64;
    cluster.world.trace.add(format!("cut: {ways:?}"));
    ways.iter().for_each(|(from, to)| cluster.cuts.cut(*from, *to));
    let cluster = cluster.clone();
    cluster.world.clone().spawn(async move {
        cluster.world.sleep(50..4_000).await;
        ways.iter().for_each(|(from, to)| cluster.cuts.mend(*from, *to));
    });
}

fn outage(cluster: &Arc<Cluster>) {
    cluster.world.stats.lock().outages += 1;
    cluster.world.trace.add("the register is away");
    cluster.register.set_away(true);
    let cluster = cluster.clone();
    cluster.world.clone().spawn(async move {
        cluster.world.sleep(50..4_000).await;
        cluster.world.trace.add("the register is back");
        cluster.register.set_away(false);
    });
}

fn slow_disk(cluster: &Arc<Cluster>, node: usize) {
    cluster.world.stats.lock().slow_disks += 1;
    cluster.world.trace.add(format!("disk {node} is slow"));
    cluster.disk(node).set_slow(true);
    let cluster = cluster.clone();
    cluster.world.clone().spawn(async move {
        cluster.world.sleep(50..3_000).await;
        cluster.disk(node).set_slow(false);
    });
}
