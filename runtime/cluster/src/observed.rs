//! A value that is observed: the newest one is there at any time, and who watches is woken after each change.
//!
//! Tokio's `watch` draws the order in which it wakes its receivers by chance. Here they are woken in the order in which
//! they began to wait, so a simulation with a seed replays exactly.

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use parking_lot::RwLock;
use tokio::sync::Notify;

/// A value that is observed. A cheap clone of one shared value.
pub struct Observed<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: RwLock<State<T>>,
    changed: Notify,
}

struct State<T> {
    value: T,
    /// How often the value has changed.
    changes: u64,
}

/// One who watches: remembers which change it has seen.
pub struct Watcher<T> {
    observed: Observed<T>,
    seen: u64,
}

impl<T: Clone> Observed<T> {
    /// Begins with this value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared { state: RwLock::new(State { value, changes: 0 }), changed: Notify::new() }))
    }

    /// The value as it is now.
    pub fn get(&self) -> T {
        self.0.state.read().value.clone()
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        self.update(|current| {
            *current = value;
            true
        });
    }

    /// Changes the value; `change` tells whether it did. Returns that.
    pub fn update(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut state = self.0.state.write();
        let changed = change(&mut state.value);
        if changed {
            state.changes += 1;
            drop(state);
            self.0.changed.notify_waiters();
        }
        changed
    }

    /// Begins to watch; the value as it is now has been seen.
    pub fn watch(&self) -> Watcher<T> {
        Watcher { seen: self.0.state.read().changes, observed: self.clone() }
    }
}

impl<T: Clone> Watcher<T> {
    /// The value as it is now, which has been seen then.
    pub fn get(&mut self) -> T {
        let state = self.observed.0.state.read();
        self.seen = state.changes;
        state.value.clone()
    }

    /// Completes when the value has changed since it was last seen. Dropping the future is harmless.
    pub async fn changed(&mut self) {
        loop {
            // Begun before the check, so that no change can fall in between.
            let changed = self.observed.0.changed.notified();
            let changes = self.observed.0.state.read().changes;
            if changes != self.seen {
                self.seen = changes;
                return;
            }
            changed.await;
        }
    }

    /// Completes when the value is such, at once if it is already.
    pub async fn wait_for(&mut self, mut such: impl FnMut(&T) -> bool) -> T {
        loop {
            let value = self.get();
            if such(&value) {
                return value;
            }
            self.changed().await;
        }
    }

    /// The value as it is now, then after each change; it may skip some.
    pub fn into_stream(self) -> BoxStream<'static, T>
    where
        T: Send + Sync + 'static,
    {
        let first = true;
        stream::unfold((self, first), |(mut watcher, first)| async move {
            if !first {
                watcher.changed().await;
            }
            Some((watcher.get(), (watcher, false)))
        })
        .boxed()
    }
}

impl<T> Clone for Observed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone + Default> Default for Observed<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Observed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.state.read().value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_once_by_each_watcher() {
        let observed = Observed::new(1);
        let (mut first, mut second) = (observed.watch(), observed.watch());
        assert!(first.changed().now_or_never().is_none());
        observed.set(2);
        observed.set(3);
        first.changed().await;
        assert!(first.changed().now_or_never().is_none());
        assert_eq!(second.wait_for(|value| *value == 3).await, 3);
        assert!(second.changed().now_or_never().is_none());
        assert!(!observed.update(|_| false));
        assert!(first.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_waits_is_woken_and_a_stream_begins_with_the_present() {
        let observed = Observed::new(1);
        let mut values = observed.watch().into_stream();
        assert_eq!(values.next().await, Some(1));
        let mut next = Box::pin(values.next());
        assert!(futures_util::poll!(&mut next).is_pending());
        observed.set(2);
        assert_eq!(next.await, Some(2));
    }
}
