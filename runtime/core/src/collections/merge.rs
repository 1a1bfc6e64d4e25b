//! A page out of two sorted sources: changes, which may remove, and stored rows, which they win over.

use std::cmp::Ordering;

use bytes::Bytes;

/// The first entries of a source in a range.
#[derive(Debug)]
pub(super) struct Head<V> {
    /// In the order of their keys.
    pub(super) entries: Vec<(Bytes, V)>,
    /// Up to which key these are all that the source has; `None`: to the end of the range.
    pub(super) horizon: Option<Bytes>,
}

impl<V> Head<V> {
    /// From entries of which at most `limit` were asked for.
    pub(super) fn of(entries: Vec<(Bytes, V)>, limit: usize) -> Self {
        let horizon = entries.last().filter(|_| entries.len() >= limit).map(|(key, _)| key.clone());
        Self { entries, horizon }
    }

    /// The same without so many bytes at the front of each key.
    pub(super) fn without(mut self, prefix: usize) -> Self {
        for (key, _) in &mut self.entries {
            bytes::Buf::advance(key, prefix);
        }
        self.horizon.iter_mut().for_each(|key| bytes::Buf::advance(key, prefix));
        self
    }
}

/// What both sources say together up to the last key for which both have told everything, and that key; `None` if this is
/// the whole range.
pub(super) fn merge(
    changes: Head<Option<Bytes>>,
    stored: Head<Bytes>,
) -> (Vec<(Bytes, Bytes)>, Option<Bytes>) {
    let horizon = match (changes.horizon, stored.horizon) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let told = |key: &Bytes| horizon.as_ref().is_none_or(|horizon| key <= horizon);
    let mut merged = Vec::with_capacity(stored.entries.len());
    let mut changes = changes.entries.into_iter().filter(|(key, _)| told(key)).peekable();
    let mut stored = stored.entries.into_iter().filter(|(key, _)| told(key)).peekable();
    loop {
        let order = match (changes.peek(), stored.peek()) {
            (None, None) => return (merged, horizon),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        if order != Ordering::Greater {
            let change = changes.next();
            merged.extend(change.and_then(|(key, value)| Some((key, value?))));
        }
        if order != Ordering::Less {
            let row = stored.next();
            merged.extend(row.filter(|_| order == Ordering::Greater));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn first<V: Clone>(source: &BTreeMap<u8, V>, from: Option<u8>, limit: usize) -> Head<V> {
        let behind = source.iter().filter(|(key, _)| from.is_none_or(|from| **key > from));
        Head::of(behind.take(limit).map(|(&key, value)| (vec![key].into(), value.clone())).collect(), limit)
    }

    proptest! {
        #[test]
        fn page_after_page_gives_what_the_changes_leave_of_the_rows(
            changes in prop::collection::btree_map(0..40u8, prop::option::of(any::<u8>()), 0..20),
            stored in prop::collection::btree_map(0..40u8, any::<u8>(), 0..20),
            limit in 1..8usize,
        ) {
            let mut expected = stored.clone();
            for (&key, change) in &changes {
                match change {
                    Some(value) => expected.insert(key, *value),
                    None => expected.remove(&key),
                };
            }
            let value = |value: u8| Bytes::from(vec![value]);
            let changes: BTreeMap<_, _> = changes.into_iter().map(|(k, v)| (k, v.map(value))).collect();
            let stored: BTreeMap<_, _> = stored.into_iter().map(|(k, v)| (k, value(v))).collect();
            let (mut found, mut from) = (Vec::new(), None);
            loop {
                let (page, horizon) = merge(first(&changes, from, limit), first(&stored, from, limit));
                found.extend(page.into_iter().map(|(key, value)| (key[0], value[0])));
                let Some(horizon) = horizon else { break };
                prop_assert!(from < Some(horizon[0]), "each step comes further");
                from = Some(horizon[0]);
            }
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
