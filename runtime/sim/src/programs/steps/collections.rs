//! The items of a map and a list change.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::cast::Kind as Type;
use super::super::draw::Draw;
use super::super::model::Model;
use super::super::stage::{Failed, Heard, Stage, Turn};
use super::Kind;

/// Changes a map or a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Arrange {
    Put { key: u8, value: i64 },
    Take { key: u8 },
    Push { value: i64 },
    Set { index: u64, value: i64 },
    Pop,
    PopFront,
    /// Empties the map.
    Clear,
}

impl Kind for Arrange {
    const WEIGHT: u32 = 6;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        if !matches!(draw.at.kind, Type::Shelf | Type::Scribe) {
            return None;
        }
        let (key, value) = (draw.random.u8(..6), draw.random.i64(..1_000));
        Some(match draw.random.u8(..20) {
            0..6 => Self::Put { key, value },
            6..9 => Self::Take { key },
            9..13 => Self::Push { value },
            13..15 => Self::Set { index: u64::from(key), value },
            15..17 => Self::Pop,
            17..19 => Self::PopFront,
            _ => Self::Clear,
        })
    }

    async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let Some((things, trail)) = stage.collections() else { return Ok(()) };
        match *self {
            Self::Put { key, value } => drop(things.insert(turn.cx, key, value).await?),
            Self::Take { key } => drop(things.remove(turn.cx, &key).await?),
            Self::Push { value } => trail.push(turn.cx, value)?,
            Self::Set { index, value } if index < trail.len() => trail.set(turn.cx, index, value)?,
            Self::Set { .. } => {}
            Self::Pop => drop(trail.pop(turn.cx).await?),
            Self::PopFront => drop(trail.pop_front(turn.cx).await?),
            Self::Clear => things.clear(turn.cx).await?,
        }
        Ok(())
    }

    fn expect(&self, model: &mut Model, _heard: &[Heard]) {
        match *self {
            Self::Put { key, value } => drop(model.things.insert(key, value)),
            Self::Take { key } => drop(model.things.remove(&key)),
            Self::Push { value } => model.trail.push_back(value),
            Self::Set { index, value } => {
                if let Some(item) = model.trail.get_mut(index as usize) {
                    *item = value;
                }
            }
            Self::Pop => drop(model.trail.pop_back()),
            Self::PopFront => drop(model.trail.pop_front()),
            Self::Clear => model.things.clear(),
        }
    }
}

impl fmt::Display for Arrange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
