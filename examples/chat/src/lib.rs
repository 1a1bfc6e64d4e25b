//! A chat: each room is a topic, `chat/<room>`.
//!
//! - `member`: somebody who joins rooms, speaks, and hears what is said there.
//! - `room`: hears everything that is said in it and keeps the last lines. Nobody tells it to: its type listens.

mod member;
mod room;

use serde::{Deserialize, Serialize};

pub use member::{Member, MemberRef, UNREAD_MAX};
pub use room::{HISTORY_MAX, Room, RoomRef};

/// What somebody has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Where.
    pub room: String,
    /// Who.
    pub from: String,
    /// What.
    pub text: String,
}

/// The topic of a room.
fn topic(room: &str) -> String {
    format!("chat/{room}")
}
