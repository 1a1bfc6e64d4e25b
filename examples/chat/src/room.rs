//! A room keeps the last lines for those who come later.

use std::collections::VecDeque;

use greenroom::{Actor, Cx, Result, actor_methods};
use serde::{Deserialize, Serialize};

use crate::{Line, MemberRef};

/// How many lines a room keeps.
pub const HISTORY_MAX: usize = 50;

/// A room. Its key is its name.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Room {
    lines: VecDeque<Line>,
}

#[actor_methods]
impl Room {
    /// Something was said here: each line of `chat/lobby` comes to the room `lobby`.
    #[method(topic = "chat/{key}")]
    pub async fn on_line(&mut self, line: Line) {
        if self.lines.len() == HISTORY_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The last lines, oldest first.
    pub async fn history(&self) -> Vec<Line> {
        self.lines.iter().cloned().collect()
    }

    /// Tells everybody who is about, whatever rooms they are in.
    pub async fn announce(&self, cx: &Cx, text: String) -> Result<()> {
        let line = Line { room: "everywhere".into(), from: cx.key().to_owned(), text };
        Ok(cx.broadcast(|member: MemberRef| member.hear(line))?)
    }
}
