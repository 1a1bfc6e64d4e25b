//! The rules that need more than one look: owned types, distinct wire names.

use syn::{GenericArgument, PathArguments, Type};

use super::Method;
use crate::errors::Errors;

pub(crate) fn argument_is_owned(ty: &Type, errors: &mut Errors) {
    if !is_owned(ty) {
        errors.at(
            ty,
            "arguments travel between nodes: take owned values, e.g. String instead of &str \
             (a helper that is not called from outside: `#[method(skip)]`)",
        );
    }
}

pub(super) fn reply_is_owned(ty: &Type, errors: &mut Errors) {
    if !is_owned(ty) {
        errors.at(
            ty,
            "replies travel between nodes: return owned values, e.g. String instead of &str \
             (a helper that is not called from outside: `#[method(skip)]`)",
        );
    }
}

/// What a method returns that answers with a stream.
pub(super) const ITEMS: &str = "Items";
/// What its caller gets.
const REPLY_STREAM: &str = "ReplyStream";

pub(super) fn stream_is_the_reply(reply: &Type, errors: &mut Errors) {
    if names(reply, REPLY_STREAM) {
        errors.at(
            reply,
            "a `ReplyStream` is what the caller gets: return `Items<T>`, made by `cx.items(…)` or a `Feed`",
        );
    } else if types_inside(reply).into_iter().any(|inner| names(inner, ITEMS)) {
        errors.at(reply, "a stream is a reply of its own: return `Items<T>` or `Result<Items<T>, E>`");
    }
}

pub(super) fn argument_is_no_stream(ty: &Type, errors: &mut Errors) {
    if names(ty, ITEMS) || names(ty, REPLY_STREAM) {
        errors.at(
            ty,
            "a stream cannot be passed on: pass the key of the actor, and ask that actor for the stream",
        );
    }
}

/// Whether a type of this name occurs in the type.
fn names(ty: &Type, name: &str) -> bool {
    let itself =
        matches!(ty, Type::Path(ty) if ty.path.segments.last().is_some_and(|last| last.ident == name));
    itself || types_inside(ty).into_iter().any(|inner| names(inner, name))
}

/// The types that stand inside of a type: its generic arguments, the parts of a tuple.
fn types_inside(ty: &Type) -> Vec<&Type> {
    match ty {
        Type::Tuple(tuple) => tuple.elems.iter().collect(),
        Type::Path(ty) => {
            let lists = ty.path.segments.iter().filter_map(|segment| match &segment.arguments {
                PathArguments::AngleBracketed(list) => Some(list.args.iter()),
                _ => None,
            });
            let types = lists.flatten().filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            types.collect()
        }
        _ => Vec::new(),
    }
}

/// False if the type borrows or is not named in full, as far as its spelling tells.
fn is_owned(ty: &Type) -> bool {
    match ty {
        Type::Reference(_) | Type::Ptr(_) | Type::ImplTrait(_) | Type::TraitObject(_) => false,
        Type::Path(ty) => ty.path.segments.iter().all(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(list) => list.args.iter().all(argument_owns),
            _ => true,
        }),
        Type::Tuple(tuple) => tuple.elems.iter().all(is_owned),
        Type::Array(array) => is_owned(&array.elem),
        Type::Slice(slice) => is_owned(&slice.elem),
        Type::Group(group) => is_owned(&group.elem),
        Type::Paren(paren) => is_owned(&paren.elem),
        _ => true,
    }
}

fn argument_owns(argument: &GenericArgument) -> bool {
    match argument {
        GenericArgument::Type(ty) => is_owned(ty),
        GenericArgument::Lifetime(lifetime) => lifetime.ident == "static",
        _ => true,
    }
}

/// Leaves the first method of each wire name.
///
/// Two functions of one name are the compiler's to report, and two that `#[cfg]` chooses from are no mistake.
pub(super) fn drop_duplicates(methods: &mut Vec<Method>, errors: &mut Errors) {
    let mut kept: Vec<Method> = Vec::with_capacity(methods.len());
    for method in methods.drain(..) {
        let same = |other: &&Method| other.wire_name == method.wire_name && other.cfgs.is_empty();
        match kept.iter().find(same).filter(|_| method.cfgs.is_empty()) {
            None => kept.push(method),
            Some(first) if first.ident == method.ident => {}
            Some(first) => errors.at(
                &method.ident,
                format!(
                    "the method `{}` already has the wire name {:?}: give each method its own with \
                     `#[method(name = \"…\")]`",
                    first.ident, method.wire_name
                ),
            ),
        }
    }
    *methods = kept;
}
