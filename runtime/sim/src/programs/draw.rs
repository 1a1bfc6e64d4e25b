//! Draws programs. Not every program has every kind of step or fault: what always happens hides what happens without it.

use fastrand::Rng;
use greenroom_testing::Conditions;

use super::cast::{Kind, Who};
use super::script::{Ask, Item, PartId, Program, Script, Step, What};
use super::steps::{self, KINDS};
use crate::faults::Fault;
use crate::settings::Settings;

/// How deep scripts may lie in each other.
const DEEPEST: u32 = 3;
/// A program has about so many steps at most; further scripts are empty of those that send.
const MOST_PARTS: PartId = 400;
/// One program of so many is calm.
const CALM: u32 = 8;
/// When a calm program begins: all nodes serve then.
const CALM_FROM_MS: u64 = 3_000;

/// What a script is drawn for.
pub(crate) struct Draw<'a> {
    pub(crate) random: &'a mut Rng,
    /// The actor whose turn it is.
    pub(crate) at: Who,
    /// Turns of it call actors behind this one.
    behind: Who,
    /// The actor that has lent its state to the call that runs the script.
    host: Option<Who>,
    /// The script runs at most once.
    pub(crate) runs_once: bool,
    pub(crate) calm: bool,
    cast: &'a [Who],
    weights: &'a [u32],
    next: &'a mut PartId,
    depth: u32,
}

impl Draw<'_> {
    /// Any actor.
    pub(crate) fn anyone(&mut self) -> Who {
        self.cast[self.random.usize(..self.cast.len())]
    }

    /// An actor that a turn of this one may call.
    pub(crate) fn later(&mut self) -> Option<Who> {
        let later: Vec<_> = self.cast.iter().filter(|who| **who > self.behind).copied().collect();
        self.random.choice(later)
    }

    /// A script for another turn; `None` if this lies deep enough.
    pub(crate) fn script(&mut self, at: Who) -> Option<Script> {
        self.script_that_repeats(at, false)
    }

    /// The same, for one that may run several times.
    pub(crate) fn script_that_repeats(&mut self, at: Who, repeats: bool) -> Option<Script> {
        self.inner(at, at, None, repeats)
    }

    /// The same, for one that may come back to this actor.
    pub(crate) fn script_that_comes_back(&mut self, to: Who) -> Option<Script> {
        self.inner(to, to, Some(self.at), false)
    }

    /// A script that runs inside the turn of the host. That turn may be repeated, and this one calls nobody who waits for it.
    pub(crate) fn script_of_visit(&mut self) -> Option<(Who, Script)> {
        let host = self.host?;
        self.depth -= 1;
        let script = self.inner(host, self.at, None, true);
        self.depth += 1;
        Some((host, script?))
    }

    fn inner(&mut self, at: Who, behind: Who, host: Option<Who>, repeats: bool) -> Option<Script> {
        if self.depth >= DEEPEST || *self.next > MOST_PARTS {
            return None;
        }
        let Draw { random, runs_once, calm, cast, weights, next, depth, .. } = self;
        // What a relaxed turn sends it may send again, when a crash has taken it.
        let runs_once = *runs_once && !repeats && at.is_durable() && !self.at.is_relaxed();
        let (calm, depth) = (*calm, *depth + 1);
        let mut inner = Draw { random, at, behind, host, runs_once, calm, cast, weights, next, depth };
        let mut script = inner.steps();
        if host.is_some() {
            inner.visits(&mut script);
        }
        Some(script)
    }

    /// Adds calls that come back.
    fn visits(&mut self, script: &mut Script) {
        for _ in 0..self.random.u8(1..=2) {
            let id = self.number();
            let Some(act) = steps::visit(self) else { continue };
            script.steps.insert(self.random.usize(..=script.steps.len()), Step { id, act });
        }
    }

    /// A script that any durable actor may run, and that sends nothing on.
    pub(crate) fn script_for_anyone(&mut self) -> Option<Script> {
        if self.depth >= DEEPEST || *self.next > MOST_PARTS {
            return None;
        }
        // Behind all others: no turn of it calls anybody.
        let at = Who { number: u8::MAX, kind: Kind::Keeper };
        let (behind, host, runs_once, calm, depth) = (at, None, false, self.calm, DEEPEST);
        let Draw { random, cast, weights, next, .. } = self;
        let mut inner = Draw { random, at, behind, host, runs_once, calm, cast, weights, next, depth };
        Some(inner.steps())
    }

    fn number(&mut self) -> PartId {
        *self.next += 1;
        *self.next
    }

    fn steps(&mut self) -> Script {
        let id = self.number();
        let most = if self.depth == 0 { 4 } else { 2 };
        let count = self.random.usize(..=most);
        let steps = (0..count).filter_map(|_| {
            let id = self.number();
            let mut drawn = self.random.u32(..self.weights.iter().sum::<u32>());
            let kind = self.weights.iter().position(|weight| match drawn.checked_sub(*weight) {
                Some(rest) => {
                    drawn = rest;
                    false
                }
                None => true,
            })?;
            Some(Step { id, act: KINDS[kind].1(&mut *self)? })
        });
        let steps = steps.collect();
        Script { id, steps }
    }
}

