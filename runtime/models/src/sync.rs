//! loom's locks and atomics, in the words of those that the runtime uses (`core/src/sync.rs`).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(crate) use loom::sync::MutexGuard;
pub(crate) use loom::sync::atomic::Ordering;
use loom::sync::atomic::fence;

/// A static that each run of a model makes anew.
macro_rules! shared_static {
    ($($(#[$about:meta])* static $name:ident: $type:ty = $value:expr;)*) => {
        loom::lazy_static! { $($(#[$about])* static ref $name: $type = $value;)* }
    };
}
pub(crate) use shared_static;

/// One that a thread has for itself, and the common one.
pub(crate) const STRIPES: usize = 2;

/// A mutex that a panic does not poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("a model ends with its first panic")
    }
}

/// What was written in the one order of all (`SeqCst`) is seen by whoever looks later in that order. loom takes `SeqCst`
/// for `AcqRel`, so a fence behind each such write stands for it, as it does on most processors.
fn written<T>(result: T, order: Ordering) -> T {
    if order == Ordering::SeqCst {
        fence(order);
    }
    result
}

macro_rules! atomic {
    ($name:ident of $value:ty, $($write:ident -> $result:ty),*) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name(loom::sync::atomic::$name);

        #[allow(dead_code, reason = "no type needs all of it")]
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }
            $(pub(crate) fn $write(&self, value: $value, order: Ordering) -> $result {
                written(self.0.$write(value, order), order)
            })*
        }
    };
}
atomic!(AtomicBool of bool, store -> (), swap -> bool);
atomic!(AtomicU64 of u64, store -> (), fetch_add -> u64);
pub(crate) use loom::sync::atomic::AtomicU32;
atomic!(AtomicUsize of usize, fetch_add -> usize, fetch_sub -> usize);

/// A value that is exchanged in one step, as crossbeam's. loom orders the exchanges by their number, and runs nothing else
/// between that and what follows here.
#[derive(Debug, Default)]
pub(crate) struct AtomicCell<T> {
    exchanges: loom::sync::atomic::AtomicUsize,
    value: std::sync::Mutex<T>,
}

impl<T: Default> AtomicCell<T> {
    pub(crate) const fn is_lock_free() -> bool {
        true
    }

    pub(crate) fn new(value: T) -> Self {
        Self { value: std::sync::Mutex::new(value), ..Self::default() }
    }

    pub(crate) fn swap(&self, value: T) -> T {
        self.exchanges.fetch_add(1, Ordering::AcqRel);
        std::mem::replace(&mut *self.value.lock().expect("a model ends with its first panic"), value)
    }

    pub(crate) fn take(&self) -> T {
        self.swap(T::default())
    }
}

/// Wakes those who asked to be woken before, as tokio's `notify_waiters`.
#[derive(Debug, Default)]
pub(crate) struct Notify(Mutex<Notices>);

#[derive(Debug, Default)]
struct Notices {
    number: usize,
    wakers: Vec<Waker>,
}

/// The next notice after it was asked for.
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    seen: usize,
}

impl Notify {
    pub(crate) fn notify_waiters(&self) {
        let mut notices = self.0.lock();
        notices.number += 1;
        let wakers = std::mem::take(&mut notices.wakers);
        drop(notices);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, seen: self.0.lock().number }
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let mut notices = self.notify.0.lock();
        if notices.number > self.seen {
            return Poll::Ready(());
        }
        notices.wakers.push(task.waker().clone());
        Poll::Pending
    }
}
