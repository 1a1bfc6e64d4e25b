//! What an actor would be if its turns ran one after the other on a machine that never fails.

use std::collections::{BTreeMap, VecDeque};

use greenroom_core::CallId;

use super::script::{PartId, Script};
use super::stage::{CELLS, Heard, Line, Look, Page};

/// An actor after some turns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) line: Line,
    pub(crate) last: PartId,
    pub(crate) heard: Vec<Heard>,
    pub(crate) cells: [i64; CELLS],
    pub(crate) ticks: BTreeMap<PartId, u32>,
    pub(crate) tag: Option<u32>,
    pub(crate) things: BTreeMap<u8, i64>,
    pub(crate) trail: VecDeque<i64>,
}

impl Model {
    /// The actor after one more turn. `heard` is what the turn says that its calls came to: no model can know that.
    pub(crate) fn after(&self, script: &Script, call: CallId, heard: &[Heard]) -> Self {
        let mut after = self.clone();
        after.heard.clear();
        for step in &script.steps {
            step.act.expect(&mut after, heard);
        }
        (after.line, after.last) = (self.line.next(script.id, call), script.id);
        after
    }

    /// What the actor then keeps beside its collections.
    pub(crate) fn page(&self) -> Page {
        let Self { line, last, heard, cells, ticks, .. } = self.clone();
        Page { line, last, heard, cells, ticks, lends: None }
    }

    /// What it then shows.
    pub(crate) fn look(&self) -> Look {
        let things = self.things.iter().map(|(key, value)| (*key, *value)).collect();
        Look { page: self.page(), tag: self.tag, things, trail: self.trail.iter().copied().collect() }
    }
}
