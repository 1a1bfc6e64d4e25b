//! Sees what turns do, what becomes durable and what leaves, and compares it with the model as it happens.
//!
//! The line of an actor is what its durable records say, one turn after the other: each must be the model's next state.
//! Whatever shows a state, a reply, an error, a message, a call in the middle of a turn, must show one of that line (I3).
//! For a volatile actor its own turns stand in for records, one line for each of its lives.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use greenroom_core::call::{Call, CallResult};
use greenroom_core::journal::{Commit, RecordKind};
use greenroom_core::{CallError, CallId};
use greenroom_testing::{Event, Mutation, Nodes, Observer, World};
use parking_lot::Mutex;

use super::audience::Audience;
use super::cast::Who;
use super::channels::Channels;
use super::letters::Letters;
use super::locals::Locals;
use super::model::Model;
use super::order;
use super::origins::Origins;
use super::ranks::Ranks;
use super::relaxed::{self, Relaxed};
use super::rhythm::Rhythm;
use super::script::{PartId, Program, Script};
use super::stage::{Failed, Line, Look, Page, Reply};
use super::steps::By;
use super::versions::{self, Stored};
use super::visits::Visits;
use crate::checker::Violation;
use crate::report::{Counts, Stats};

thread_local! {
    /// The witness of the simulation that this thread runs. Turns have no other way to it.
    static WITNESS: RefCell<Option<Arc<Witness>>> = const { RefCell::new(None) };
}

/// Makes `witness` the one that turns of this thread see, until the guard is dropped.
pub(crate) fn enter(witness: &Arc<Witness>) -> Entered {
    WITNESS.set(Some(witness.clone()));
    Entered
}

pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        WITNESS.set(None);
    }
}

/// Tells the witness something.
pub(crate) fn with(act: impl FnOnce(&Witness)) {
    let witness = WITNESS.with_borrow(Clone::clone);
    witness.as_deref().map(act);
}

/// Asks the witness something.
pub(crate) fn ask<T: Default>(ask: impl FnOnce(&Witness) -> T) -> T {
    let witness = WITNESS.with_borrow(Clone::clone);
    witness.as_deref().map(ask).unwrap_or_default()
}

/// Sends a message that nobody should send.
pub(crate) type Smuggler = Box<dyn Fn(Who, Script) + Send + Sync>;

/// What it has seen.
pub(crate) struct Witness {
    pub(crate) origins: Origins,
    pub(crate) calm: bool,
    pub(super) cast: Vec<Who>,
    pub(crate) stats: Mutex<Stats>,
    pub(crate) counts: Mutex<Counts>,
    pub(crate) world: OnceLock<Weak<World>>,
    pub(crate) nodes: OnceLock<Weak<Nodes>>,
    pub(crate) smuggler: OnceLock<Smuggler>,
    pub(super) mutation: Option<Mutation>,
    pub(super) loss_window: Option<Duration>,
    pub(super) journal_gets_full: bool,
    pub(super) state: Mutex<State>,
    violation: Mutex<Option<Violation>>,
}

