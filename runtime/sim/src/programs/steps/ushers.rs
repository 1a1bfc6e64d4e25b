//! A call of a local actor, or a message to it: every node has its own.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::actors::Usher;
use super::super::draw::Draw;
use super::super::stage::{Failed, Stage, Turn};
use super::super::witness;
use super::Kind;

/// How many ushers a node has.
const USHERS: u8 = 2;

/// Gives an usher of this node something to note.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    usher: u8,
    mark: u32,
    takes_ms: u64,
    /// The usher's turn fails when it has noted it.
    fails: bool,
    /// Nobody waits for it.
    tells: bool,
}

impl Kind for Note {
    const WEIGHT: u32 = 4;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let random = &mut *draw.random;
        Some(Self {
            usher: random.u8(..USHERS),
            mark: random.u32(..),
            takes_ms: if random.bool() { random.u64(..50) } else { 0 },
            fails: random.u8(..4) == 0,
            tells: random.u8(..3) == 0,
        })
    }

    /// If the call fails, the turn goes on.
    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let Self { usher, mark, takes_ms, fails, tells } = *self;
        let call = turn.cx.actor::<Usher>(usher.to_string()).note(mark, takes_ms, fails);
        if tells {
            return Ok(turn.cx.tell(call)?);
        }
        match call.await {
            Ok(there) => witness::with(|witness| witness.is_ushered(there)),
            Err(error) => drop(Failed::from(error)),
        }
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { usher, takes_ms, fails, tells, .. } = self;
        write!(f, "{} usher {usher} of this node", if *tells { "tell" } else { "call" })?;
        write!(f, ", for {takes_ms} ms{}", if *fails { ", in vain" } else { "" })
    }
}
