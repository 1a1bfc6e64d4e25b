//! What a simulation comes to.

use std::ops::AddAssign;
use std::time::Duration;

use crate::checker::Violation;
use crate::programs::By;

/// One simulated history.
#[derive(Debug, Clone)]
pub struct Report<S = Stats> {
    /// The seed that it came from.
    pub seed: u64,
    /// What must not happen and did, if anything.
    pub violation: Option<Violation>,
    /// What happened, a line per event.
    pub trace: Vec<String>,
    /// A hash over the trace and over the order in which tasks ran.
    pub hash: u64,
    /// How much happened.
    pub stats: S,
}

/// Counts, to be added up and printed.
pub trait Tally: AddAssign + Default + Copy {
    /// The virtual time that passed.
    fn time(&self) -> Duration;
    /// Name, value and meaning of every count, in the order of the table.
    fn rows(&self) -> Vec<(&'static str, u64, &'static str)>;
}

macro_rules! stats {
    ($(#[$about:meta])+ $stats:ident: $($(#[doc = $doc:literal])+ $name:ident,)+) => {
        $(#[$about])+
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// The virtual time that passed.
            pub time: Duration,
        }

        impl Tally for $stats {
            fn time(&self) -> Duration {
                self.time
            }

            fn rows(&self) -> Vec<(&'static str, u64, &'static str)> {
                vec![$((stringify!($name), self.$name, concat!($($doc),+).trim())),+]
            }
        }

        impl AddAssign for $stats {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
                self.time += other.time;
            }
        }
    };
}

stats! {
    /// How much happened, in one history or in many. The documentation of each field is its line in the legend.
    Stats:
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

stats! {
    /// How much happened in programs. The documentation of each field is its line in the legend.
    Counts:
    /// Polls of tasks, each drawn from those that were ready.
    polls,
    /// Calls that clients began.
    asked,
    /// Calls that were answered: done, seen, or failed for good.
    answered,
    /// Attempts beyond a call's first one, with the same id.
    repeated,
    /// Turns that began.
    turns,
    /// Turns whose scripts made them fail.
    failed,
    /// Turns that counted: durable ones, and those of volatile actors.
    applied,
    /// Of those, by calls in the middle of turns.
    nested,
    /// Of those, by messages that may be lost.
    told,
    /// Of those, by reliable messages.
    reliable,
    /// Of those, by reliable messages that had to wait.
    delayed,
    /// Of those, by ticks of reminders.
    ticks,
    /// Of those, by timers.
    timers,
    /// Of those, by ticks at a fixed rate.
    beats,
    /// Of those, by calls that came back inside a turn.
    visits,
    /// Of those, by broadcasts.
    news,
    /// Of those, by publications.
    published,
    /// Of those, by publications to who listens for as long as it is in memory.
    overheard,
    /// Of those, by steps of workflows.
    steps,
    /// Subscriptions that turns have made or ended.
    subscriptions,
    /// States of the version before that were read by the next one.
    migrated,
    /// Publications that somebody has kept from lower priorities.
    consumed,
    /// Messages that who was in memory had to hear.
    expected,
    /// Calls that stateless workers have carried.
    carried,
    /// Calls that local actors have answered.
    ushered,
    /// Messages and ticks that became dead letters.
    letters,
    /// Dead letters that were sent again.
    sent_again,
    /// Items of streams that clients were shown.
    followed,
    /// States of relaxed actors that somebody was shown and a crash took back.
    taken_back,
    /// Ends of runs: crashes, and the ends of drained and refused ones.
    crashes,
    /// Planned stops.
    drains,
    /// Times that a node stood still.
    pauses,
    /// Ways between nodes that were cut.
    cuts,
    /// Outages of the register.
    outages,
    /// Times that a disk was slow.
    slow_disks,
    /// Requests and answers between nodes that got lost.
    lost,
    /// Requests that the network delivered twice.
    duplicates,
    /// Entries of the map that got a new epoch.
    replaced,
}

impl Counts {
    /// A turn counts that came so.
    pub(crate) fn count(&mut self, by: Option<By>) {
        let count = match by {
            None => return,
            Some(By::Call) => &mut self.nested,
            Some(By::Tell) => &mut self.told,
            Some(By::Reliable) => &mut self.reliable,
            Some(By::Delayed) => &mut self.delayed,
            Some(By::Ticks(_)) => &mut self.ticks,
            Some(By::Timer) => &mut self.timers,
            Some(By::Beat { .. }) => &mut self.beats,
            Some(By::Visit) => &mut self.visits,
            Some(By::News(_)) => &mut self.news,
            Some(By::Topic) => &mut self.published,
            Some(By::Overheard) => &mut self.overheard,
            Some(By::Step { .. }) => &mut self.steps,
        };
        *count += 1;
    }

    /// Takes over how much went wrong.
    pub(crate) fn faults_of(&mut self, stats: &Stats) {
        let Stats { crashes, drains, pauses, cuts, outages, slow_disks, lost, duplicates, replaced, .. } =
            *stats;
        *self =
            Self { crashes, drains, pauses, cuts, outages, slow_disks, lost, duplicates, replaced, ..*self };
    }
}