#[derive(Default)]
pub(super) struct State {
    /// The states of each durable actor that its records show, the first one included.
    pub(super) lines: BTreeMap<Who, Vec<Model>>,
    /// The last state of each life of a volatile actor.
    lives: BTreeMap<(Who, u64), Model>,
    births: u64,
    /// What the turns have made, durable or not; runs of one call may have heard different things.
    pages: BTreeMap<(Who, Line), Vec<Page>>,
    /// The states after each turn that ran a script and counts.
    pub(super) ran: BTreeMap<PartId, Vec<Line>>,
    /// How many turns have begun to run a script.
    pub(super) begun: BTreeMap<PartId, u64>,
    /// What turns had seen when they called others, by the script that they called with.
    left: BTreeMap<PartId, Vec<(Who, Line)>>,
    pub(super) calls: BTreeMap<Who, BTreeSet<CallId>>,
    pub(super) order: order::Order,
    /// The newest version of its type that has stored an actor.
    pub(super) versions: BTreeMap<Who, u32>,
    pub(super) channels: Channels,
    pub(super) ranks: Ranks,
    pub(super) letters: Letters,
    pub(super) rhythm: Rhythm,
    pub(super) visits: Visits,
    pub(super) audience: Audience,
    pub(super) locals: Locals,
    /// How often each actor has applied a broadcast.
    pub(super) news: BTreeMap<(Who, PartId), usize>,
    pub(super) relaxed: Relaxed,
    /// How far clients know each actor to have come.
    known: BTreeMap<Who, u64>,
    /// The network has delivered these twice.
    duplicated: BTreeSet<CallId>,
    /// Clients were told that these have not happened.
    pub(super) not_done: BTreeSet<PartId>,
    /// For the planted mistake of a rollback that is lost.
    kept: BTreeMap<Who, Page>,
}

impl Observer for Witness {
    fn happened(&self, event: Event<'_>) {
        match event {
            Event::Durable(_, record) => {
                self.is_buried(record);
                if let RecordKind::Commit(commit) = &record.kind {
                    match Who::of(&commit.actor) {
                        Some(who) => self.durable(who, commit),
                        None => self.channel_commits(commit),
                    }
                }
            }
            Event::ReplyLeaves(call, outcome) => self.reply_leaves(call, outcome),
            Event::LoadedTooEarly(actor) => {
                let message = format!("{actor} is loaded while a record of it is not durable yet");
                self.violate("an_actor_is_loaded_when_its_records_are_durable", message);
            }
            Event::DeliveredTwice(call) => {
                self.stats.lock().duplicates += 1;
                self.state.lock().duplicated.insert(call);
            }
            Event::CannotGoOn(error) => self.violate("the_map_and_the_logs_agree", error.to_string()),
            Event::Lost => self.stats.lock().lost += 1,
            Event::Started => self.stats.lock().starts += 1,
            Event::Ended => {
                self.stats.lock().crashes += 1;
                self.state.lock().relaxed.node_ended();
            }
            Event::Drained => self.state.lock().relaxed.node_has_drained(),
            Event::Drains => self.stats.lock().drains += 1,
            Event::Paused => self.stats.lock().pauses += 1,
            Event::Replaced(owners) => self.stats.lock().replaced += owners as u64,
        }
    }
}

impl Witness {
    pub(crate) fn new(program: &Program, mutation: Option<Mutation>) -> Arc<Self> {
        let mut state = State::default();
        for who in program.cast.iter().filter(|who| who.is_durable()) {
            state.lines.insert(*who, vec![Model::default()]);
        }
        Arc::new(Self {
            origins: Origins::of(program),
            calm: program.calm,
            cast: program.cast.clone(),
            loss_window: relaxed::loss_window(program),
            journal_gets_full: relaxed::journal_gets_full(program),
            stats: Mutex::default(),
            counts: Mutex::default(),
            world: OnceLock::new(),
            nodes: OnceLock::new(),
            smuggler: OnceLock::new(),
            mutation,
            state: Mutex::new(state),
            violation: Mutex::default(),
        })
    }

    /// Notes a violation, if it is the first.
    pub(crate) fn violate(&self, invariant: &'static str, message: String) {
        self.violation.lock().get_or_insert(Violation { invariant, message });
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        self.violation.lock().clone()
    }

