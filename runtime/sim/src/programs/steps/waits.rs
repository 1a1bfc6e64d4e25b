//! The turn takes its time: others wait, deadlines pass, nodes crash meanwhile.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::draw::Draw;
use super::super::stage::{Failed, Stage, Turn};
use super::Kind;

/// Sleeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wait {
    ms: u64,
}

impl Kind for Wait {
    const WEIGHT: u32 = 2;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        Some(Self { ms: draw.random.u64(..300) })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, _turn: &Turn<'_>) -> Result<(), Failed> {
        tokio::time::sleep(Duration::from_millis(self.ms)).await;
        Ok(())
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wait {} ms", self.ms)
    }
}
