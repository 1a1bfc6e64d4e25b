//! Who must hear what is only told: broadcasts, and publications to those who listen for as long as they are in memory.
//!
//! Both reach who is in memory when they come, and may be lost. In a calm program nothing is, and no shard moves: so an
//! actor that is in memory when such a message leaves, and still in the same activation when it must have come, has got
//! it. The witness looks twice, and what it then expects must have been applied when all is done. A relaxed turn is
//! written when its messages have left already, so nobody knows in time what it announces.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::time::Duration;

use greenroom_core::transport::Transport;

use super::cast::Who;
use super::script::{PartId, Script};
use super::steps::By;
use super::witness::{self, State, Witness};

/// How long such a message is under way at most if nothing goes wrong; actors leave memory when they are idle for longer.
const UNDER_WAY: Duration = Duration::from_millis(150);

/// An activation: its node, and since when it is in memory there.
pub(super) type Activation = (usize, u64);

/// Who must hear what.
#[derive(Default)]
pub(super) struct Audience {
    /// The activations that listen to a pattern.
    listening: BTreeSet<(Who, String, Activation)>,
    /// How often each must have applied what.
    expected: BTreeMap<(Who, PartId), usize>,
}

impl Witness {
    /// A turn has been told that its activation listens from now on.
    pub(crate) fn listens(&self, who: Who, pattern: &str) {
        if let Some(activation) = self.activation(who) {
            self.state.lock().audience.listening.insert((who, pattern.to_owned(), activation));
        }
    }

    /// Those who listen to this topic now, by each of their subscriptions.
    pub(super) fn listeners(&self, state: &State, topic: &str) -> Vec<(Who, Activation)> {
        let listening = state.audience.listening.iter();
        let such = listening.filter(|(_, pattern, _)| super::channels::matches(pattern, topic));
        let there = such.filter(|(who, _, activation)| self.activation(*who) == Some(*activation));
        there.map(|(who, _, activation)| (*who, *activation)).collect()
    }

    /// A turn of this actor counts, and what it announces leaves.
    pub(super) fn announces(&self, who: Who, script: &Script) {
        if who.is_relaxed() {
            return;
        }
        for sends in script.steps.iter().flat_map(|step| step.act.sends()) {
            let By::News(kind) = sends.by else { continue };
            let all = self.cast.iter().filter(|who| who.kind == kind);
            let there = all.filter_map(|who| Some((*who, self.activation(*who)?))).collect();
            self.expects(sends.script.id, there);
        }
    }

    /// These must hear this, those of them who stay in memory until it must have come.
    pub(super) fn expects(&self, part: PartId, there: Vec<(Who, Activation)>) {
        let Some(world) = self.world.get().and_then(Weak::upgrade).filter(|_| self.calm) else { return };
        world.spawn(async move {
            tokio::time::sleep(UNDER_WAY).await;
            witness::with(|witness| {
                let stayed = there.iter().filter(|(who, then)| witness.activation(*who) == Some(*then));
                let expected = &mut witness.state.lock().audience.expected;
                stayed.for_each(|(who, _)| *expected.entry((*who, part)).or_default() += 1);
            });
        });
    }

    /// Everything is done: whoever had to hear something has.
    pub(crate) fn check_audience(&self) {
        let state = self.state.lock();
        self.counts.lock().expected += state.audience.expected.values().sum::<usize>() as u64;
        for ((who, part), expected) in &state.audience.expected {
            let is_sure = self.origins.script(*part).is_some_and(Script::is_sure);
            let times = state.times_heard(*who, *part);
            if is_sure && times < *expected {
                let message = format!(
                    "{who} was in memory, and has applied №{part} {times} times instead of {expected}"
                );
                self.violate("who_stays_in_memory_hears_it", message);
            }
        }
    }

    /// The actor in memory. `None` also if it has come just now: who takes its place at once would look the same.
    fn activation(&self, who: Who) -> Option<Activation> {
        let nodes = self.nodes.get()?.upgrade()?;
        (0..nodes.size()).find_map(|node| {
            let running = nodes.running(node)?;
            let engine = running.router.engine()?;
            let since = engine.placement(&who.id())?.activated_unix_ms;
            (since < engine.env().unix_ms()).then_some((node, since))
        })
    }
}
