//! How often what was sent is applied, and in which order.

use std::collections::BTreeMap;

use super::cast::Who;
use super::script::{PartId, Script};
use super::steps::By;
use super::witness::{State, Witness};

/// The place of a message among those of its sender: the sender's turn, and its number in there.
type Place = (u64, PartId);

/// The last message that was applied, by sender, receiver and how it was sent.
pub(crate) type Order = BTreeMap<(Who, Who, By), Place>;

impl Witness {
    /// A script has not run more often than those that send it.
    pub(super) fn within_bounds(&self, state: &State, who: Who, script: &Script) -> Result<(), String> {
        let Some(origin) = self.origins.get(script.id) else { return Ok(()) };
        let (ran, parents) = (state.ran(script.id), state.ran(origin.parent));
        let parents = match origin.by {
            // What a relaxed turn tells leaves before it is written, and again if it is lost and repeated.
            Some(By::Tell | By::Timer | By::News(_)) if origin.from.is_relaxed() => {
                state.relaxed.ended(origin.parent)
            }
            _ => parents,
        };
        let most = match origin.by {
            // A client repeats its calls, and volatile actors do not remember what they have done.
            None | Some(By::Tell | By::Reliable | By::Delayed | By::Step { .. }) if !who.is_durable() => {
                return Ok(());
            }
            None => 1,
            Some(By::Call | By::Visit) => match who.is_durable() {
                true => state.begun(origin.parent) as usize,
                false => return Ok(()),
            },
            Some(By::Tell | By::Reliable | By::Delayed | By::Timer) => parents,
            Some(By::Ticks(times)) => parents * times as usize,
            // As often as it was sent there: the channel knows.
            Some(By::Topic | By::Overheard) => return Ok(()),
            // It was checked as it began.
            Some(By::Beat { .. }) => return Ok(()),
            Some(By::News(_)) => {
                let got = state.news.get(&(who, script.id)).copied().unwrap_or(0);
                if got <= parents || !who.is_durable() {
                    return Ok(());
                }
                let message =
                    format!("{who} has got №{} {got} times, it was told {parents} times", script.id);
                return Err(message);
            }
            // A workflow that is started twice is one.
            Some(By::Step { .. }) => parents.min(1),
        };
        if ran <= most {
            return Ok(());
        }
        let by = origin.by;
        Err(format!("{who} has run №{} {ran} times by {by:?}, at most {most} are right", script.id))
    }

    /// What one actor sends another comes in its order: reliable messages always, others if nothing goes wrong.
    pub(super) fn in_order(&self, state: &mut State, who: Who, script: &Script) -> Result<(), String> {
        let Some(origin) = self.origins.get(script.id) else { return Ok(()) };
        let is_ordered = match origin.by {
            Some(By::Reliable) => !state.letters.was_sent_again(script.id),
            Some(By::Tell) => self.calm,
            _ => false,
        };
        // What comes in to a turn is not in the order of that turn's steps.
        let is_ordered = is_ordered && !self.is_visit(origin.parent);
        let both_last = who.is_durable() && origin.from.is_durable();
        // Only what ran once says which of the sender's turns it was. A relaxed one sends before it is written.
        let sent_once = !origin.from.is_relaxed() || state.relaxed.ended(origin.parent) == 1;
        let sent = state.ran.get(&origin.parent).map_or(&[][..], Vec::as_slice);
        let is_placed = is_ordered && both_last && sent_once;
        let (Some(by), [sent], true) = (origin.by, sent, is_placed) else { return Ok(()) };
        let place = (sent.version, script.id);
        match state.order.insert((origin.from, who, by), place) {
            Some(before) if before >= place => {
                Err(format!("{who} gets {place:?} of {} behind {before:?} (turn, script)", origin.from))
            }
            _ => Ok(()),
        }
    }

    /// What should have been applied by now and is not, if anything.
    pub(crate) fn outstanding(&self) -> Option<String> {
        let state = self.state.lock();
        let message = self.origins.iter().find_map(|(script, origin)| {
            let parents = state.ran(origin.parent);
            let wanted = match origin.by? {
                By::Reliable | By::Delayed => parents,
                By::Ticks(times) => parents * times as usize,
                // A crash may take back what a relaxed actor has answered.
                By::Step { .. } if !origin.to.is_relaxed() => parents.min(1),
                By::Tell if self.calm => parents,
                _ => return None,
            };
            let ran = state.ran(script.id);
            let by = origin.by;
            (script.is_sure() && ran < wanted).then(|| {
                format!("{} has run №{} {ran} times by {by:?} instead of {wanted}", origin.to, script.id)
            })
        });
        message.or_else(|| self.unkept(&state)).or_else(|| self.unheard(&state))
    }
}
