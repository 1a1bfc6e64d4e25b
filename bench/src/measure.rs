//! What one round of a rig costs, and the order in which rounds are run.
//!
//! The rigs of a program are measured in turns, each round in a new random order, so that whatever else the machine
//! does meets all of them alike; and a rig is compared with the floor of the same round.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use greenroom_bench_rig::stopwatch::own_cpu;

use crate::report::{Report, Unit};

/// What a round has cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    operations: u32,
    wall: Duration,
    /// User and system time of this process.
    cpu: Duration,
    /// The same of the process at the other end, if there is one.
    peer_cpu: Option<Duration>,
}

impl Cost {
    fn per_operation(&self, time: Duration) -> f64 {
        time.as_nanos() as f64 / f64::from(self.operations)
    }

    fn metrics(&self) -> BTreeMap<Metric, f64> {
        let mut metrics = BTreeMap::from([
            (Metric::Wall, self.per_operation(self.wall)),
            (Metric::Cpu, self.per_operation(self.cpu + self.peer_cpu.unwrap_or_default())),
        ]);
        metrics.extend(self.peer_cpu.map(|cpu| (Metric::PeerCpu, self.per_operation(cpu))));
        metrics
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Metric {
    Wall,
    Cpu,
    PeerCpu,
}

impl Metric {
    /// Its name, and the name of what it is compared with the floor.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Wall => ("wall", Some("wall ÷ floor")),
            Self::Cpu => ("CPU", Some("CPU ÷ floor")),
            Self::PeerCpu => ("of it callee", None),
        }
    }
}

/// Begins to measure a round.
pub(crate) struct Stopwatch {
    begun: Instant,
    cpu: Duration,
    peer: Option<(u32, Duration)>,
}

impl Stopwatch {
    /// Measures this process.
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), cpu: own_cpu(), peer: None }
    }

    /// Measures this process and another.
    pub(crate) fn start_with_peer(pid: u32) -> Result<Self> {
        let peer = Some((pid, cpu_of(pid)?));
        Ok(Self { peer, ..Self::start() })
    }

    /// What so many operations have cost since the start.
    pub(crate) fn stop(self, operations: u32) -> Result<Cost> {
        let (wall, cpu) = (self.begun.elapsed(), own_cpu() - self.cpu);
        let peer_cpu = match self.peer {
            Some((pid, before)) => Some(cpu_of(pid)?.saturating_sub(before)),
            None => None,
        };
        Ok(Cost { operations, wall, cpu, peer_cpu })
    }
}

/// The time on CPU of another process's live threads, to the nanosecond (its clock ticks would be 10 ms).
fn cpu_of(pid: u32) -> Result<Duration> {
    let threads = format!("/proc/{pid}/task");
    let mut nanos = 0;
    for thread in fs::read_dir(&threads).with_context(|| format!("cannot read {threads}"))? {
        // A thread may have ended since it was listed.
        if let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) {
            nanos += stat.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// A way of doing a program's work.
pub(crate) struct Rig {
    name: &'static str,
    floor: Option<&'static str>,
    round: Box<dyn FnMut() -> BoxFuture<'static, Result<Cost>> + Send>,
}

impl Rig {
    /// A rig that others are compared with.
    pub(crate) fn floor<F>(name: &'static str, mut round: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Cost>> + Send + 'static,
    {
        Self { name, floor: None, round: Box::new(move || Box::pin(round())) }
    }

    /// A rig that is compared with the floor of this name.
    pub(crate) fn new<F>(
        name: &'static str,
        floor: &'static str,
        round: impl FnMut() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Cost>> + Send + 'static,
    {
        Self { floor: Some(floor), ..Self::floor(name, round) }
    }
}

/// Runs the rigs in turns: once as a warm-up, then `rounds` times in random order.
pub(crate) async fn interleaved(
    report: &mut Report,
    program: &'static str,
    rounds: u32,
    mut rigs: Vec<Rig>,
) -> Result<()> {
    let mut order: Vec<usize> = (0..rigs.len()).collect();
    for round in 0..=rounds {
        eprint!("\r{program}: round {round} of {rounds} ");
        let mut costs = vec![None; rigs.len()];
        for &i in &order {
            let rig = &mut rigs[i];
            let cost = (rig.round)().await.with_context(|| format!("{program}, {}", rig.name))?;
            costs[i] = Some(cost.metrics());
        }
        if round > 0 {
            let measured = rigs.iter().zip(costs.into_iter().flatten()).collect::<Vec<_>>();
            add_round(report, program, &measured);
        }
        fastrand::shuffle(&mut order);
    }
    eprintln!();
    Ok(())
}

fn add_round(report: &mut Report, program: &'static str, measured: &[(&Rig, BTreeMap<Metric, f64>)]) {
    for (rig, metrics) in measured {
        for (metric, &value) in metrics {
            report.add(program, rig.name, metric.names().0, Unit::Nanoseconds, value);
        }
        let floor = measured.iter().find(|(other, _)| Some(other.name) == rig.floor);
        let Some((_, floor)) = floor else { continue };
        for (metric, &value) in metrics {
            if let (Some(name), Some(floor)) = (metric.names().1, floor.get(metric)) {
                report.add(program, rig.name, name, Unit::Ratio, value / floor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_counts_as_cpu_of_this_process_seen_from_inside_and_outside() {
        let stopwatch = Stopwatch::start_with_peer(std::process::id()).unwrap();
        let begun = own_cpu();
        while own_cpu() - begun < Duration::from_millis(20) {}
        let cost = stopwatch.stop(1).unwrap();
        assert!(cost.cpu >= Duration::from_millis(20), "{cost:?}");
        // Brought up to date at the scheduler's ticks.
        assert!(cost.peer_cpu.unwrap() >= Duration::from_millis(10), "{cost:?}");
    }
}
