//! One turn of a program: a real method that does the steps of a script, and what it keeps and shows.
//!
//! The state carries its own history in short: how many turns were applied, and a hash over which they were. So a state,
//! a reply or a message says exactly which turns it has seen.

use std::collections::BTreeMap;

use greenroom_core::{Actor, AppError, CallError, CallId, CollectionError, Cx, Feed, List, Map};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::cast::Who;
use super::script::{PartId, Script};
use super::witness;

/// Every state that a turn of a stored actor makes.
pub(crate) const STATES: Feed<Line> = Feed::new("states");
/// How many cells there are.
pub(crate) const CELLS: usize = 3;

/// The place of a state in its actor's line of states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Which life of a volatile actor; 0 for durable ones.
    pub(crate) born: u64,
    /// How many turns were applied.
    pub(crate) version: u64,
    /// Which turns they were.
    pub(crate) chain: u64,
}

impl Line {
    /// Stands for a window.
    pub(crate) fn of_window(number: u64) -> Self {
        Self { born: number, ..Self::default() }
    }

    /// The place after one more turn.
    pub(crate) fn next(self, script: PartId, call: CallId) -> Self {
        let chain = CallId(call.0 ^ u128::from(self.chain)).child(script.into()).0 as u64;
        Self { version: self.version + 1, chain, ..self }
    }
}

/// What an actor keeps, of any type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) line: Line,
    /// The script of the last turn.
    pub(crate) last: PartId,
    /// What the calls of the last turn came to.
    pub(crate) heard: Vec<Heard>,
    pub(crate) cells: [i64; CELLS],
    /// How often each reminder has ticked.
    pub(crate) ticks: BTreeMap<PartId, u32>,
    /// The number of the window by which others come in now; no turn ends with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lends: Option<u64>,
}

/// What a call in a turn came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// The script that was to run.
    pub(crate) part: PartId,
    /// The callee's state after it; `None` if the call failed. Of what came in: the number of its window.
    pub(crate) line: Option<Line>,
}

/// The reply of a turn that runs a script: the state after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) line: Line,
}

/// All that an actor shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) page: Page,
    pub(crate) tag: Option<u32>,
    pub(crate) things: Vec<(u8, i64)>,
    pub(crate) trail: Vec<i64>,
}

/// Why a turn failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failed {
    /// Its script says so. The error shows what the turn saw.
    Planned { saw: Line },
    /// Something that it needed failed.
    Inner { what: String },
}

impl From<CallError<Self>> for Failed {
    fn from(error: CallError<Self>) -> Self {
        witness::with(|witness| witness.a_turn_is_told(&error));
        let kind = error.kind();
        let what = error.map_app::<AppError>(|inner| CallError::App(AppError::new(format!("{inner:?}"))));
        Self::Inner { what: format!("{kind}: {what}") }
    }
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self::Inner { what: format!("{}: {error}", error.kind()) }
    }
}

impl From<CollectionError> for Failed {
    fn from(error: CollectionError) -> Self {
        Self::Inner { what: error.to_string() }
    }
}

/// The state of an actor that scripts work on.
pub(crate) trait Stage: Actor {
    fn page(&mut self) -> &mut Page;

    /// Its collections, if it has any.
    fn collections(&mut self) -> Option<(&mut Map<u8, i64>, &mut List<i64>)> {
        None
    }

    /// What it is found by, if anything.
    fn tag(&mut self) -> Option<&mut Option<u32>> {
        None
    }
}

/// A turn while it runs.
pub(crate) struct Turn<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) who: Who,
    /// The state that it began with; of a turn inside another one, that of the outer one.
    pub(crate) before: Line,
    /// What it has told so far, for the planted mistake that a failed turn tells.
    told: Mutex<Vec<(Who, Script)>>,
}

impl Turn<'_> {
    pub(crate) fn tells(&self, to: Who, script: &Script) {
        self.told.lock().push((to, script.clone()));
    }

    /// The turn is about to fail: here mistakes can be planted.
    pub(crate) fn fails<S: Stage>(&self, stage: &mut S) {
        witness::with(|witness| witness.fails(self.who, stage.page(), &self.told.lock()));
    }
}

/// Runs a script inside a turn that has lent its state.
pub(crate) async fn visit<S: Stage>(stage: &mut S, cx: &Cx, script: Script) -> Result<Reply, Failed> {
    let who = Who::of(cx.actor_id()).expect("scripts run on actors of the cast");
    let page = stage.page();
    let (before, window, saved) = (page.line, page.lends.unwrap_or_default(), page.clone());
    witness::with(|witness| witness.comes_in(who, page, &script));
    page.heard.push(Heard { part: script.id, line: Some(Line::of_window(window)) });
    let turn = Turn { cx, who, before, told: Mutex::default() };
    for step in &script.steps {
        step.act.play(stage, &turn).await?;
    }
    witness::with(|witness| witness.has_come_in(stage.page(), window, script.id, saved));
    Ok(Reply { line: before })
}

/// Runs a script as one turn.
pub(crate) async fn run<S: Stage>(stage: &mut S, cx: &Cx, script: Script) -> Result<Reply, Failed> {
    let who = Who::of(cx.actor_id()).expect("scripts run on actors of the cast");
    witness::with(|witness| witness.begins(who, stage.page(), &script));
    let before = stage.page().line;
    stage.page().heard.clear();
    let after = before.next(script.id, cx.call_id());
    if who.is_durable() {
        STATES.push(cx, after).await?;
    }
    let turn = Turn { cx, who, before, told: Mutex::default() };
    for step in &script.steps {
        step.act.play(stage, &turn).await?;
    }
    let page = stage.page();
    page.line = after;
    page.last = script.id;
    witness::with(|witness| witness.ends(who, page, &script, cx.call_id(), before));
    Ok(Reply { line: page.line })
}
