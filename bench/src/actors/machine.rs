//! On what machine, and how busy, something was measured.

use std::fmt::{self, Display, Formatter};
use std::fs;

/// The machine, and its load since the measurement began.
pub(crate) struct Machine {
    load_before: String,
}

impl Machine {
    /// Now.
    pub(crate) fn look() -> Self {
        Self { load_before: load() }
    }
}

/// The mean number of running processes over the last minute.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let (kernel, before, after) = (kernel.trim(), &self.load_before, load());
        write!(
            f,
            "{cores} cores, Linux {kernel}; load {before} before and {after} after (of which 1 to 2 is our own)."
        )
    }
}
