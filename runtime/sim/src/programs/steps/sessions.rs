//! Subscriptions that last as long as an activation: nothing is stored, and each publication is told.

use std::fmt;

use greenroom_core::CallError;
use greenroom_testing::Mutation;
use serde::{Deserialize, Serialize};

use super::super::channels::Change;
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::super::witness;
use super::Kind;
use super::subscriptions::subscription;

/// What is listened to so: nobody else listens there.
const PATTERNS: [&str; 2] = ["live/a", "live/*"];

/// Listens for as long as this activation of its own actor lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overhear {
    pattern: String,
}

impl Kind for Overhear {
    const WEIGHT: u32 = 4;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let pattern = PATTERNS[draw.random.usize(..PATTERNS.len())].to_owned();
        let listens = draw.at.is_durable() && draw.at.is_of_one_version() && draw.at.number != u8::MAX;
        listens.then_some(Self { pattern })
    }

    /// If it cannot begin, the turn goes on without.
    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let change = Change { pattern: self.pattern.clone(), whom: turn.who, stands: Some(0) };
        witness::with(|witness| witness.overhears(&change));
        let topic = turn.cx.topic::<Script>(&self.pattern);
        let outcome = match witness::ask(|witness| witness.has(Mutation::SessionIsForgotten)) {
            true => Ok(()),
            false => subscription(&topic, turn.who).while_active().await,
        };
        witness::with(|witness| match outcome {
            Ok(()) => witness.listens(turn.who, &self.pattern),
            Err(error) => witness.a_turn_is_told(&error.map_app(|error| CallError::Refused(error.message))),
        });
        Ok(())
    }
}

impl fmt::Display for Overhear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "overhear {}", self.pattern)
    }
}
