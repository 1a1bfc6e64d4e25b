//! Rows of a shard: their keys, and what stands in those that the runtime itself reads.

use std::fmt::Debug;

use greenroom_core::fuzzing as core;
use greenroom_core::request::{MAX_BYTES, RequestContext};
use greenroom_core::rows::{actor_prefix, split_actor_prefix};
use greenroom_core::{ActorId, MapKey};
use uuid::Uuid;

use crate::frame::keeps_its_limit;
use crate::identity::{actor, keeps_its_limits};
use crate::{around, choice, chosen, read_stored, settles, stored};

/// A reminder, a message, a dead letter, the key of one, the key of an item, or the context of a request.
pub(crate) fn check(input: &[u8]) {
    let (kind, data) = choice(input, 13);
    match kind {
        0 => settles(core::reminder, data),
        1 => is_exact(core::reminder_key, data),
        2 => settles(core::message, data),
        3 => message_key(data),
        4 => settles(core::dead_letter, data),
        5 => dead_letter_id(data),
        6 => key::<String>(data, |_| {}),
        7 => key::<(u32, Vec<u8>, i64)>(data, |_| {}),
        8 => key::<Option<(bool, char)>>(data, |_| {}),
        9 => key::<([u8; 3], Uuid)>(data, |_| {}),
        10 => key::<(i8, u128)>(data, |_| {}),
        11 => key::<ActorId>(data, keeps_its_limits),
        _ => read_stored::<RequestContext>(data).iter().for_each(keeps_its_limit),
    }
}

/// What reads a key reads all of it: no two keys say the same.
fn is_exact(rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>, key: &[u8]) {
    rewrite(key).iter().for_each(|written| assert_eq!(written, key));
}

/// Behind the sender stand two numbers for a lane, or a time and the id of a call for what is delayed.
fn message_key(key: &[u8]) {
    is_exact(core::message_key, key);
    if core::message_key(key).is_some() {
        let (_, place) = split_actor_prefix(key).expect("a message has a sender");
        assert!(matches!((place[0], place.len()), (0 | 1, 17) | (2, 25)), "{place:?}");
    }
}

/// A shard, and the 24 bytes of the letter's key in hexadecimal digits.
fn dead_letter_id(text: &[u8]) {
    settles(core::dead_letter_id, text);
    if let Some(written) = core::dead_letter_id(text) {
        let place = written.iter().position(|byte| *byte == b'-').expect("the shard stands in front");
        assert!((1..=5).contains(&place) && written.len() - place == 49, "{written:?}");
    }
}

/// A key that is read has exactly the bytes that it was read from, so no two forms are one key. If another one stands
/// behind it, then the order of the two forms is the order of the keys, and neither form begins the other.
fn key<K: MapKey + Ord + Debug>(form: &[u8], holds: impl Fn(&K)) {
    let Some((first, first_form, rest)) = one_key(form) else { return };
    holds(&first);
    if let Some((second, second_form, _)) = one_key::<K>(rest) {
        assert_eq!(first_form.cmp(second_form), first.cmp(&second), "{first:?} {second:?}");
        assert!(
            first == second || !first_form.starts_with(second_form) && !second_form.starts_with(first_form)
        );
    }
}

/// The key at the beginning, its form, and what stands behind.
fn one_key<K: MapKey>(form: &[u8]) -> Option<(K, &[u8], &[u8])> {
    let mut rest = form;
    let key = K::decode(&mut rest)?;
    let (form, rest) = form.split_at(form.len() - rest.len());
    let mut again = Vec::new();
    key.encode(&mut again);
    assert_eq!(again, form);
    Some((key, form, rest))
}

/// One of each, and some that are just none; of the keys of maps two each.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    fn form<K: MapKey>(kind: u8, keys: [K; 2]) -> Vec<u8> {
        let mut form = vec![kind];
        keys.iter().for_each(|key| key.encode(&mut form));
        form
    }
    let shop = actor("Shop/x");
    let name_key = [&actor_prefix(&shop)[..], b"nightly"].concat();
    let message_keys = [(0, 16), (0, 24), (1, 16), (1, 15), (2, 24), (2, 16), (3, 16), (3, 24)];
    let message_keys = message_keys
        .map(|(lane, bytes)| chosen(3, [&actor_prefix(&shop)[..], &[lane], &vec![0; bytes]].concat()));
    let letters = [(77, 24), (77, 23), (77, 25), (65_535, 24), (65_536, 24)];
    let letters = letters.map(|(shard, bytes)| chosen(5, format!("{shard}-{}", "0a".repeat(bytes))));
    let contexts = around(MAX_BYTES - 4).map(|value| {
        chosen(
            12,
            stored(&serde_json::json!({ "entries": { "user": value }, "traceparent": "00-1", "topic": "a" })),
        )
    });
    let mut seeds: Vec<_> = (0..).zip(core::rows()).map(|(at, value)| chosen([0, 2, 4][at], value)).collect();
    seeds.push(chosen(1, name_key));
    seeds.extend(message_keys.into_iter().chain(letters).chain(contexts));
    seeds.extend([
        form(6, ["a\0ü", "a"].map(str::to_owned)),
        form(7, [(7u32, vec![0, 255], -1i64), (7, vec![0, 255], 1)]),
        form(8, [Some((true, 'ü')), None]),
        vec![8, 1, 2, 0, 0, 0, b'x'],
        form(9, [([1, 2, 3], Uuid::from_u128(5)), ([1, 2, 4], Uuid::nil())]),
        form(10, [(i8::MIN, 3u128), (1, 2)]),
        form(11, [shop, actor("Sho/px")]),
    ]);
    seeds
}
