//! The field that shelves are found by changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::cast::Kind as Type;
use super::super::draw::Draw;
use super::super::model::Model;
use super::super::stage::{Failed, Heard, Stage, Turn};
use super::Kind;

/// How many tags there are.
pub(crate) const TAGS: u32 = 3;

/// Sets the tag of a shelf, or takes it away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tag(Option<u32>);

impl Kind for Tag {
    const WEIGHT: u32 = 3;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let tag = Some(draw.random.u32(..=TAGS)).filter(|tag| *tag < TAGS);
        (draw.at.kind == Type::Shelf).then_some(Self(tag))
    }

    async fn play<S: Stage>(&self, stage: &mut S, _turn: &Turn<'_>) -> Result<(), Failed> {
        if let Some(tag) = stage.tag() {
            *tag = self.0;
        }
        Ok(())
    }

    fn expect(&self, model: &mut Model, _heard: &[Heard]) {
        model.tag = self.0;
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(tag) => write!(f, "tag {tag}"),
            None => write!(f, "no tag"),
        }
    }
}
