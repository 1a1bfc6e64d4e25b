//! The rules that need more than one look: owned types, distinct wire names.

use syn::{GenericArgument, PathArguments, Type};

use super::Method;
use crate::errors::Errors;

pub(super) fn argument_is_owned(ty: &Type, errors: &mut Errors) {
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
