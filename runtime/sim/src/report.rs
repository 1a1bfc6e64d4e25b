//! What a simulation comes to.

use std::ops::AddAssign;
use std::time::Duration;

use crate::checker::Violation;

/// One simulated history.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed that it came from.
    pub seed: u64,
    /// What must not happen and did, if anything.
    pub violation: Option<Violation>,
    /// What happened, a line per event.
    pub trace: Vec<String>,
    /// A hash over the trace and over the order in which tasks ran.
    pub hash: u64,
    /// How much happened.
    pub stats: Stats,
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// How much happened, in one history or in many. The documentation of each field is its line in the legend.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// The virtual time that passed.
            pub time: Duration,
        }

        impl Stats {
            /// Name, value and meaning of every count, in the order of the table.
            pub fn rows(&self) -> Vec<(&'static str, u64, &'static str)> {
                vec![$((stringify!($name), self.$name, concat!($($doc),+).trim())),+]
            }
        }

        impl AddAssign for Stats {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
                self.time += other.time;
            }
        }
    };
}

stats! {
    /// Polls of tasks, each drawn from those that were ready.
    polls,
    /// Lines of the traces.
    events,
    /// Calls that clients began.
    calls,
    /// Appends and relays that were acknowledged.
    appended,
    /// Reads that were answered.
    reads,
    /// Calls whose client was told that nothing remains of them: refused, panicked, or a timeout that says so.
    not_done,
    /// Calls that clients gave up without knowing.
    unknown,
    /// Attempts beyond a call's first one, with the same id.
    repeats,
    /// Requests that the network delivered twice.
    duplicates,
    /// Requests and answers between nodes that got lost.
    lost,
    /// Starts of nodes, the first ones included.
    starts,
    /// Ends of runs: crashes by the schedule or after a sync, and the ends of drained and refused ones.
    crashes,
    /// Planned stops.
    drains,
    /// Starts that ended because the node could not take part.
    refused,
    /// Times that a node stood still.
    pauses,
    /// Ways between nodes that were cut.
    cuts,
    /// Partitions into two groups.
    partitions,
    /// Outages of the register.
    outages,
    /// Times that a disk was slow.
    slow_disks,
    /// Entries of the map that got a new epoch.
    replaced,
}
