//! `#[on_activate]` and `#[on_deactivate]`: functions of the block that the runtime calls, and nobody else.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, ImplItemFn};

use super::{Method, parse};
use crate::attr::MethodAttr;
use crate::errors::Errors;

/// When the runtime calls a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Activate,
    Deactivate,
}

impl Moment {
    const ALL: [Self; 2] = [Self::Activate, Self::Deactivate];

    /// The name of its attribute.
    fn attribute(self) -> &'static str {
        match self {
            Self::Activate => "on_activate",
            Self::Deactivate => "on_deactivate",
        }
    }
}

/// A function that the runtime calls.
pub(super) struct Hook {
    pub(super) moment: Moment,
    pub(super) method: Method,
}

impl Hook {
    /// How it is handed to the runtime, given the type that implements `Method` for it.
    pub(super) fn registration(&self, method_type: &TokenStream) -> TokenStream {
        let cfgs = &self.method.cfgs;
        let moment = format_ident!("{}", self.moment.attribute());
        quote!(#(#cfgs)* let hooks = hooks.#moment::<#method_type>();)
    }
}

/// Reads the attribute and takes it away: it means nothing to the compiler.
pub(super) fn take(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> Option<Moment> {
    let mut moment = None;
    for candidate in Moment::ALL {
        let name = candidate.attribute();
        for attribute in attributes.extract_if(.., |a| a.path().is_ident(name)) {
            if attribute.meta.require_path_only().is_err() {
                errors.at(&attribute, format!("`#[{name}]` takes no options"));
            } else if moment.is_some() {
                errors.at(
                    &attribute,
                    "a function is called at one moment: give each hook a function of its own",
                );
            }
            moment.get_or_insert(candidate);
        }
    }
    moment
}

/// The hook that a function is; `None` if it is wrong.
pub(super) fn hook(
    moment: Moment,
    attr: &MethodAttr,
    function: &ImplItemFn,
    errors: &mut Errors,
) -> Option<Hook> {
    let name = moment.attribute();
    if attr.skip || attr.reentrant || attr.name.is_some() || attr.topic.is_some() || attr.promise.is_some() {
        errors.at(
            &function.sig.ident,
            format!("`#[{name}]` is not on the wire, so `#[method]` has nothing to say about it: drop it"),
        );
        return None;
    }
    let method = parse::method(MethodAttr::default(), function, errors)?;
    let output = &method.output;
    let returns_nothing =
        output.error.is_none() && matches!(&output.reply, syn::Type::Tuple(tuple) if tuple.elems.is_empty());
    if !method.exclusive || !method.arguments.is_empty() || !returns_nothing {
        errors.at(
            &function.sig.ident,
            format!(
                "the runtime calls `#[{name}]` with the context and nothing else: write \
                 `async fn {}(&mut self, cx: &Cx) -> Result<()>`",
                method.ident
            ),
        );
        return None;
    }
    Some(Hook { moment, method })
}

/// Leaves the first hook of each moment. Two that `#[cfg]` chooses from are no mistake.
pub(super) fn drop_duplicates(hooks: &mut Vec<Hook>, errors: &mut Errors) {
    let mut seen = Vec::new();
    hooks.retain(|hook| {
        let first = !hook.method.cfgs.is_empty() || !seen.contains(&hook.moment);
        if !first {
            let name = hook.moment.attribute();
            errors.at(&hook.method.ident, format!("there is another `#[{name}]`: an actor type has one"));
        }
        seen.push(hook.moment);
        first
    });
}
