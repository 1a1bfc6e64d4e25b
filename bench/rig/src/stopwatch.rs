//! What work costs: time on the clock, time on CPU, memory.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::time::{ClockId, clock_gettime};

use crate::protocol::Sample;

/// Measures this process from its start on.
pub struct Stopwatch {
    begun: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Begins.
    pub fn start() -> Self {
        Self { begun: Instant::now(), cpu: own_cpu() }
    }

    /// What so many operations have cost since the start.
    pub fn stop(self, operations: u64) -> Sample {
        let (wall, cpu) = (self.begun.elapsed(), own_cpu() - self.cpu);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Sample { operations, wall_ns: nanos(wall), cpu_ns: nanos(cpu), ..Sample::default() }
    }
}

/// User and system time of this process.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How much of this process's memory is resident, in bytes.
pub fn resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let Some(kib) = kib else { bail!("/proc/self/status does not tell VmRSS") };
    Ok(kib.parse::<u64>()? * 1024)
}
