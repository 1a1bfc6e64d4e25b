//! Turns inside turns: what came in by a window of a turn is in that turn's record, each once, and nothing else is.
//!
//! A lending turn notes in its state the number of each window that it opens, and what comes in notes itself behind it: so
//! a rollback takes the notes too. What has ended well inside is known here by the window's number. The notes of a turn that
//! counts must say the same.

use std::collections::BTreeMap;

use greenroom_core::CallError;
use greenroom_testing::Mutation;

use super::cast::Who;
use super::script::{PartId, Script};
use super::stage::{Failed, Heard, Line, Page, Reply};
use super::steps::By;
use super::witness::{State, Witness, usable};

/// The part that the note of a window has: no part of a program.
pub(crate) const WINDOW: PartId = 0;

/// What has come in and ended well, by the number of its window.
#[derive(Default)]
pub(crate) struct Visits {
    windows: u64,
    ended: BTreeMap<u64, Vec<PartId>>,
}

impl Witness {
    /// A turn lends its state: the number of this window.
    pub(crate) fn opens_window(&self) -> u64 {
        let visits = &mut self.state.lock().visits;
        visits.windows += 1;
        visits.windows
    }

    /// A turn begins inside another one.
    pub(crate) fn comes_in(&self, who: Who, page: &Page, script: &Script) {
        self.note(|| format!("{who} lets in №{}", script.id));
        let mut state = self.state.lock();
        *state.begun.entry(script.id).or_default() += 1;
        if page.lends.is_none() {
            let message = format!("№{} comes in to {who}, which has lent nothing", script.id);
            self.violate("nobody_comes_in_uninvited", message);
        }
        self.check("i3_a_call_leaves_after_what_its_turn_saw", state.has_left(script.id));
    }

    /// It is about to end well.
    pub(crate) fn has_come_in(&self, page: &mut Page, window: u64, part: PartId, before: Page) {
        self.state.lock().visits.ended.entry(window).or_default().push(part);
        if self.mutation == Some(Mutation::VisitIsLost) {
            *page = before;
        }
    }

    /// Who came in was told this.
    pub(crate) fn has_visited(&self, host: Who, script: &Script, outcome: &Result<Reply, CallError<Failed>>) {
        match outcome {
            Ok(Reply { line }) => self.told(host, *line, "an answer from inside a turn"),
            // The host has gone on.
            Err(CallError::Deadlock { .. } | CallError::Refused(_)) => {}
            Err(error) => {
                self.check("callers_are_told_what_they_can_use", usable(error, Some(script)));
                if let CallError::App(Failed::Planned { saw }) = error {
                    self.told(host, *saw, "an error from inside a turn");
                }
            }
        }
    }

    /// What came in to a turn, as it says.
    pub(super) fn came_in<'a>(&'a self, heard: &'a [Heard]) -> impl Iterator<Item = &'a Script> {
        heard
            .iter()
            .filter(|heard| self.is_visit(heard.part))
            .filter_map(|heard| self.origins.script(heard.part))
    }

    pub(super) fn is_visit(&self, part: PartId) -> bool {
        self.origins.get(part).is_some_and(|origin| origin.by == Some(By::Visit))
    }

    /// A turn counts that others may have come in to.
    pub(super) fn counts_visits(&self, state: &mut State, who: Who, heard: &[Heard], line: Line) {
        let number = |heard: &Heard| heard.line.map(|line| line.born);
        for window in heard.iter().filter(|heard| heard.part == WINDOW).filter_map(number) {
            let of_window =
                heard.iter().filter(|heard| self.is_visit(heard.part) && number(heard) == Some(window));
            let said: Vec<_> = of_window.map(|heard| heard.part).collect();
            let ended = state.visits.ended.get(&window).map_or(&[][..], Vec::as_slice);
            if said != ended {
                let message = format!("{who} counts {said:?} as what came in, and {ended:?} has");
                self.violate("what_comes_in_is_part_of_its_turn", message);
            }
        }
        for script in self.came_in(heard) {
            if script.is_doomed() {
                let message = format!("{who} keeps what №{} did inside a turn, which failed", script.id);
                self.violate("a_failed_turn_leaves_nothing", message);
            }
            self.applied(state, who, script, line);
        }
    }
}
