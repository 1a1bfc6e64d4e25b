//! Priorities: a publication to a topic that has some goes round by ranks, the highest first.
//!
//! Who listens, and with which priority, stands in the record with which the channel takes the publication: that is a
//! *round*. Nobody begins before all higher ones have applied it, unless they may fail, and nobody gets what a higher one
//! has consumed.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_testing::Mutation;

use super::cast::{Kind, Who};
use super::script::{PartId, Script};
use super::witness::{State, Witness};

/// The place of a publication: its channel, and the channel's record.
type Taken = (String, u64);

/// All rounds.
#[derive(Default)]
pub(crate) struct Ranks {
    rounds: BTreeMap<Taken, Round>,
    /// What somebody has consumed before these could get it.
    consumed: BTreeSet<(Who, PartId)>,
}

/// Who gets a publication, by priority.
struct Round {
    members: Vec<(i32, Who)>,
    applied: BTreeSet<Who>,
}

impl Witness {
    /// A channel has taken a publication to a topic that has priorities.
    pub(super) fn goes_round(&self, state: &mut State, place: Taken, members: Vec<(i32, Who)>, part: PartId) {
        let lowest = members.iter().min().copied();
        let is_ranked =
            members.iter().any(|(priority, _)| Some(*priority) > lowest.map(|(priority, _)| priority));
        state.ranks.rounds.insert(place, Round { members, applied: BTreeSet::new() });
        if self.mutation == Some(Mutation::PriorityIsIgnored)
            && is_ranked
            && let (Some((_, who)), Some(script)) = (lowest, self.origins.script(part))
        {
            self.smuggle(who, script);
        }
    }

    /// Somebody begins to apply a publication that goes round: it is its turn.
    pub(super) fn is_its_turn(
        &self,
        state: &State,
        who: Who,
        script: &Script,
        place: &Taken,
    ) -> Result<(), String> {
        let Some(Round { members, applied }) = state.ranks.rounds.get(place) else { return Ok(()) };
        let own = members.iter().find(|(_, member)| *member == who).map(|(priority, _)| *priority);
        let before =
            members.iter().find(|(priority, member)| Some(*priority) > own && !applied.contains(member));
        match before.filter(|_| script.is_sure()) {
            None => Ok(()),
            Some((priority, higher)) => Err(format!(
                "№{} begins at {who}, and {higher} with priority {priority} has not applied it",
                script.id
            )),
        }
    }

    /// Somebody has applied a publication that goes round: who gets it no more.
    pub(super) fn has_its_turn(
        &self,
        state: &mut State,
        who: Who,
        script: &Script,
        place: &Taken,
    ) -> Vec<Who> {
        let Ranks { rounds, consumed } = &mut state.ranks;
        let Some(Round { members, applied }) = rounds.get_mut(place) else { return Vec::new() };
        applied.insert(who);
        if who.kind != Kind::Keeper || !script.is_consumed() {
            return Vec::new();
        }
        self.counts.lock().consumed += 1;
        let own = members.iter().find(|(_, member)| *member == who).map(|(priority, _)| *priority);
        let lower: Vec<_> =
            members.iter().filter(|(priority, _)| Some(*priority) < own).map(|(_, member)| *member).collect();
        consumed.extend(lower.iter().map(|member| (*member, script.id)));
        lower
    }

    /// A planted mistake: who consumes says that it has not.
    pub(crate) fn passes_on_what_is_consumed(&self) -> bool {
        self.mutation == Some(Mutation::ConsumedIsPassedOn)
    }
}

impl Ranks {
    /// Whether somebody else has consumed it.
    pub(super) fn is_consumed(&self, who: Who, part: PartId) -> bool {
        self.consumed.contains(&(who, part))
    }
}
