//! Identities: what is taken for one keeps the limits, and survives every form that it has.

use greenroom_core::rows::{actor_prefix, split_actor_prefix};
use greenroom_core::{ActorId, CallId};

use crate::{choice, chosen};

/// As a text, as the beginning of a row's key, and as the bytes of a call's id.
pub fn check(input: &[u8]) {
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
    assert!((1..=64).contains(&id.actor_type.as_str().len()), "{id:?}");
    assert!((1..=512).contains(&id.key.len()), "{id:?}");
    assert_eq!(id.to_string().parse().as_ref(), Ok(id));
    let prefix = actor_prefix(id).freeze();
    assert_eq!(split_actor_prefix(&prefix), Some((id.clone(), &b""[..])));
}

/// Ordinary ones, and some with letters that are not.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = ["Counter/page-1", "A.b_C/ü/ü", "greenroom.Index/\u{0}"];
    let prefixes = texts.map(|text| actor_prefix(&actor(text)));
    let texts = texts.map(|text| chosen(0, text));
    texts.into_iter().chain(prefixes.map(|prefix| chosen(1, prefix))).chain([chosen(2, [7; 16])]).collect()
}

/// The actor of this name.
pub(crate) fn actor(id: &str) -> ActorId {
    id.parse().expect("the name is written here and valid")
}