impl Program {
    /// The program of a seed.
    pub(crate) fn draw(random: &mut Rng) -> Self {
        let settings = Settings::draw(random);
        let calm = random.u32(..CALM) == 0;
        let cast = cast(random);
        let weights: Vec<_> =
            KINDS.iter().map(|(weight, _)| if random.u8(..4) == 0 { 0 } else { *weight }).collect();
        let weights = if weights.iter().sum::<u32>() == 0 { vec![1; KINDS.len()] } else { weights };
        let mut next = 0;
        let mut items = Vec::new();
        let trouble = settings.trouble.as_millis() as u64 / 2;
        let from = if calm { CALM_FROM_MS } else { 0 };
        for _ in 0..random.u32(5..28) {
            let to = cast[random.usize(..cast.len())];
            let (next, calm) = (&mut next, calm);
            let (at, behind, host, runs_once) = (to, to, None, to.is_durable());
            let (cast, weights) = (&cast, &weights);
            let mut draw = Draw { random, at, behind, host, runs_once, calm, cast, weights, next, depth: 0 };
            let id = draw.number();
            let at_ms = from + draw.random.u64(..trouble);
            items.push(Item { id, at_ms, what: What::Ask(ask(&mut draw)) });
        }
        let mut at_ms = 0;
        if !calm {
            loop {
                at_ms += random.u64(..2 * settings.fault_every_ms);
                let fault = Fault::draw(random, &settings.schedule, settings.nodes);
                let Some(fault) = fault.filter(|_| at_ms < trouble) else { break };
                next += 1;
                items.push(Item { id: next, at_ms, what: What::Fault(fault) });
            }
        }
        if !calm && random.u8(..3) == 0 {
            next += 1;
            items.push(Item { id: next, at_ms: random.u64(..trouble), what: What::Upgrade });
        }
        items.sort_by_key(|item| item.at_ms);
        let mut conditions = if calm { Conditions::GOOD } else { settings.conditions };
        // Reminders and delayed messages go by the calendar: what is a minute wrong takes a minute more to be done.
        conditions.clock_offset_ms = conditions.clock_offset_ms.min(2_000);
        Self { nodes: settings.nodes, shards: settings.shards, calm, conditions, cast, items }
    }
}

/// Two to six actors, at least one of them durable at once.
fn cast(random: &mut Rng) -> Vec<Who> {
    let kinds = [
        Kind::Keeper,
        Kind::Keeper,
        Kind::Shelf,
        Kind::Shelf,
        Kind::Scribe,
        Kind::Scribe,
        Kind::Ghost,
        Kind::Elder,
    ];
    let mut cast: Vec<_> = (1..random.u8(2..=6))
        .map(|number| Who { number, kind: kinds[random.usize(..kinds.len())] })
        .collect();
    cast.push(Who { number: 9, kind: if random.bool() { Kind::Keeper } else { Kind::Shelf } });
    cast
}

fn ask(draw: &mut Draw<'_>) -> Ask {
    let (to, calm) = (draw.at, draw.calm);
    let script = (draw.random.u8(..5) > 0).then(|| draw.steps());
    let random = &mut *draw.random;
    let follows = script.is_none() && to.is_durable() && random.bool();
    let often = |random: &mut Rng, of: u8| random.u8(..of) == 0 && !calm;
    Ask {
        to,
        script,
        follows,
        patience_ms: if calm { 20_000 } else { random.u64(200..8_000) },
        attempt_ms: if calm {
            20_000
        } else if often(random, 4) {
            random.u64(1..60)
        } else {
            random.u64(60..3_000)
        },
        once: often(random, 4),
        hangs_up: often(random, 2),
        again: often(random, 6),
    }
}
