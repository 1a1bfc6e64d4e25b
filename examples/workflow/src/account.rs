//! Who pays, and who is paid.

use greenroom::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An account.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Account {
    balance: u64,
}

/// There is not enough in the account.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{missing} are missing in the account")]
pub struct Declined {
    /// How much more it would have to have.
    pub missing: u64,
}

#[actor_methods]
impl Account {
    /// Pays in; returns the balance.
    pub async fn deposit(&mut self, amount: u64) -> u64 {
        self.balance += amount;
        self.balance
    }

    /// Takes out; returns the balance.
    pub async fn withdraw(&mut self, amount: u64) -> Result<u64, Declined> {
        let missing = amount.saturating_sub(self.balance);
        if missing > 0 {
            return Err(Declined { missing });
        }
        self.balance -= amount;
        Ok(self.balance)
    }

    /// What is in it.
    pub async fn balance(&self) -> u64 {
        self.balance
    }
}
