//! What may be a name on the wire. The rule for types is `ActorType`'s in greenroom-core, checked here so that a wrong
//! name is a compile error.

use crate::errors::Errors;
use quote::ToTokens;

const MAX_BYTES: usize = 64;

/// Checks an actor type's name: `[A-Za-z][A-Za-z0-9_.]{0,63}`.
pub(crate) fn check_type(name: &str, at: impl ToTokens, errors: &mut Errors) {
    if !is_name(name, |first| first.is_ascii_alphabetic()) {
        errors.at(
            at,
            format!(
                "{name:?} is no valid actor type: use 1 to {MAX_BYTES} of A-Z a-z 0-9 _ and '.', beginning with \
                 a letter; `#[actor(name = \"…\")]` gives the type another name than the struct's"
            ),
        );
    }
}

/// Checks a method's wire name: as a type's, but it may begin with `_`, as a function's name may.
pub(crate) fn check_method(name: &str, at: impl ToTokens, errors: &mut Errors) {
    if !is_name(name, |first| first.is_ascii_alphabetic() || first == b'_') {
        errors.at(
            at,
            format!(
                "{name:?} is no valid method name: use 1 to {MAX_BYTES} of A-Z a-z 0-9 _ and '.', beginning with \
                 a letter or _; `#[method(name = \"…\")]` gives a method another name than the function's"
            ),
        );
    }
}

fn is_name(name: &str, is_first: impl Fn(u8) -> bool) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MAX_BYTES
        && bytes.next().is_some_and(is_first)
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_is_valid(name: &str) -> bool {
        let mut errors = Errors::default();
        check_type(name, quote::quote!(), &mut errors);
        errors.count() == 0
    }

    #[test]
    fn type_names_at_the_borders_of_the_rule_are_judged_like_core_does() {
        let (longest, too_long) = ("a".repeat(MAX_BYTES), "a".repeat(MAX_BYTES + 1));
        for name in
            ["C", "Counter", "shop.Cart_2", &longest, "", "_C", "2C", "Zähler", "a-b", "a/b", &too_long]
        {
            assert_eq!(type_is_valid(name), greenroom_core::ActorType::new(name).is_ok(), "{name:?}");
        }
    }
}
