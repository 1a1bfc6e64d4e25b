//! Answers that are good for a while: bounded, and never given after their time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use parking_lot::Mutex;

/// A bounded map whose entries end.
pub(crate) struct Cache<K, V> {
    entries: Mutex<HashMap<K, (V, Instant)>>,
    capacity: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// Keeps at most `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: Mutex::new(HashMap::new()), capacity }
    }

    /// The entry, if its time is not over.
    pub(crate) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let entries = self.entries.lock();
        entries.get(key).filter(|(_, end)| *end > now).map(|(value, _)| value.clone())
    }

    /// Keeps an entry until `end`. If there are too many, those whose time is over go first, then all: rarely, and it
    /// costs no more than asking again.
    pub(crate) fn put(&self, key: K, value: V, end: Instant) {
        let mut entries = self.entries.lock();
        if entries.len() >= self.capacity {
            let now = Instant::now();
            entries.retain(|_, (_, end)| *end > now);
            if entries.len() >= self.capacity {
                entries.clear();
            }
        }
        entries.insert(key, (value, end));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn entries_end_and_are_bounded() {
        let (cache, now) = (Cache::new(2), Instant::now());
        let later = now + Duration::from_secs(10);
        cache.put(1, "a", later);
        assert_eq!(cache.get(&1, now), Some("a"));
        assert_eq!(cache.get(&1, later), None);
        cache.put(2, "b", now - Duration::from_millis(1));
        cache.put(3, "c", later);
        assert_eq!((cache.get(&1, now), cache.get(&3, now)), (Some("a"), Some("c")));
        cache.put(4, "d", later);
        assert_eq!((cache.get(&1, now), cache.get(&4, now)), (None, Some("d")));
    }
}
