//! A member joins rooms, speaks in them, and keeps what it has heard until it is read.

use std::collections::{BTreeSet, VecDeque};

use greenroom::{Actor, AppError, Cx, Result, actor_methods};
use serde::{Deserialize, Serialize};

use crate::{Line, Room, topic};

/// How many lines a member keeps that nobody reads.
pub const UNREAD_MAX: usize = 1_000;

/// A member. Its key is its name.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Member {
    rooms: BTreeSet<String>,
    unread: VecDeque<Line>,
}

#[actor_methods]
impl Member {
    /// Joins a room, and returns what was said there lately.
    pub async fn join(&mut self, cx: &Cx, room: String) -> Result<Vec<Line>> {
        cx.topic::<Line>(topic(&room)).subscribe(MemberRef::hear).await?;
        let history = cx.actor::<Room>(&room).history().await?;
        self.rooms.insert(room);
        Ok(history)
    }

    /// Leaves a room.
    pub async fn leave(&mut self, cx: &Cx, room: String) -> Result<()> {
        cx.topic::<Line>(topic(&room)).unsubscribe(MemberRef::hear).await?;
        self.rooms.remove(&room);
        Ok(())
    }

    /// Says something in a room. Everybody there hears it, this member too.
    pub async fn say(&mut self, cx: &Cx, room: String, text: String) -> Result<()> {
        if !self.rooms.contains(&room) {
            return Err(AppError::new(format!("{} is not in the room {room:?}; join it first", cx.key())));
        }
        let line = Line { room, from: cx.key().to_owned(), text };
        Ok(cx.topic(topic(&line.room)).publish(&line).await?)
    }

    /// Something was said.
    pub async fn hear(&mut self, line: Line) {
        if self.unread.len() == UNREAD_MAX {
            self.unread.pop_front();
        }
        self.unread.push_back(line);
    }

    /// What was said since this was called last.
    pub async fn read(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.unread).into()
    }
}
