//! A transfer: takes from one account and gives to another, or gives back.

use greenroom::{CallError, Flow, workflow};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Account, AccountError, Withdrawal};

/// What to move.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfer {
    /// From which account.
    pub from: String,
    /// To which account.
    pub to: String,
    /// How much.
    pub amount: u64,
}

/// Why nothing was moved.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum TransferError {
    /// One of the accounts refused.
    #[error(transparent)]
    Refused(#[from] AccountError),
    /// An account could not be asked: a mistake of the program.
    #[error("an account cannot be asked: {0}")]
    Broken(String),
}

impl From<CallError<AccountError>> for TransferError {
    fn from(error: CallError<AccountError>) -> Self {
        match error {
            CallError::App(refusal) => Self::Refused(refusal),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<CallError> for TransferError {
    fn from(error: CallError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Moves money. Once started it comes to its end, whatever crashes: each step is applied once, and if the second account
/// refuses, the first one gets its money back.
#[workflow]
pub async fn transfer(flow: Flow, transfer: Transfer) -> Result<(), TransferError> {
    let Transfer { from, to, amount } = transfer;
    if let Withdrawal::Refused(why) =
        flow.step("take", |by| by.actor::<Account>(&from).withdraw(amount)).await?
    {
        return Err(why.into());
    }
    flow.compensate("give back", move |by| by.actor::<Account>(&from).deposit(amount));
    flow.step("give", |by| by.actor::<Account>(&to).deposit(amount)).await?;
    Ok(())
}
