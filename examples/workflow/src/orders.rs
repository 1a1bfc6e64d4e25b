//! An order, from the stock to the parcel.

use std::time::Duration;

use greenroom::{CallError, Elapsed, Flow, SignalError, workflow};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Account, Carrier, Declined, SoldOut, Stock};

/// The signal that the parcel has been picked up, with its number.
pub const PICKED_UP: &str = "picked up";
/// How long the carrier has to come.
pub const PICK_UP_WITHIN: Duration = Duration::from_hours(24);

/// What is ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Who pays.
    pub buyer: String,
    /// Of what.
    pub item: String,
    /// How many.
    pub pieces: u32,
    /// What all of it costs.
    pub total: u64,
}

/// What the buyer gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What was paid.
    pub paid: u64,
    /// The number of the parcel.
    pub parcel: String,
}

/// Why there is no parcel. Everything is then as before.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum OrderError {
    /// There is not enough of it.
    #[error(transparent)]
    SoldOut(#[from] SoldOut),
    /// The buyer cannot pay.
    #[error(transparent)]
    Declined(#[from] Declined),
    /// The carrier did not come.
    #[error("nobody has picked the parcel up in time")]
    NotPickedUp,
    /// The parts of the shop do not fit together.
    #[error("the shop is broken: {0}")]
    Broken(String),
}

/// Sells something. The steps before a failure are undone, the last one first.
#[workflow]
pub async fn order(flow: Flow, order: Order) -> Result<Receipt, OrderError> {
    let Order { buyer, item, pieces, total } = order;

    flow.step("take from stock", |by| by.actor::<Stock>(&item).take(pieces)).await?;
    flow.compensate("put back", move |by| by.actor::<Stock>(&item).put(pieces));

    flow.step("charge", |by| by.actor::<Account>(&buyer).withdraw(total)).await?;
    flow.compensate("refund", move |by| by.actor::<Account>(&buyer).deposit(total));

    let key = flow.key().to_owned();
    flow.step("book", |by| by.actor::<Carrier>("post").book(key.clone())).await?;
    flow.compensate("cancel the booking", move |by| by.actor::<Carrier>("post").cancel(key.clone()));

    let parcel = flow.timeout("pick up", PICK_UP_WITHIN, flow.wait_for::<String>(PICKED_UP)).await??;

    // Nobody can refuse this, and nobody waits for it.
    flow.send("pay the shop", |by| by.actor::<Account>("shop").deposit(total)).await?;
    Ok(Receipt { paid: total, parcel })
}

impl<E: Into<OrderError> + std::fmt::Display> From<CallError<E>> for OrderError {
    fn from(error: CallError<E>) -> Self {
        match error {
            CallError::App(refusal) => refusal.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<greenroom::AppError> for OrderError {
    fn from(error: greenroom::AppError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<Elapsed> for OrderError {
    fn from(_: Elapsed) -> Self {
        Self::NotPickedUp
    }
}

impl From<SignalError> for OrderError {
    fn from(error: SignalError) -> Self {
        Self::Broken(error.to_string())
    }
}
