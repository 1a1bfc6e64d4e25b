//! What the witness is asked for in the end.

use std::collections::BTreeSet;

use super::cast::Who;
use super::script::PartId;
use super::witness::Witness;

impl Witness {
    /// The client that asked for this once was told that it did not happen.
    pub(crate) fn was_not_done(&self, part: PartId) {
        self.state.lock().not_done.insert(part);
    }

    /// What clients were told not to have happened has not happened.
    pub(crate) fn check_what_was_not_done(&self) {
        let state = self.state.lock();
        if let Some(part) =
            state.not_done.iter().find(|part| self.is_durable(**part) && state.ran(**part) > 0)
        {
            let message = format!("№{part} has run, and its client was told that it has not");
            self.violate("what_was_not_done_is_not_there", message);
        }
    }

    fn is_durable(&self, part: PartId) -> bool {
        self.origins.get(part).is_some_and(|origin| origin.to.is_durable())
    }

    /// The last durable version of an actor.
    pub(crate) fn version(&self, who: Who) -> u64 {
        let state = self.state.lock();
        state.lines.get(&who).and_then(|line| line.last()).map_or(0, |model| model.line.version)
    }

    /// The actors that have this tag.
    pub(crate) fn tagged(&self, tag: u32) -> BTreeSet<Who> {
        let state = self.state.lock();
        let last = state.lines.iter().filter_map(|(who, line)| Some((*who, line.last()?)));
        last.filter(|(_, model)| model.tag == Some(tag)).map(|(who, _)| who).collect()
    }
}
