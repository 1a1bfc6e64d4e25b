//! An actor per word: it counts how often the word was seen.
//!
//! The key is `RUN/WORD`, so that several counts can live in one cluster. The node program is `src/bin/node.rs`, the
//! client that reads a text is `src/main.rs`.

pub mod count;
pub mod text;

use greenroom::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

/// How often a word was seen.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Word {
    seen: u64,
}

#[actor_methods]
impl Word {
    /// Sees the word once more and returns how often that was.
    pub async fn see(&mut self) -> u64 {
        self.seen += 1;
        self.seen
    }

    /// How often the word was seen.
    pub async fn seen(&self) -> u64 {
        self.seen
    }
}
