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

/// What is written about a run. In a cluster with the group `reports` it is on the nodes of that group, where it takes no
/// time from the counting; in any other cluster it is among the words.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(pinned("reports"))]
pub struct Report {
    lines: Vec<String>,
}

#[actor_methods]
impl Report {
    /// Writes a line and returns how many there are.
    pub async fn write(&mut self, line: String) -> usize {
        self.lines.push(line);
        self.lines.len()
    }

    /// All lines.
    pub async fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }
}
