//! From a block and its functions to [`Actor`] and [`Method`]s.

use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::{
    FnArg, GenericArgument, GenericParam, Ident, ImplItemFn, ItemImpl, Pat, PatType, PathArguments, Receiver,
    ReturnType, Type, parse_quote,
};

use super::{Actor, Argument, Method, Output, check, immediate, topic};
use crate::attr::{MethodAttr, Root};
use crate::errors::Errors;
use crate::names;

/// The actor that a block is about; `None` after an error about the block as a whole.
pub(super) fn actor(root: Root, block: &ItemImpl, errors: &mut Errors) -> Option<Actor> {
    let before = errors.count();
    if let Some((_, of_trait, _)) = &block.trait_ {
        errors.at(
            of_trait,
            "the methods of a trait are not on the wire: put `#[actor_methods]` on the actor's own `impl` block",
        );
    }
    let path = match ungrouped(&block.self_ty) {
        Type::Path(ty) if ty.qself.is_none() => ty.path.clone(),
        other => {
            errors.at(other, "`#[actor_methods]` needs the name of a type that derives `Actor`");
            return None;
        }
    };
    let mut reference = path.clone();
    let last = reference.segments.last_mut()?;
    if !block.generics.params.is_empty() || !last.arguments.is_none() {
        errors
            .at(&block.self_ty, "an actor type cannot be generic: its name on the wire stands for one type");
    }
    last.ident = format_ident!("{}Ref", last.ident.unraw(), span = last.ident.span());
    (errors.count() == before).then_some(Actor { root, path, reference })
}

/// The method that a function is; `None` if it is a plain associated function, or wrong.
pub(super) fn method(attr: MethodAttr, function: &ImplItemFn, errors: &mut Errors) -> Option<Method> {
    let before = errors.count();
    let signature = &function.sig;
    let Some(receiver) = signature.receiver() else {
        check_is_no_method(&attr, function, errors);
        return None;
    };
    let exclusive = exclusive(receiver, errors);
    if let Some((_, at)) = attr.promise.as_ref().filter(|_| !exclusive) {
        errors.at(at, "a `&self` method changes nothing, so there is nothing to promise: drop this");
    }
    check_generics(function, errors);
    let wire_name = wire_name(&attr, &signature.ident, errors);
    let (takes_cx, arguments) = arguments(function, errors);
    let output = output(&signature.output, errors);
    let topic = attr.topic.as_ref().and_then(|topic| topic::listens(topic, &arguments, &output, errors));
    let keep = |names: &[&str]| {
        let kept = function.attrs.iter().filter(|a| names.iter().any(|name| a.path().is_ident(name)));
        kept.cloned().collect()
    };
    (errors.count() == before).then(|| Method {
        ident: signature.ident.clone(),
        vis: function.vis.clone(),
        docs: keep(&["doc", "deprecated"]),
        cfgs: keep(&["cfg"]),
        wire_name,
        topic,
        exclusive,
        promise: attr.promise.map(|(promise, _)| promise),
        is_async: signature.asyncness.is_some(),
        immediate: immediate::is_immediate(function),
        takes_cx,
        reentrant: attr.reentrant,
        arguments,
        output,
    })
}

/// A plain function may stand in the block, but what was meant as a method should not silently be none.
fn check_is_no_method(attr: &MethodAttr, function: &ImplItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    let takes_cx = signature.inputs.iter().any(|input| matches!(input, FnArg::Typed(a) if is_lent_cx(&a.ty)));
    if signature.asyncness.is_some() || takes_cx || attr.name.is_some() || attr.promise.is_some() {
        errors.at(
            &signature.ident,
            "this looks like a method but takes no actor: add `&mut self` (it changes the state) or `&self` \
             (it reads it), or mark it `#[method(skip)]`",
        );
    }
}

/// True for `&mut self`, false for `&self`.
fn exclusive(receiver: &Receiver, errors: &mut Errors) -> bool {
    match &*receiver.ty {
        Type::Reference(reference) if is_self(&reference.elem) => reference.mutability.is_some(),
        _ => {
            errors.at(
                receiver,
                "a method borrows its actor: take `&mut self` to change the state or `&self` to read it \
                 (a helper that is not called from outside: `#[method(skip)]`)",
            );
            false
        }
    }
}