    pub(crate) fn check(&self, invariant: &'static str, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.violate(invariant, message);
        }
    }

    pub(super) fn note(&self, event: impl FnOnce() -> String) {
        if let Some(world) = self.world.get().and_then(Weak::upgrade) {
            world.trace.add(event());
        }
    }

    /// A turn begins.
    pub(crate) fn begins(&self, who: Who, page: &mut Page, script: &Script) {
        let mut state = self.state.lock();
        if let Some(kept) = state.kept.remove(&who) {
            *page = kept;
        }
        if !who.is_durable() && page.line == Line::default() {
            state.births += 1;
            page.line.born = state.births;
        }
        *state.begun.entry(script.id).or_default() += 1;
        self.counts.lock().turns += 1;
        let line = page.line;
        self.note(|| format!("{who} begins №{} at {}", script.id, line.version));
        let is_known = match line.version {
            0 => *page == Page { line, ..Page::default() },
            _ => state.pages.get(&(who, line)).is_some_and(|pages| pages.contains(page)),
        };
        if !is_known {
            let message = format!("a turn of {who} begins with {page:?}, which no turn has made");
            self.violate("a_failed_turn_leaves_nothing", message);
        }
        if who.is_relaxed() {
            self.goes_on_from(&mut state, who, line);
        }
        let Some(origin) = self.origins.get(script.id) else { return };
        match origin.by {
            Some(by @ (By::Tell | By::News(_))) if origin.from.is_relaxed() => {
                let has_ended = state.has_ended(origin.from, origin.parent).then_some(());
                let message =
                    || format!("№{} begins by {by:?}, but №{} has not ended", script.id, origin.parent);
                self.check("i3_a_message_leaves_after_its_turn", has_ended.ok_or_else(message));
            }
            Some(By::Call) => {
                self.check("i3_a_call_leaves_after_what_its_turn_saw", state.has_left(script.id));
            }
            Some(By::Timer | By::Beat { .. }) => self.rings(&mut state, who, script, &origin),
            Some(By::Step { behind: Some(step) }) if !self.is_done(&state, step) => {
                let message = format!("№{} begins, and the step before, №{step}, is not durable", script.id);
                self.violate("i3_a_workflow_goes_on_behind_its_records", message);
            }
            Some(By::Topic) => self.is_heard(&state, who, script),
            Some(By::Overheard) => self.is_overheard(&state, who, script),
            Some(
                by @ (By::Tell | By::News(_) | By::Reliable | By::Delayed | By::Ticks(_) | By::Step { .. }),
            ) if state.ran(origin.parent) == 0 => {
                let message =
                    format!("№{} begins by {by:?}, but №{} is not durable", script.id, origin.parent);
                self.violate("i3_a_message_leaves_after_its_turn", message);
            }
            _ => {}
        }
        let comes_twice = match origin.by {
            Some(By::News(_)) => Mutation::NewsComesTwice,
            Some(By::Overheard) => Mutation::OverheardTwice,
            _ => return,
        };
        if self.mutation == Some(comes_twice) && state.begun(script.id) == 1 {
            self.smuggle(who, script);
        }
    }

    /// Whether this mistake is planted.
    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// A planted mistake lets an actor run a script.
    pub(super) fn smuggle(&self, to: Who, script: &Script) {
        self.smuggler.get().iter().for_each(|smuggle| smuggle(to, script.clone()));
    }

    /// How often a porter makes a call.
    pub(crate) fn times_carried(&self) -> usize {
        if self.mutation == Some(Mutation::PorterCallsTwice) { 2 } else { 1 }
    }

    /// A porter has said how its call went.
    pub(crate) fn is_carried(&self, to: Who, line: Line) {
        self.counts.lock().carried += 1;
        self.told(to, line, "what a porter was told");
    }

    /// A step of a workflow has done what it can do for good.
    fn is_done(&self, state: &State, step: PartId) -> bool {
        let Some((script, origin)) = self.origins.script(step).zip(self.origins.get(step)) else {
            return true;
        };
        !script.is_sure() || !origin.to.is_durable() || origin.to.is_relaxed() || state.ran(step) > 0
    }

    /// A turn is about to end well.
    pub(crate) fn ends(&self, who: Who, page: &Page, script: &Script, call: CallId, before: Line) {
        self.note(|| format!("{who} ends №{} at {}", script.id, page.line.version));
        let mut state = self.state.lock();
        state.pages.entry((who, page.line)).or_default().push(page.clone());
        let inside: Vec<_> = self.came_in(&page.heard).map(|script| script.id).collect();
        inside.into_iter().chain([script.id]).for_each(|part| state.rhythm.has_ended(part));
        if who.is_relaxed() {
            self.relaxes(&mut state, (who, page), script, call, before);
        }
        if !who.is_durable() {
            let life = (who, page.line.born);
            let before = state.lives.get(&life).cloned().unwrap_or_else(|| Model {
                line: Line { born: page.line.born, ..Line::default() },
                ..Model::default()
            });
            // The hash over the line was made from this turn's own id, which the model takes as it is.
            let mut after = before.after(script, CallId(0), &page.heard);
            after.line.chain = page.line.chain;
            self.check("a_turn_does_what_its_script_says", same(who, &after, page, None));
            state.lives.insert(life, after);
            self.counts_visits(&mut state, who, &page.heard, page.line);
            self.applied(&mut state, who, script, page.line);
        }
    }

    /// A turn is about to fail.
    pub(crate) fn fails(&self, who: Who, page: &Page, told: &[(Who, Script)]) {
        self.counts.lock().failed += 1;
        self.note(|| format!("{who} fails at {}", page.line.version));
        match self.mutation {
            Some(Mutation::RollbackIsLost) => drop(self.state.lock().kept.insert(who, page.clone())),
            Some(Mutation::FailedTurnTells) => {
                told.iter().for_each(|(to, script)| self.smuggle(*to, script));
            }
            _ => {}
        }
    }

    /// A record is on its disk.
    fn durable(&self, who: Who, commit: &Commit) {
        let Some((version, Stored { page, tag })) = versions::read(&commit.state) else {
            return self.violate("states_can_be_read", format!("a record of {who} cannot be read"));
        };
        let mut state = self.state.lock();
        self.has_version(&mut state, who, version);
        let before = state.lines.get(&who).and_then(|line| line.last()).cloned().unwrap_or_default();
        if page.line == before.line {
            return self.check("a_turn_does_what_its_script_says", same(who, &before, &page, Some(tag)));
        }
        if who.is_relaxed() {
            return self.is_written_behind(&mut state, who, &page, commit);
        }
        let Some(script) = self.origins.script(page.last) else {
            return self
                .violate("a_turn_does_what_its_script_says", format!("{who} ran no script: {page:?}"));
        };
        if script.is_doomed() {
            let message = format!("{who} keeps what №{} did, which failed", script.id);
            self.violate("a_failed_turn_leaves_nothing", message);
        }
        let call = commit.call.id;
        if !state.calls.entry(who).or_default().insert(call) {
            let message = format!("{who} has applied call {call} (№{}) before", script.id);
            self.violate("i4_applied_once", message);
        }
        let after = before.after(script, call, &page.heard);
        if page.line != after.line {
            let message =
                format!("{who} is at {:?} after №{}, the model at {:?}", page.line, script.id, after.line);
            self.violate("turns_form_one_line", message);
        }
        self.check("a_turn_does_what_its_script_says", same(who, &after, &page, Some(tag)));
        for heard in &page.heard {
            self.check(
                "an_answered_call_in_a_turn_is_applied",
                state.was_heard(&self.origins, heard.part, heard.line),
            );
        }
        let (line, heard) = (after.line, page.heard.clone());
        state.pages.entry((who, line)).or_default().push(page);
        state.lines.entry(who).or_default().push(after);
        self.counts_visits(&mut state, who, &heard, line);
        self.applied(&mut state, who, script, line);
        self.publishes(&mut state, who, commit);
    }

    /// A turn that ran this script counts from now on.
    pub(super) fn applied(&self, state: &mut State, who: Who, script: &Script, line: Line) {
        self.counts.lock().applied += 1;
        state.ran.entry(script.id).or_default().push(line);
        self.announces(who, script);
        let Some(origin) = self.origins.get(script.id) else { return };
        self.counts.lock().count(origin.by);
        match origin.by {
            Some(By::News(_)) => *state.news.entry((who, script.id)).or_default() += 1,
            Some(By::Topic) => self.hears(state, who, script),
            Some(By::Overheard) => self.has_overheard(state, who, script.id),
            _ => {}
        }
        self.check("what_was_sent_once_is_applied_once", self.within_bounds(state, who, script));
        self.check("messages_come_in_order", self.in_order(state, who, script));
    }

    /// Something showed this state.
    pub(crate) fn told(&self, who: Who, line: Line, what: &str) {
        let mut state = self.state.lock();
        self.is_shown(&mut state, who, line);
        if !state.is_line(who, line) {
            let message = format!("{what} shows {who} at {line:?}, which is not durable");
            self.violate("i3_output_waits_for_its_commit", message);
        }
    }

    /// Somebody has looked at an actor.
    pub(crate) fn look_is_told(&self, who: Who, look: &Look) {
        self.told(who, look.page.line, "a look");
        let state = self.state.lock();
        let models = match who.is_relaxed() {
            true => state.relaxed.models(who, look.page.line),
            false => {
                let model = state.lines.get(&who).and_then(|line| line.get(look.page.line.version as usize));
                model.map_or(&[][..], std::slice::from_ref)
            }
        };
        if let [model, ..] = models
            && models.iter().all(|model| model.look() != *look)
        {
            let message = format!("{who} shows {look:?}, the model {:?}", model.look());
            self.violate("reads_see_a_state_that_existed", message);
        }
    }

    /// A turn has called somebody with this script, having seen this state of its own.
    pub(crate) fn leaves(&self, script: PartId, who: Who, seen: Line) {
        self.state.lock().left.entry(script).or_default().push((who, seen));
    }

    /// A call in a turn has failed.
    pub(crate) fn a_turn_is_told(&self, error: &CallError<Failed>) {
        self.check("callers_are_told_what_they_can_use", usable(error, None));
    }

    pub(crate) fn reply_leaves(&self, call: &Call, outcome: &CallResult) {
        let Some(who) = Who::of(&call.target) else { return };
        match outcome {
            Ok(reply) if &*call.method == "look" => {
                if let Ok(look) = reply.decode::<Look>("a look") {
                    self.look_is_told(who, &look);
                }
            }
            Ok(reply) => {
                // One-way requests and reliable messages are answered with nothing.
                if let Ok(Reply { line }) = reply.decode("a reply") {
                    self.told(who, line, "a reply");
                }
            }
            Err(CallError::App(error)) => {
                if let Ok(Failed::Planned { saw }) = error.decode("an error") {
                    self.told(who, saw, "an error");
                }
            }
            Err(_) => {}
        }
    }

    /// How far clients know this actor to have come.
    pub(crate) fn known(&self, who: Who) -> u64 {
        self.state.lock().known.get(&who).copied().unwrap_or(0)
    }

    /// A client has been told this state of an actor, of which `known` was known when it began to ask.
    pub(crate) fn client_knows(&self, who: Who, line: Line, known: u64, ran: Option<PartId>) {
        if !who.is_durable() || who.is_relaxed() {
            return;
        }
        let mut state = self.state.lock();
        let farthest = state.known.entry(who).or_default();
        *farthest = line.version.max(*farthest);
        if line.version < known + u64::from(ran.is_some()) {
            let message = format!("a client was told {line:?} of {who} after another had been told {known}");
            self.violate("nothing_is_older_than_what_was_told", message);
        }
        let there = state.lines.get(&who).and_then(|line_of| line_of.get(line.version as usize));
        if let (Some(part), Some(there)) = (ran, there)
            && there.last != part
        {
            let message =
                format!("№{part} was acknowledged at {}, where {who} ran №{}", line.version, there.last);
            self.violate("i2_acknowledged_turns_are_there", message);
        }
    }

    /// The network has delivered the request of this call twice.
    pub(crate) fn was_duplicated(&self, call: CallId) -> bool {
        self.state.lock().duplicated.contains(&call)
    }
}

