//! Counters that are divided among threads.
//!
//! What must hold: nothing that was counted is missing once its thread has ended, whether it had a stripe for itself or
//! shared one. (That a stripe is given on when its thread ends is not part of the model.)

use loom::sync::Arc;
use loom::thread;

use crate::stripes::Striped;
use crate::sync::AtomicU64;

/// More threads than stripes, one of them begun when another has ended.
pub fn what_ended_threads_have_counted_is_in_the_sum() {
    let count = Arc::new(Striped::<AtomicU64>::default());
    let counts = || {
        let count = count.clone();
        thread::spawn(move || count.count())
    };
    let (first, second) = (counts(), counts());
    first.join().expect("it does not panic");
    let third = counts();
    count.count();
    for thread in [second, third] {
        thread.join().expect("it does not panic");
    }
    assert_eq!(count.sum(), 4);
}
