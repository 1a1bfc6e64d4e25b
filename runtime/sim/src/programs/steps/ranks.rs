//! Subscriptions with a priority: who has a higher one hears first, and may keep a publication from the others.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::cast::Kind as Type;
use super::super::channels::Change;
use super::super::draw::Draw;
use super::super::stage::{Failed, Stage, Turn};
use super::subscriptions::Listen;
use super::Kind;

/// What is listened to: topics that no pattern with wildcards stands for.
const TOPICS: [&str; 2] = ["rank/a", "rank/b"];
const PRIORITIES: [i32; 4] = [-3, 0, 5, 5];

/// Makes such a subscription, changes its priority, or ends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rank(Listen);

impl Kind for Rank {
    const WEIGHT: u32 = 5;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let whom = draw.anyone();
        // Those that stand in a rank are called. What a relaxed turn has answered may be lost.
        if !matches!(whom.kind, Type::Keeper | Type::Shelf) {
            return None;
        }
        let pattern = TOPICS[draw.random.usize(..TOPICS.len())].to_owned();
        let priority = PRIORITIES[draw.random.usize(..PRIORITIES.len())];
        let stands = (draw.random.u8(..6) > 0).then_some(priority);
        Some(Self(Listen(Change { pattern, whom, stands })))
    }

    async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        self.0.play(stage, turn).await
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { stands, .. } = &self.0.0;
        self.0.fmt(f)?;
        stands.map_or(Ok(()), |priority| write!(f, " with priority {priority}"))
    }
}
