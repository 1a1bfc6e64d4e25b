//! What there is of an item.

use greenroom::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The stock of one item.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Stock {
    pieces: u32,
}

/// There are not so many.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("there are only {left} left")]
pub struct SoldOut {
    /// How many there are.
    pub left: u32,
}

#[actor_methods]
impl Stock {
    /// Puts pieces in; returns how many there are.
    pub async fn put(&mut self, pieces: u32) -> u32 {
        self.pieces += pieces;
        self.pieces
    }

    /// Takes pieces out; returns how many there are.
    pub async fn take(&mut self, pieces: u32) -> Result<u32, SoldOut> {
        self.pieces = self.pieces.checked_sub(pieces).ok_or(SoldOut { left: self.pieces })?;
        Ok(self.pieces)
    }

    /// How many there are.
    pub async fn pieces(&self) -> u32 {
        self.pieces
    }
}