impl State {
    /// How many turns have run this script.
    pub(super) fn ran(&self, part: PartId) -> usize {
        self.ran.get(&part).map_or(0, Vec::len)
    }

    /// How often this actor has applied something that was only told to who is in memory.
    pub(super) fn times_heard(&self, who: Who, part: PartId) -> usize {
        let times = |of: &BTreeMap<(Who, PartId), usize>| of.get(&(who, part)).copied().unwrap_or(0);
        times(&self.news) + times(&self.channels.overheard)
    }

    pub(super) fn begun(&self, part: PartId) -> u64 {
        self.begun.get(&part).copied().unwrap_or(0)
    }

    /// A turn that has called with this script had seen nothing but what may be shown.
    pub(super) fn has_left(&self, part: PartId) -> Result<(), String> {
        let left = self.left.get(&part).map_or(&[][..], Vec::as_slice);
        match left.iter().any(|(caller, seen)| self.is_line(*caller, *seen)) {
            true => Ok(()),
            false => Err(format!("№{part} was called from {left:?}, which is not durable")),
        }
    }

    /// Whether this state is one of the actor's line.
    fn is_line(&self, who: Who, line: Line) -> bool {
        if who.is_relaxed() { self.may_show(who, line) } else { self.is_written(who, line) }
    }