fn check_generics(function: &ImplItemFn, errors: &mut Errors) {
    for parameter in &function.sig.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            errors.at(
                parameter,
                "a method has one form on the wire, so it cannot be generic: write the types out \
                 (a helper that is not called from outside: `#[method(skip)]`)",
            );
        }
    }
}

fn wire_name(attr: &MethodAttr, ident: &Ident, errors: &mut Errors) -> String {
    let (name, at) = match &attr.name {
        Some(given) => (given.value(), given.to_token_stream()),
        None => (ident.unraw().to_string(), ident.to_token_stream()),
    };
    names::check_method(&name, at, errors);
    name
}

/// Whether there is a `cx: &Cx`, and the arguments after it.
fn arguments(function: &ImplItemFn, errors: &mut Errors) -> (bool, Vec<Argument>) {
    let mut takes_cx = false;
    let mut arguments = Vec::new();
    let typed = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    for (position, input) in typed.enumerate() {
        if names_cx(&input.ty) {
            check_cx(input, position, takes_cx, errors);
            takes_cx = true;
        } else {
            arguments.extend(argument(input, errors));
        }
    }
    (takes_cx, arguments)
}

fn check_cx(input: &PatType, position: usize, is_second: bool, errors: &mut Errors) {
    if is_second {
        errors.at(input, "a turn has one context: take `cx: &Cx` once");
    } else if !is_lent_cx(&input.ty) {
        errors.at(&input.ty, "the context is lent to the turn: take `cx: &Cx`");
    } else if position > 0 {
        errors.at(input, "the context stands before the arguments: `(&self, cx: &Cx, …)`");
    }
}

fn argument(input: &PatType, errors: &mut Errors) -> Option<Argument> {
    check::argument_is_owned(&input.ty, errors);
    check::argument_is_no_stream(&input.ty, errors);
    match &*input.pat {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
            Some(Argument { ident: name.ident.clone(), ty: (*input.ty).clone() })
        }
        other => {
            errors.at(
                other,
                "an argument's name is part of the wire interface: give it a plain name and take it apart in the body",
            );
            None
        }
    }
}

pub(crate) fn output(output: &ReturnType, errors: &mut Errors) -> Output {
    let ReturnType::Type(_, ty) = output else {
        return Output { reply: parse_quote!(()), error: None, fallible: false, streams: false };
    };
    check::reply_is_owned(ty, errors);
    let Some(result) = last_segment(ty).filter(|segment| segment.ident == "Result") else {
        let streams = streams(ty, errors);
        return Output { reply: (**ty).clone(), error: None, fallible: false, streams };
    };
    let mut types = match &result.arguments {
        PathArguments::AngleBracketed(list) => list.args.iter().filter_map(as_type).cloned().collect(),
        _ => Vec::new(),
    };
    if !(1..=2).contains(&types.len()) {
        errors.at(ty, "what it returns must be readable here: write `Result<T>` or `Result<T, E>`");
    }
    let error = if types.len() == 2 { types.pop() } else { None };
    let reply = types.pop().unwrap_or_else(|| parse_quote!(()));
    let streams = streams(&reply, errors);
    Output { reply, error, fallible: true, streams }
}

/// Whether a reply is a stream.
fn streams(reply: &Type, errors: &mut Errors) -> bool {
    check::stream_is_the_reply(reply, errors);
    last_segment(reply).is_some_and(|segment| segment.ident == check::ITEMS)
}

fn as_type(argument: &GenericArgument) -> Option<&Type> {
    match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

/// `Cx`, `&Cx`, `&mut greenroom::Cx`: whatever is meant as the context.
fn names_cx(ty: &Type) -> bool {
    match ungrouped(ty) {
        Type::Reference(reference) => names_cx(&reference.elem),
        other => last_segment(other).is_some_and(|segment| segment.ident == "Cx"),
    }
}

fn is_lent_cx(ty: &Type) -> bool {
    match ungrouped(ty) {
        Type::Reference(lent) => {
            lent.mutability.is_none() && last_segment(&lent.elem).is_some_and(|s| s.ident == "Cx")
        }
        _ => false,
    }
}

fn is_self(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("Self"))
}

pub(crate) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ungrouped(ty) {
        Type::Path(ty) => ty.path.segments.last(),
        _ => None,
    }
}

/// A type that came through a `macro_rules!` stands in an invisible group.
fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}
