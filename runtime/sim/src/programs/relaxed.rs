//! Relaxed actors: their turns count before they are written, and a crash may take back the newest of them.
//!
//! The turns that have ended in memory form a tree: each goes on from the state that it began with, and a crash makes the
//! next one begin further back. One way through the tree is written, and that is the actor's line. So each record must go
//! on from the record before, over the turns whose calls it carries. What somebody was shown is lost if a later turn, or
//! the end, stands on a way that does not lead over it. That needs a crash, and one that came soon after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use greenroom_core::CallId;
use greenroom_core::journal::{CallRecord, Commit};
use tokio::time::Instant;

use super::cast::Who;
use super::model::Model;
use super::script::{PartId, Program, Script, What};
use super::stage::{Line, Page};
use super::steps::By;
use super::witness::{State, Witness, same};
use crate::faults::Fault;

/// How long a relaxed turn may wait to be written; `actors` says the same.
pub(crate) const WITHIN: Duration = Duration::from_millis(80);
/// How long the sync under way and the next one take at most, beside what they take as a rule, with the notices of both.
const SYNCS: Duration = Duration::from_millis(1_000);

/// What the witness knows of relaxed actors.
#[derive(Default)]
pub(crate) struct Relaxed {
    turns: BTreeMap<(Who, Line), Turn>,
    /// The states after the turns that ran a script.
    ended: BTreeMap<PartId, Vec<Line>>,
    /// What somebody was shown and no crash has taken.
    shown: BTreeMap<Who, BTreeSet<Line>>,
    crashes: Vec<Instant>,
    /// The next end of a run is that of a node that has drained.
    drained: bool,
}

/// A turn that has ended.
struct Turn {
    before: Line,
    call: CallId,
    /// The state after it. A run that a move has overtaken may have heard something else than the one that counts.
    runs: Vec<Model>,
    /// It was a message or a tick, which are committed at once.
    is_durable: bool,
    at: Instant,
}

/// How long after a turn a crash may still take it; `None`: nobody can say.
pub(crate) fn loss_window(program: &Program) -> Option<Duration> {
    let pauses = program.items.iter().any(|item| matches!(item.what, What::Fault(Fault::Pause { .. })));
    let sync = Duration::from_millis(program.conditions.disk.sync_ms);
    (!pauses && !journal_gets_full(program)).then_some(WITHIN + 2 * sync + SYNCS)
}

/// A shard that is given up while the journal takes nothing may lose what waits.
pub(crate) fn journal_gets_full(program: &Program) -> bool {
    program.conditions.disk.queue < 1_000
}

impl Relaxed {
    /// The run of a node is over.
    pub(super) fn node_ended(&mut self) {
        if !std::mem::take(&mut self.drained) {
            self.crashes.push(Instant::now());
        }
    }

    pub(super) fn node_has_drained(&mut self) {
        self.drained = true;
    }

    /// How many turns have run this script, written or not.
    pub(super) fn ended(&self, part: PartId) -> usize {
        self.ended.get(&part).map_or(0, Vec::len)
    }

    /// What an actor was in this state, as each run of the turn says that made it.
    pub(super) fn models(&self, who: Who, line: Line) -> &[Model] {
        self.turns.get(&(who, line)).map_or(&[], |turn| &turn.runs)
    }

    /// The states on the way to this one, itself first, the empty one last.
    fn way(&self, who: Who, line: Line) -> impl Iterator<Item = Line> {
        std::iter::successors(Some(line), move |line| self.turns.get(&(who, *line)).map(|turn| turn.before))
    }
}

impl State {
    /// Whether something may show this state: a turn has made it, and the records that the turn saw are durable.
    pub(super) fn may_show(&self, who: Who, line: Line) -> bool {
        let turn = |line| self.relaxed.turns.get(&(who, line));
        let mut way = self.relaxed.way(who, line);
        let seen = way.find(|line| turn(*line).is_none_or(|turn| turn.is_durable)).unwrap_or_default();
        self.is_written(who, seen)
    }

    /// Whether a script of a relaxed actor has ended in a state that may be shown.
    pub(super) fn has_ended(&self, who: Who, part: PartId) -> bool {
        let lines = self.relaxed.ended.get(&part).map_or(&[][..], Vec::as_slice);
        lines.iter().any(|line| self.may_show(who, *line))
    }
}

impl Witness {
    /// A turn of a relaxed actor is about to end well.
    pub(super) fn relaxes(
        &self,
        state: &mut State,
        (who, page): (Who, &Page),
        script: &Script,
        call: CallId,
        before: Line,
    ) {
        let model = match state.relaxed.models(who, before) {
            [model, ..] => model.after(script, call, &page.heard),
            [] => Model::default().after(script, call, &page.heard),
        };
        self.check("a_turn_does_what_its_script_says", same(who, &model, page, None));
        let by = self.origins.get(script.id).and_then(|origin| origin.by);
        let is_durable = matches!(by, Some(By::Reliable | By::Delayed | By::Ticks(_) | By::Topic));
        let turn = Turn { before, call, runs: Vec::new(), is_durable, at: Instant::now() };
        let turn = state.relaxed.turns.entry((who, page.line)).or_insert(turn);
        turn.at = Instant::now();
        turn.runs.push(model);
        let inside: Vec<_> = self.came_in(&page.heard).map(|script| script.id).collect();
        for part in inside.into_iter().chain([script.id]) {
            state.relaxed.ended.entry(part).or_default().push(page.line);
        }
    }

