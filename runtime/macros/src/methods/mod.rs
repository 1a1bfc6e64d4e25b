//! `#[actor_methods]`, in three steps: [`parse`] reads the block, [`check`] judges argument and reply types,
//! [`expand`] writes the wire interface.
//!
//! A method with a mistake is reported and left out; the block itself and all other methods are there as if nothing
//! had happened, so that one mistake is one error.

pub(crate) mod check;
mod expand;
mod hooks;
mod immediate;
pub(crate) mod parse;
mod topic;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Ident, ImplItem, ItemImpl, Path, Type, Visibility};

use crate::attr::{self, MethodAttr, Promise, Root};
use crate::errors::Errors;

/// The actor of a block.
struct Actor {
    root: Root,
    /// The path by which the block names the type.
    path: Path,
    /// The path of the reference type, which `#[derive(Actor)]` put beside the type.
    reference: Path,
}

/// One method of the wire interface.
struct Method {
    ident: Ident,
    vis: Visibility,
    /// `#[doc]` and `#[deprecated]`, which the reference's method repeats.
    docs: Vec<Attribute>,
    /// `#[cfg]`, which everything made for the method repeats.
    cfgs: Vec<Attribute>,
    wire_name: String,
    /// The pattern of the topics that it listens to.
    topic: Option<String>,
    exclusive: bool,
    /// If it says another one than its type.
    promise: Option<Promise>,
    is_async: bool,
    /// It cannot wait for anything.
    immediate: bool,
    takes_cx: bool,
    reentrant: bool,
    arguments: Vec<Argument>,
    output: Output,
}

struct Argument {
    ident: Ident,
    ty: Type,
}

pub(crate) struct Output {
    pub(crate) reply: Type,
    /// `None`: the default error.
    pub(crate) error: Option<Type>,
    /// True for `Result<T>` and `Result<T, E>`, false for a method that cannot fail.
    pub(crate) fallible: bool,
    /// True for `Items<T>`: a stream.
    streams: bool,
}

pub(crate) fn attribute(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let root = attr::parse_block(arguments, &mut errors);
    let mut block: ItemImpl = match syn::parse2(item.clone()) {
        Ok(block) => block,
        Err(error) => {
            errors.add(not_an_impl_block(&item, error));
            let errors = errors.into_compile_errors();
            return quote!(#errors #item);
        }
    };
    let expanded = wire_interface(root, &mut block, &mut errors);
    let errors = errors.into_compile_errors();
    quote!(#errors #block #expanded)
}

/// An error inside of a block is syn's own; on anything else the attribute stands in the wrong place.
fn not_an_impl_block(item: &TokenStream, error: syn::Error) -> syn::Error {
    match syn::parse2::<syn::Item>(item.clone()) {
        Ok(item) => syn::Error::new_spanned(
            item,
            "`#[actor_methods]` goes on the `impl` block with the actor's methods",
        ),
        Err(_) => error,
    }
}

/// Everything that the macro adds to the block; takes the `#[method]` attributes away from the block.
fn wire_interface(root: Root, block: &mut ItemImpl, errors: &mut Errors) -> TokenStream {
    let actor = parse::actor(root, block, errors);
    let (mut methods, mut hooks) = (Vec::new(), Vec::new());
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            let attr = MethodAttr::take(&mut function.attrs, errors);
            match hooks::take(&mut function.attrs, errors) {
                _ if actor.is_none() => {}
                Some(moment) => hooks.extend(hooks::hook(moment, &attr, function, errors)),
                None if attr.skip => {}
                None => methods.extend(parse::method(attr, function, errors)),
            }
        }
    }
    check::drop_duplicates(&mut methods, errors);
    hooks::drop_duplicates(&mut hooks, errors);
    actor.map_or_else(TokenStream::new, |actor| expand::expand(&actor, &methods, &hooks))
}
