//! What a handle remembers in memory: what the running turn has changed, and what was read lately.
//!
//! All of it shows the items as the newest turn left them. A turn that fails throws the state away, and with it the handle
//! and this; so nothing here is ever undone.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use foldhash::fast::FixedState;

use super::{CollectionError, MAX_TURN_ITEM_BYTES, READ_CACHE_BYTES};
use crate::identity::CallId;
use crate::rows::RowChange;

/// By item key; `None` is "no such item".
#[derive(Debug)]
pub(super) struct Recent {
    /// The beginning of the keys of the collection's rows.
    pub(super) prefix: Bytes,
    /// The turn that `changed` belongs to.
    turn: Option<CallId>,
    /// What this turn has changed. It must be remembered until the commit, when the overlay knows it, too.
    changed: BTreeMap<Bytes, Option<Bytes>>,
    changed_bytes: usize,
    cache: Cache,
}

impl Recent {
    pub(super) fn new(prefix: Bytes) -> Self {
        let changed = BTreeMap::new();
        Self { prefix, turn: None, changed, changed_bytes: 0, cache: Cache::default() }
    }

    /// The turn of this call uses the collection: what another one changed is committed.
    pub(super) fn enter(&mut self, turn: CallId) {
        if self.turn != Some(turn) {
            self.turn = Some(turn);
            self.changed_bytes = 0;
            for (key, value) in std::mem::take(&mut self.changed) {
                self.cache.put(key, value);
            }
        }
    }

    /// Takes up what the running turn has changed, of this and other collections.
    pub(super) fn recall(&mut self, rows: Vec<RowChange>) {
        for row in rows {
            if row.key.starts_with(&self.prefix) {
                let key = row.key.slice(self.prefix.len()..);
                self.changed_bytes += key.len() + row.value.as_ref().map_or(0, Bytes::len);
                self.changed.insert(key, row.value);
            }
        }
    }

    /// The item, if it is known here.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Option<Bytes>> {
        self.changed.get(key).cloned().or_else(|| self.cache.get(key))
    }

    /// What this turn has changed, in order, from a key on.
    pub(super) fn changed_from<'a>(
        &'a self,
        from: &[u8],
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + use<'a> {
        self.changed.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
    }

    /// An item was read from the store.
    pub(super) fn read(&mut self, key: Bytes, value: Option<Bytes>) {
        // A turn that reads while it changes cannot exist: changing needs the collection alone.
        self.cache.put(key, value);
    }

    /// The running turn changes an item.
    pub(super) fn change(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), CollectionError> {
        let bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
        if self.changed_bytes + bytes > MAX_TURN_ITEM_BYTES {
            return Err(CollectionError::LargeTurn);
        }
        self.changed_bytes += bytes;
        self.cache.remove(&key);
        self.changed.insert(key, value);
        Ok(())
    }
}

/// Items that were read lately, at most [`READ_CACHE_BYTES`]. Two generations: what is used moves to the younger one, and
/// when that is half of the bound, the older one is forgotten.
#[derive(Debug, Default)]
struct Cache {
    young: HashMap<Bytes, Option<Bytes>, FixedState>,
    old: HashMap<Bytes, Option<Bytes>, FixedState>,
    young_bytes: usize,
}

/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 80;

impl Cache {
    fn get(&mut self, key: &[u8]) -> Option<Option<Bytes>> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    fn put(&mut self, key: Bytes, value: Option<Bytes>) {
        let bytes = ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len);
        if bytes > READ_CACHE_BYTES / 2 {
            self.remove(&key);
            return;
        }
        if self.young_bytes + bytes > READ_CACHE_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.old.remove(&key);
        self.young.insert(key, value);
        self.young_bytes += bytes;
    }

    fn remove(&mut self, key: &[u8]) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u32) -> Bytes {
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    #[test]
    fn the_cache_keeps_its_bound_and_what_is_used() {
        let mut cache = Cache::default();
        let value = Some(Bytes::from(vec![7; 1000]));
        for number in 0..10_000 {
            cache.put(bytes(number), value.clone());
            assert_eq!(cache.get(&bytes(0)), Some(value.clone()), "after {number}");
            let entries = cache.young.len() + cache.old.len();
            assert!(entries * (1000 + 4 + ENTRY_BYTES) <= READ_CACHE_BYTES + 1084, "{entries}");
        }
        assert_eq!(cache.get(&bytes(1)), None);
        cache.put(bytes(0), Some(Bytes::from(vec![8; READ_CACHE_BYTES])));
        assert_eq!(
            cache.get(&bytes(0)),
            None,
            "an item that does not fit must not leave its older value behind"
        );
    }

    #[test]
    fn what_a_turn_changed_is_known_in_the_turn_and_after_it() {
        let mut recent = Recent::new(Bytes::new());
        recent.enter(CallId(1));
        recent.read(bytes(1), None);
        recent.change(bytes(1), Some(bytes(10))).unwrap();
        recent.change(bytes(2), None).unwrap();
        assert_eq!(recent.changed_from(&bytes(2)).count(), 1);
        recent.enter(CallId(2));
        assert_eq!(recent.changed_from(&[]).count(), 0);
        assert_eq!(recent.get(&bytes(1)), Some(Some(bytes(10))));
        assert_eq!(recent.get(&bytes(2)), Some(None));
        assert_eq!(recent.get(&bytes(3)), None);
    }

    #[test]
    fn a_turn_has_a_limit_and_the_next_one_has_it_again() {
        let mut recent = Recent::new(Bytes::new());
        recent.enter(CallId(1));
        let large = Some(Bytes::from(vec![0; MAX_TURN_ITEM_BYTES - 10]));
        recent.change(bytes(1), large.clone()).unwrap();
        assert!(matches!(recent.change(bytes(2), large.clone()), Err(CollectionError::LargeTurn)));
        recent.enter(CallId(2));
        recent.change(bytes(2), large).unwrap();
    }
}
