//! A bank: an actor per account, a workflow per transfer.
//!
//! **Invariant**: the sum of all balances is what was paid in, whenever no transfer is under way. The node program is
//! `src/bin/node.rs`, the client is `src/main.rs`; `tests/simulated.rs` checks the invariant under faults.

mod account;
mod transfers;

pub use account::{Account, AccountError, AccountRef, Withdrawal};
pub use transfers::{Transfer, TransferError, transfer};
