//! What threads share: locks and atomics, named in one place, so that `runtime/models` can compile the files that use them
//! with loom's.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

pub(crate) use crossbeam_utils::atomic::AtomicCell;
pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use tokio::sync::Notify;

/// Into how many parts counters are divided: a power of two, and at least as many as a node's busy threads usually are.
pub(crate) const STRIPES: usize = 16;

/// A static that is made when the program is. A model makes it anew for each of its runs.
macro_rules! shared_static {
    ($($(#[$about:meta])* static $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$about])* static $name: $type = $value;)*
    };
}
pub(crate) use shared_static;
