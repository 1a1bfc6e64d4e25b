//! Identities: what is taken for one keeps the limits, and survives every form that it has.

use greenroom_core::identity::{MAX_KEY_BYTES, MAX_TYPE_BYTES};
use greenroom_core::rows::{actor_prefix, split_actor_prefix};
use greenroom_core::{ActorId, CallId};

use crate::{around, choice, chosen};

/// As a text, as the beginning of a row's key, and as the bytes of a call's id.
pub(crate) fn check(input: &[u8]) {
    let (form, data) = choice(input, 3);
    match form {
        0 => String::from_utf8_lossy(data).parse().iter().for_each(keeps_its_limits),
        1 => split_actor_prefix(data).iter().for_each(|(id, rest)| {
            keeps_its_limits(id);
            assert_eq!([&actor_prefix(id), *rest].concat(), data);
        }),
        _ => CallId::from_bytes(data).iter().for_each(|id| assert_eq!(id.to_bytes(), data)),
    }
}

/// Whoever has an identity may rely on this.
pub(crate) fn keeps_its_limits(id: &ActorId) {
    let actor_type = id.actor_type.as_str();
    let rest_is_plain = actor_type.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    assert!(rest_is_plain && actor_type.starts_with(|c: char| c.is_ascii_alphabetic()), "{id:?}");
    assert!(actor_type.len() <= MAX_TYPE_BYTES && (1..=MAX_KEY_BYTES).contains(&id.key.len()), "{id:?}");
    assert_eq!(id.to_string().parse().as_ref(), Ok(id));
    let prefix = actor_prefix(id).freeze();
    assert_eq!(split_actor_prefix(&prefix), Some((id.clone(), &b""[..])));
}

/// Ordinary ones, some with letters that are not, and some that are just too short or too long.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let ordinary =
        [("Counter", "page-1"), ("A.b_C", "ü/ü"), ("greenroom.Index", "\u{0}"), ("1", "a"), ("A-b", "a")];
    let (types, keys) = (around(MAX_TYPE_BYTES), around(MAX_KEY_BYTES));
    let types = types.iter().map(|actor_type| (actor_type.as_str(), "a"));
    let names = ordinary.into_iter().chain(types).chain(keys.iter().map(|key| ("A", key.as_str())));
    let forms =
        |(actor_type, key)| [chosen(0, format!("{actor_type}/{key}")), chosen(1, prefix(actor_type, key))];
    names.flat_map(forms).chain([15, 16, 17].map(|bytes| chosen(2, vec![7; bytes]))).collect()
}

/// What an actor's prefix would be, whether there can be such an actor or not.
fn prefix(actor_type: &str, key: &str) -> Vec<u8> {
    let lengths = [&[actor_type.len() as u8][..], &(key.len() as u16).to_be_bytes()];
    [lengths[0], actor_type.as_bytes(), lengths[1], key.as_bytes()].concat()
}

/// Actors whose keys are just too short, just short enough and just too long: only a value of the type can be made so.
pub(crate) fn with_keys_around_the_limit() -> [ActorId; 3] {
    around(MAX_KEY_BYTES).map(|key| ActorId { key: key.into(), ..actor("A/a") })
}

/// The actor of this name.
pub(crate) fn actor(id: &str) -> ActorId {
    id.parse().expect("the name is written here and valid")
}
