//! The runtime's hand-made concurrent code, under every interleaving of a few threads.
//!
//! The files that are to be checked are compiled here once more, as they are; around them stands what uses them, made as
//! small as it can be, with loom's locks and atomics in the place of the real ones. A model is a function that loom runs
//! again and again, each time with its threads in another order, until it has seen all (`tests/models.rs`).
//!
//! - `actor`: an activation, its mailbox, and who gives it back; `directory`: activations that come and go.
//! - `counts`: counters that are divided among threads; `drain`: who waits for turns to end.
//! - `oneshot`: how a turn gets to who waits for it; `sync`: loom's locks and atomics, as the runtime writes them.

#![allow(
    clippy::arc_with_non_send_sync,
    reason = "loom runs all threads in one, and checks which touches what"
)]

/// The standard library's, as the runtime writes it. Nothing is dropped when its thread ends: loom may end the model, with
/// all statics, before that.
macro_rules! thread_local {
    (static $name:ident: $type:ty = $value:expr;) => {
        loom::thread_local! { static $name: std::mem::ManuallyDrop<$type> = std::mem::ManuallyDrop::new($value); }
    };
}

pub mod actor;
pub mod counts;
pub mod directory;
pub mod drain;
mod oneshot;
mod sync;

#[path = "../../core/src/engine/activation/rest.rs"]
mod rest;
#[allow(dead_code, unreachable_pub, reason = "a model does not use all of it")]
#[path = "../../core/src/stripes.rs"]
mod stripes;
#[allow(dead_code, reason = "a model does not use all of it")]
#[path = "../../core/src/engine/activation/turn_lock.rs"]
mod turn_lock;
#[allow(dead_code, reason = "a model does not use all of it")]
#[path = "../../core/src/engine/activation/turns.rs"]
mod turns;
#[path = "../../core/src/engine/turnstile.rs"]
mod turnstile;
