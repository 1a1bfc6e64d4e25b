//! The runtime's hand-made concurrent code, under every interleaving of a few threads.
//!
//! The files that are to be checked are compiled here once more, as they are; around them stands what uses them, made as
//! small as it can be, with loom's locks and atomics in the place of the real ones. A model is a function that loom runs
//! again and again, each time with its threads in another order, until it has seen all (`tests/models.rs`).
//!
//! - `counts`: counters that are divided among threads; `drain`: who waits for turns to end.
//! - `sync`: loom's locks and atomics, as the runtime writes them.

/// The standard library's, as the runtime writes it. Nothing is dropped when its thread ends: loom may end the model, with
/// all statics, before that.
macro_rules! thread_local {
    (static $name:ident: $type:ty = $value:expr;) => {
        loom::thread_local! { static $name: std::mem::ManuallyDrop<$type> = std::mem::ManuallyDrop::new($value); }
    };
}

pub mod counts;
pub mod drain;
mod sync;

#[allow(dead_code, unreachable_pub, reason = "a model does not use all of it")]
#[path = "../../core/src/stripes.rs"]
mod stripes;
#[path = "../../core/src/engine/turnstile.rs"]
mod turnstile;
