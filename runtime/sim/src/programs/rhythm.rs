//! What an actor calls by itself while it is in memory: timers, and ticks at a fixed rate.
//!
//! A turn that has ended well sets them, whether it is durable yet or not, and each setting rings once, or no faster than
//! its rate: a tick that comes too late is left out and not made up for.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_core::Ticks;
use greenroom_testing::Mutation;
use tokio::time::Instant;

use super::cast::Who;
use super::origins::Origin;
use super::script::{PartId, Script};
use super::steps::By;
use super::witness::{State, Witness};

/// A tick comes at any moment of its period, and one that was due before may still come.
const MORE_AT_ONCE: u64 = 2;

/// What is set.
#[derive(Default)]
pub(crate) struct Rhythm {
    /// When turns ended well that have run a script.
    ended: BTreeMap<PartId, Vec<Instant>>,
    /// How many turns each ticks for, and what stops it.
    beats: BTreeMap<PartId, (u64, Vec<Ticks>)>,
}

impl Rhythm {
    /// A turn that has run this script has ended well.
    pub(super) fn has_ended(&mut self, part: PartId) {
        self.ended.entry(part).or_default().push(Instant::now());
    }
}

impl Witness {
    /// A turn has set ticks that run this script, so many times.
    pub(crate) fn beats(&self, part: PartId, times: u64, ticks: Ticks) {
        let mut state = self.state.lock();
        state.rhythm.beats.entry(part).or_insert((times, Vec::new())).1.push(ticks);
    }

    /// A turn begins that its own actor has called.
    pub(super) fn rings(&self, state: &mut State, who: Who, script: &Script, origin: &Origin) {
        let begun = state.begun(script.id);
        let Rhythm { ended, beats } = &mut state.rhythm;
        let set = ended.get(&origin.parent).map_or(&[][..], Vec::as_slice);
        if set.is_empty() {
            let message = format!("№{} rings at {who}, and no turn has set it that ended well", script.id);
            return self.violate("a_failed_turn_leaves_nothing", message);
        }
        let most = match origin.by {
            Some(By::Beat { hz }) => {
                let period = Duration::from_secs(1) / hz;
                let since = |set: &Instant| set.elapsed().div_duration_f64(period) as u64;
                set.iter().map(|set| since(set) + MORE_AT_ONCE).sum()
            }
            // What a full journal has refused is tried again.
            _ if self.journal_gets_full => u64::MAX,
            _ => set.len() as u64,
        };
        if begun > most {
            let message = format!("№{} rings at {who} for time {begun}, at most {most} are right", script.id);
            self.violate("what_rings_does_not_pile_up", message);
        }
        if let Some((times, ticks)) = beats.get_mut(&script.id) {
            if begun >= *times {
                ticks.drain(..).for_each(|ticks| ticks.stop());
            }
            if self.mutation == Some(Mutation::TicksPileUp) && begun < *times {
                self.smuggle(who, script);
            }
        }
    }
}
