//! Who is online, and where: sessions report, friends see it live.
//!
//! [`Player`] is what a session reports to: volatile, with a timer that notices silence, and a feed of its changes.
//! [`Friends`] is the list of one player's friends: durable, and it answers with the changes of all of them in one stream.
//! The node program is `src/bin/node.rs`; `src/main.rs` is a small world to look at.

mod friends;
mod player;

pub use friends::{Friend, Friends, FriendsRef};
pub use player::{Place, Player, PlayerRef, SILENCE};
