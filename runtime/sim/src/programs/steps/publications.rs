//! A publication: part of the turn's commit, and applied once by each subscription that stands when its channel takes it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::{By, Kind, Sends, To};

/// What is published to; the first segment is the channel.
const TOPICS: [&str; 9] =
    ["news/a", "news/b", "news/b/c", "mail/a", "mail", "rank/a", "rank/a", "rank/b", "live/a"];
/// Nobody listens here longer than an activation lasts.
const LIVE: &str = "live/";

/// Publishes a script for whoever listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Publish {
    topic: String,
    script: Script,
}

impl Kind for Publish {
    const WEIGHT: u32 = 7;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        if !draw.at.is_durable() {
            return None;
        }
        let topic = TOPICS[draw.random.usize(..TOPICS.len())].to_owned();
        Some(Self { topic, script: draw.script_for_anyone()? })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        Ok(turn.cx.topic::<Script>(&self.topic).publish(&self.script).await?)
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        let by = if self.topic.starts_with(LIVE) { By::Overheard } else { By::Topic };
        vec![Sends { script: &self.script, to: To::Listeners, by }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publish to {} [{}]", self.topic, self.script)
    }
}
