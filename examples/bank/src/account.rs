//! An account.

use greenroom::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Whose key is the account's name.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Account {
    balance: u64,
    closed: bool,
    /// How often it had not enough. So a refusal is a commit, too: see [`withdraw`](AccountRef::withdraw).
    refusals: u64,
}

/// What became of a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Withdrawal {
    /// It was made; this is left.
    Made(u64),
    /// It was not.
    Refused(AccountError),
}

/// Why an account refuses.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum AccountError {
    /// There is not enough in it.
    #[error("{missing} are missing in the account")]
    Overdrawn {
        /// How much more it would have to have.
        missing: u64,
    },
    /// It takes no money any more.
    #[error("the account is closed")]
    Closed,
}

#[actor_methods]
impl Account {
    /// Pays in; returns the balance.
    pub async fn deposit(&mut self, amount: u64) -> Result<u64, AccountError> {
        if self.closed {
            return Err(AccountError::Closed);
        }
        self.balance += amount;
        Ok(self.balance)
    }

    /// Takes out.
    ///
    /// That there is not enough may be different a moment later. So it is no error, which would leave nothing behind, but
    /// an answer that is committed: a request that comes twice gets it again, and takes nothing out later.
    pub async fn withdraw(&mut self, amount: u64) -> Withdrawal {
        let missing = amount.saturating_sub(self.balance);
        if missing > 0 {
            self.refusals += 1;
            return Withdrawal::Refused(AccountError::Overdrawn { missing });
        }
        self.balance -= amount;
        Withdrawal::Made(self.balance)
    }

    /// Takes no more money, from now on and for ever; what is in it can be taken out.
    pub async fn close(&mut self) {
        self.closed = true;
    }

    /// What is in it.
    pub async fn balance(&self) -> u64 {
        self.balance
    }
}
