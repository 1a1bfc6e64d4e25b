//! A key in each shard, for internal types of which every shard has an actor.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::identity::{ActorId, ActorType, Shard, ShardCount};

/// The keys of a type, remembered for the count of shards that was asked for last: a process has one.
pub(crate) struct ShardKeys {
    actor_type: &'static str,
    known: Mutex<Option<(ShardCount, Arc<[u32]>)>>,
}

impl ShardKeys {
    pub(crate) const fn new(actor_type: &'static str) -> Self {
        Self { actor_type, known: Mutex::new(None) }
    }

    /// For each shard the least number that, as a key, makes an actor of that shard.
    pub(crate) fn get(&self, count: ShardCount) -> Arc<[u32]> {
        let mut known = self.known.lock();
        if let Some((_, keys)) = known.as_ref().filter(|(of, _)| *of == count) {
            return keys.clone();
        }
        let keys: Arc<[u32]> = self.make(count).into();
        *known = Some((count, keys.clone()));
        keys
    }

    fn make(&self, count: ShardCount) -> Vec<u32> {
        let actor_type = ActorType::new(self.actor_type).expect("it is a valid name");
        let mut missing: HashSet<Shard> = count.shards().collect();
        let mut keys = vec![0; usize::from(count.get())];
        for number in 0.. {
            if missing.is_empty() {
                break;
            }
            let id = ActorId::new(actor_type.clone(), number.to_string()).expect("a number is a valid key");
            let shard = id.shard(count);
            if missing.remove(&shard) {
                keys[usize::from(shard.0)] = number;
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_its_key() {
        let keys = ShardKeys::new("greenroom.Index");
        for count in [1, 7, 1024] {
            let count = ShardCount::new(count).unwrap();
            for (shard, key) in count.shards().zip(&*keys.get(count)) {
                let id: ActorId = format!("greenroom.Index/{key}").parse().unwrap();
                assert_eq!(id.shard(count), shard);
            }
        }
    }
}
