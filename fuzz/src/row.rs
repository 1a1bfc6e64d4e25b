//! Rows of a shard: their keys, and what stands in those that the runtime itself reads.

use greenroom_core::fuzzing as core;
use greenroom_core::rows::actor_prefix;
use greenroom_core::{ActorId, MapKey};
use uuid::Uuid;

use crate::identity::{actor, keeps_its_limits};
use crate::{choice, chosen, settles};

/// A reminder, a message, a dead letter, the key of one, or the key of an item.
pub fn check(input: &[u8]) {
    let (kind, data) = choice(input, 12);
    match kind {
        0 => settles(core::reminder, data),
        1 => settles(core::reminder_key, data),
        2 => settles(core::message, data),
        3 => settles(core::message_key, data),
        4 => settles(core::dead_letter, data),
        5 => settles(core::dead_letter_id, data),
        6 => key::<String>(data, |_| {}),
        7 => key::<(u32, Vec<u8>, i64)>(data, |_| {}),
        8 => key::<Option<(bool, char)>>(data, |_| {}),
        9 => key::<([u8; 3], Uuid)>(data, |_| {}),
        10 => key::<(i8, u128)>(data, |_| {}),
        _ => key::<ActorId>(data, keeps_its_limits),
    }
}

/// A key that is read has exactly the bytes that it was read from: no two forms are one key.
fn key<K: MapKey>(form: &[u8], holds: impl Fn(&K)) {
    let mut rest = form;
    if let Some(key) = K::decode(&mut rest) {
        let mut again = Vec::new();
        key.encode(&mut again);
        assert_eq!(again, form[..form.len() - rest.len()]);
        holds(&key);
    }
}

/// One of each.
pub fn seeds() -> Vec<Vec<u8>> {
    fn form(kind: u8, key: &impl MapKey) -> Vec<u8> {
        let mut form = vec![kind];
        key.encode(&mut form);
        form
    }
    let shop = actor("Shop/x");
    let name_key = [&actor_prefix(&shop)[..], b"nightly"].concat();
    let message_key = [&actor_prefix(&shop)[..], &[0; 17]].concat();
    let mut seeds: Vec<_> = (0..).zip(core::rows()).map(|(at, value)| chosen([0, 2, 4][at], value)).collect();
    seeds.extend([chosen(1, [&[0; 8], &name_key[..]].concat()), chosen(3, message_key)]);
    seeds.push(chosen(5, format!("77-{}", "0a".repeat(24))));
    seeds.extend([
        form(6, &"a\0ü".to_owned()),
        form(7, &(7u32, vec![0, 255], -1i64)),
        form(8, &Some((true, 'ü'))),
        form(9, &([1, 2, 3], Uuid::from_u128(5))),
        form(10, &(i8::MIN, 3u128)),
        form(11, &shop),
    ]);
    seeds
}