    /// Somebody is shown this state. It is not lost from now on, unless by a crash.
    pub(super) fn is_shown(&self, state: &mut State, who: Who, line: Line) {
        if state.relaxed.turns.contains_key(&(who, line)) {
            state.relaxed.shown.entry(who).or_default().insert(line);
        }
    }

    /// The actor is in this state now: what is not on its way is lost.
    pub(super) fn goes_on_from(&self, state: &mut State, who: Who, line: Line) {
        let way: BTreeSet<_> = state.relaxed.way(who, line).collect();
        let Relaxed { turns, shown, crashes, .. } = &mut state.relaxed;
        let shown = shown.entry(who).or_default();
        for lost in shown.extract_if(.., |line| !way.contains(line)) {
            let Some(Turn { at, .. }) = turns.get(&(who, lost)) else { continue };
            self.counts.lock().taken_back += 1;
            let takes = |crash: &Instant| {
                *crash >= *at && self.loss_window.is_none_or(|window| *crash <= *at + window)
            };
            if !crashes.iter().any(takes) && !self.journal_gets_full {
                let message =
                    format!("{who} is at {line:?}, and no crash has taken {lost:?}, which was shown");
                self.violate("what_was_shown_is_lost_only_by_a_crash", message);
            }
        }
    }

    /// In the end, when nothing has failed for long, everything is written but the newest turns: a step of a workflow that
    /// has rested may come as late as this.
    pub(crate) fn is_at_rest(&self, who: Who, line: Line) {
        let mut state = self.state.lock();
        self.goes_on_from(&mut state, who, line);
        let written = state.lines.get(&who).and_then(|line| line.last()).map(|model| model.line);
        let mut unwritten = state.relaxed.way(who, line).take_while(|line| Some(*line) != written);
        let is_late = |turn: &Turn| turn.at.elapsed() > WITHIN + SYNCS;
        if unwritten.any(|line| state.relaxed.turns.get(&(who, line)).is_some_and(is_late)) {
            let message = format!("{who} is at {line:?}, and {written:?} is what is written");
            self.violate("relaxed_turns_are_written_in_time", message);
        }
    }

    /// A record is on its disk.
    pub(super) fn is_written_behind(&self, state: &mut State, who: Who, page: &Page, commit: &Commit) {
        let last =
            state.lines.get(&who).and_then(|line| line.last()).map_or(Line::default(), |model| model.line);
        let mut way: Vec<_> = state.relaxed.way(who, page.line).take_while(|line| *line != last).collect();
        way.reverse();
        let turns: Vec<_> = way.iter().filter_map(|line| state.relaxed.turns.get(&(who, *line))).collect();
        let goes_on = turns.first().is_some_and(|turn| turn.before == last) && turns.len() == way.len();
        let calls: Vec<_> = turns.iter().map(|turn| turn.call).collect();
        let run = |turn: &&Turn| {
            let mut runs = turn.runs.iter().rev();
            let written = runs.clone().find(|model| model.page() == *page);
            written.or_else(|| runs.next()).cloned()
        };
        let models: Vec<_> = turns.iter().filter_map(run).collect();
        let carried: Vec<_> = commit.calls().map(|CallRecord { id, .. }| *id).collect();
        if !goes_on || carried != calls {
            let message =
                format!("{who} is written at {:?} behind {last:?}: {carried:?}, not {calls:?}", page.line);
            return self.violate("turns_form_one_line", message);
        }
        for (model, call) in models.into_iter().zip(calls) {
            if !state.calls.entry(who).or_default().insert(call) {
                let message = format!("{who} has applied call {call} (№{}) before", model.last);
                self.violate("i4_applied_once", message);
            }
            for heard in &model.heard {
                let was_heard = state.was_heard(&self.origins, heard.part, heard.line);
                self.check("an_answered_call_in_a_turn_is_applied", was_heard);
            }
            let (line, script, heard) = (model.line, self.origins.script(model.last), model.heard.clone());
            self.check(
                "a_turn_does_what_its_script_says",
                match line == page.line {
                    true => same(who, &model, page, None),
                    false => Ok(()),
                },
            );
            state.lines.entry(who).or_default().push(model);
            self.counts_visits(state, who, &heard, line);
            if let Some(script) = script {
                self.applied(state, who, script, line);
            }
        }
        self.publishes(state, who, commit);
    }
}
