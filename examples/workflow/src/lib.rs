//! A shop: an order is one async function that takes from the stock, charges an account, books a parcel and waits until it
//! is picked up; and that undoes all of it if one of these does not happen.
//!
//! The node program is `src/bin/node.rs`, the client is `src/main.rs`; `tests/simulated.rs` crashes nodes at every step.

mod account;
mod carrier;
mod orders;
mod stock;

pub use account::{Account, AccountRef, Declined};
pub use carrier::{Carrier, CarrierRef};
pub use orders::{Order, OrderError, PICK_UP_WITHIN, PICKED_UP, Receipt, order};
pub use stock::{SoldOut, Stock, StockRef};