    /// Whether this state is one of the actor's records.
    pub(super) fn is_written(&self, who: Who, line: Line) -> bool {
        match self.lines.get(&who) {
            Some(states) => states.get(line.version as usize).is_some_and(|model| model.line == line),
            None => line.version == 0 || self.pages.contains_key(&(who, line)),
        }
    }

    /// What a turn heard of a call is true.
    pub(super) fn was_heard(
        &self,
        origins: &Origins,
        part: PartId,
        line: Option<Line>,
    ) -> Result<(), String> {
        let (Some(line), Some(origin)) = (line, origins.get(part)) else { return Ok(()) };
        if origin.by == Some(By::Visit) {
            return Ok(());
        }
        if origin.to.is_relaxed() {
            return match self.relaxed.models(origin.to, line) {
                [model, ..] if model.last == part => Ok(()),
                there => {
                    Err(format!("№{part} was answered by {} at {line:?}, where is {there:?}", origin.to))
                }
            };
        }
        let there = self.lines.get(&origin.to).map(|states| states.get(line.version as usize));
        match there {
            Some(Some(model)) if model.line == line && model.last == part => Ok(()),
            Some(there) => {
                Err(format!("№{part} was answered by {} at {line:?}, where is {there:?}", origin.to))
            }
            None => Ok(()),
        }
    }
}

/// What an actor keeps is what the model keeps.
pub(super) fn same(who: Who, model: &Model, page: &Page, tag: Option<Option<u32>>) -> Result<(), String> {
    if model.page() == *page && tag.is_none_or(|tag| tag == model.tag) {
        return Ok(());
    }
    Err(format!("{who} keeps {page:?} with tag {tag:?}, the model {:?} with {:?}", model.page(), model.tag))
}

/// Whether a caller may be told this; `script` is what it asked for.
pub(crate) fn usable(error: &CallError<Failed>, script: Option<&Script>) -> Result<(), String> {
    let is_usable = match error {
        CallError::Timeout { .. } | CallError::Unavailable(_) | CallError::Overloaded(_) => true,
        CallError::App(Failed::Planned { .. }) | CallError::Panicked(_) => {
            script.is_none_or(Script::is_doomed)
        }
        CallError::App(Failed::Inner { .. }) => script.is_none_or(|script| !script.is_sure()),
        CallError::Deadlock { .. }
        | CallError::NotFound(_)
        | CallError::Invalid(_)
        | CallError::Refused(_) => false,
    };
    let kind = error.kind();
    if is_usable { Ok(()) } else { Err(format!("{kind}: {error:?} for {script:?}")) }
}
