//! Dead letters: what its target refuses is kept, not lost. A reliable message is applied or a dead letter, never both.

use std::collections::BTreeMap;

use bytes::Bytes;
use greenroom_core::journal::Record;
use greenroom_core::rows::Space;
use greenroom_core::transport::Transport;
use greenroom_core::{ActorId, Payload};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::cast::Who;
use super::script::{PartId, Script};
use super::steps::By;
use super::theatre::Theatre;
use super::witness::{State, Witness};

/// More than any program makes.
const MANY: usize = 1_000;

/// The dead letters that are kept, as the durable records say.
#[derive(Default)]
pub(crate) struct Letters {
    kept: BTreeMap<Bytes, PartId>,
    /// How often a message was sent again.
    again: BTreeMap<PartId, usize>,
}

/// The parts of a stored dead letter that the witness looks at.
#[derive(Deserialize)]
struct Letter {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    target: ActorId,
    arguments: Payload,
}

#[derive(Deserialize)]
struct Arguments {
    script: Script,
}

/// Sends every dead letter again that is listed now.
pub(crate) async fn send_again(theatre: &Theatre) {
    let runs: Vec<_> = (0..theatre.nodes.size()).filter_map(|node| theatre.nodes.running(node)).collect();
    for run in runs {
        let (report, done) = oneshot::channel::<()>();
        let router = run.router.clone();
        theatre.world.executor.spawn(
            run.owner,
            Box::pin(async move {
                let Some(engine) = router.engine() else { return };
                let (letters, _) = engine.list_dead_letters(MANY).await;
                for letter in letters.iter().filter(|letter| letter.durable) {
                    // Its shard may be moving: then it stays what it is.
                    let _ = engine.resend_dead_letter(&letter.id).await;
                }
                let _ = report.send(());
            }),
        );
        // An error: the node has ended.
        let _ = done.await;
    }
}

impl Letters {
    /// How many messages with this script are dead letters.
    fn of(&self, part: PartId) -> usize {
        self.kept.values().filter(|kept| **kept == part).count()
    }

    /// Whether a message with this script was sent again, and has lost its place.
    pub(super) fn was_sent_again(&self, part: PartId) -> bool {
        self.again.contains_key(&part)
    }
}

impl Witness {
    /// A record is on its disk: which dead letters it makes and ends.
    pub(super) fn is_buried(&self, record: &Record) {
        for row in record.rows().iter().filter(|row| row.space == Space::DEAD_LETTER) {
            let mut state = self.state.lock();
            let Some(value) = &row.value else {
                if let Some(part) = state.letters.kept.remove(&row.key) {
                    self.counts.lock().sent_again += 1;
                    *state.letters.again.entry(part).or_default() += 1;
                }
                continue;
            };
            let Ok(Letter { message }) = rmp_serde::from_slice(value) else {
                return self.violate("states_can_be_read", "a dead letter cannot be read".into());
            };
            // What others send each other is no script.
            let Some(who) = Who::of(&message.target) else { continue };
            let Ok(Arguments { script }) = message.arguments.decode("a letter") else { continue };
            self.counts.lock().letters += 1;
            state.letters.kept.insert(row.key.clone(), script.id);
            if script.is_sure() {
                let message = format!("№{} is a dead letter to {who}, and has no reason to fail", script.id);
                self.violate("nothing_is_given_up_without_a_reason", message);
            }
        }
    }

    /// A reliable message that is neither applied nor a dead letter, if there is one.
    pub(super) fn unkept(&self, state: &State) -> Option<String> {
        self.origins.iter().find_map(|(script, origin)| {
            let by = origin.by.filter(|by| matches!(by, By::Reliable | By::Delayed))?;
            let (ran, sent, letters) =
                (state.ran(script.id), state.ran(origin.parent), state.letters.of(script.id));
            (ran + letters < sent).then(|| {
                let (to, id) = (origin.to, script.id);
                format!("{to} has run №{id} {ran} times by {by:?} instead of {sent}, {letters} dead letters")
            })
        })
    }

    /// No message was both applied and kept.
    pub(crate) fn check_letters(&self) {
        let state = self.state.lock();
        for (script, origin) in self.origins.iter().filter(|(_, origin)| origin.to.is_durable()) {
            let (ran, sent, letters) =
                (state.ran(script.id), state.ran(origin.parent), state.letters.of(script.id));
            if matches!(origin.by, Some(By::Reliable | By::Delayed)) && ran + letters > sent {
                let id = script.id;
                let message = format!(
                    "№{id} was sent {sent} times, applied {ran} times, a dead letter {letters} times"
                );
                self.violate("a_dead_letter_was_not_applied", message);
            }
        }
    }
}
