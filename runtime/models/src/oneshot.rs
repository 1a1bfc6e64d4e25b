//! A channel for one value, as tokio's: what is sent to nobody comes back, and what nobody takes is dropped.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex, MutexGuard};

struct Slot<T> {
    value: Option<T>,
    /// One of the two ends has gone.
    closed: bool,
}

struct Shared<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
}

pub(crate) struct Sender<T>(Arc<Shared<T>>);
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Mutex::new(Slot { value: None, closed: false });
    let shared = Arc::new(Shared { slot, changed: Condvar::new() });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Shared<T> {
    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().expect("a model ends with its first panic")
    }

    /// `None` in a model that has failed: it has no locks any more.
    fn close(&self) -> Option<MutexGuard<'_, Slot<T>>> {
        if std::thread::panicking() {
            return None;
        }
        let mut slot = self.slot();
        slot.closed = true;
        self.changed.notify_one();
        Some(slot)
    }
}

impl<T> Sender<T> {
    pub(crate) fn is_closed(&self) -> bool {
        self.0.slot().closed
    }

    pub(crate) fn send(self, value: T) -> Result<(), T> {
        let mut slot = self.0.slot();
        if slot.closed {
            return Err(value);
        }
        slot.value = Some(value);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // What was sent stays.
        drop(self.0.close());
    }
}

impl<T> Receiver<T> {
    /// `None` if the sender has gone.
    pub(crate) fn receive(self) -> Option<T> {
        let mut slot = self.0.slot();
        while slot.value.is_none() && !slot.closed {
            slot = self.0.changed.wait(slot).expect("a model ends with its first panic");
        }
        slot.value.take()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Dropped behind the lock: a turn that is dropped locks others.
        let left = self.0.close().and_then(|mut slot| slot.value.take());
        drop(left);
    }
}
