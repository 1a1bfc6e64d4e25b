//! Subscriptions of instances: a turn makes and ends them, for its actor or another one. They stay if the turn then fails.

use std::fmt;

use greenroom_core::topics::{Subscribe, Unsubscribe};
use greenroom_core::{CallError, Topic};
use serde::{Deserialize, Serialize};

use super::super::actors::{KeeperRef, ScribeRef, ShelfRef};
use super::super::cast::{Kind as Type, Who};
use super::super::channels::Change;
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::super::witness;
use super::Kind;

/// What is listened to.
const PATTERNS: [&str; 7] = ["news/a", "news/b", "news/*", "news/**", "news/*/c", "mail/a", "mail"];

/// Makes a subscription, or ends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listen(pub(super) Change);

impl Kind for Listen {
    const WEIGHT: u32 = 5;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let whom = draw.anyone();
        let pattern = PATTERNS[draw.random.usize(..PATTERNS.len())].to_owned();
        let stands = (draw.random.u8(..4) > 0).then_some(0);
        (whom.is_durable() && whom.is_of_one_version()).then_some(Self(Change { pattern, whom, stands }))
    }

    /// If it cannot be made, the turn goes on without.
    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let (call, Self(change)) = (turn.cx.call_id(), self);
        witness::with(|witness| witness.subscribes(call, change));
        let topic = turn.cx.topic::<Script>(&change.pattern);
        let outcome = match change.stands {
            Some(priority) => subscription(&topic, change.whom).actor(change.whom.key()).priority(priority).await,
            None => unsubscribe(&topic, change.whom).await,
        };
        witness::with(|witness| match outcome {
            Ok(()) => witness.has_subscribed(call, change),
            Err(error) => witness.a_turn_is_told(&error.map_app(|error| CallError::Refused(error.message))),
        });
        Ok(())
    }
}

/// The subscription of an actor that is of this one's type.
pub(super) fn subscription(topic: &Topic<Script>, whom: Who) -> Subscribe {
    match whom.kind {
        Type::Shelf => topic.subscribe(ShelfRef::hear),
        Type::Scribe => topic.subscribe(ScribeRef::hear),
        _ => topic.subscribe(KeeperRef::hear),
    }
}

fn unsubscribe(topic: &Topic<Script>, whom: Who) -> Unsubscribe {
    match whom.kind {
        Type::Shelf => topic.unsubscribe(ShelfRef::hear),
        Type::Scribe => topic.unsubscribe(ScribeRef::hear),
        _ => topic.unsubscribe(KeeperRef::hear),
    }
    .actor(whom.key())
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { pattern, whom, stands } = &self.0;
        let does = if stands.is_some() { "begins" } else { "ceases" };
        write!(f, "{whom} {does} to listen to {pattern}")
    }
}
