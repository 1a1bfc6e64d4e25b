//! `#[workflow]`: a type beside the function, of the same name, that implements `Workflow`.
//!
//! Types and functions have names of their own in Rust, so both can be called `transfer`; whoever imports one imports both.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{FnArg, ItemFn, Type, parse_quote};

use crate::attr::WorkflowAttr;
use crate::errors::Errors;
use crate::methods::{check, parse};
use crate::names;

pub(crate) fn attribute(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let attr = WorkflowAttr::parse(arguments, &mut errors);
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            errors.at(&item, "`#[workflow]` goes on an async function");
            let errors = errors.into_compile_errors();
            return quote!(#errors #item);
        }
    };
    let expanded = expand(&attr, &function, &mut errors);
    let errors = errors.into_compile_errors();
    quote!(#errors #function #expanded)
}

/// The type and its trait; nothing after an error in the function's head.
fn expand(attr: &WorkflowAttr, function: &ItemFn, errors: &mut Errors) -> Option<TokenStream> {
    let before = errors.count();
    let (ident, vis) = (&function.sig.ident, &function.vis);
    let name = match &attr.name {
        Some(given) => {
            names::check_type(&given.value(), given, errors);
            given.value()
        }
        None => {
            let name = ident.unraw().to_string();
            names::check_type(&name, ident, errors);
            name
        }
    };
    check_head(function, errors);
    let input = input(function, errors);
    let output = parse::output(&function.sig.output, errors);
    if errors.count() > before {
        return None;
    }
    let private = attr.root.private();
    let (reply, span) = (&output.reply, ident.span());
    let error = output.error.as_ref().map_or_else(|| quote!(#private::AppError), |error| quote!(#error));
    let retention = attr.retention.map(|retention| {
        let milliseconds = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        quote! {
            const RETENTION: ::core::time::Duration = ::core::time::Duration::from_millis(#milliseconds);
        }
    });
    let passed = input.as_ref().map(|_| quote!(, input));
    let input = input.unwrap_or_else(|| parse_quote!(()));
    let call = quote_spanned!(span=> #ident(flow #passed));
    let result = if output.fallible {
        quote!(#call)
    } else {
        quote!(async move { ::core::result::Result::Ok(#call.await) })
    };
    let doc = format!("The workflow [`{ident}`](fn@{ident}): by this type it is registered and started.");
    Some(quote_spanned! {span=>
        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #vis enum #ident {}

        #[automatically_derived]
        impl #private::Workflow for #ident {
            const NAME: &'static str = #name;
            #retention
            type Input = #input;
            type Output = #reply;
            type Error = #error;

            fn run(
                flow: #private::Flow,
                #[allow(unused_variables)] input: Self::Input,
            ) -> impl ::core::future::Future<Output = ::core::result::Result<Self::Output, Self::Error>>
            + ::core::marker::Send
            + 'static {
                #result
            }
        }
    })
}

fn check_head(function: &ItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        errors.at(signature.fn_token, "a workflow waits for its steps: make it an `async fn`");
    }
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            "a workflow cannot be generic: its name in the store stands for one function",
        );
    }
}

/// The type of the input, if there is one.
fn input(function: &ItemFn, errors: &mut Errors) -> Option<Type> {
    let signature = &function.sig;
    let mut inputs = signature.inputs.iter();
    let takes_flow = match inputs.next() {
        Some(FnArg::Typed(first)) => parse::last_segment(&first.ty).is_some_and(|last| last.ident == "Flow"),
        _ => false,
    };
    if !takes_flow {
        errors.at(&signature.ident, "a workflow does its work through its flow: take `flow: Flow` first");
        return None;
    }
    let input = match inputs.next() {
        Some(FnArg::Typed(input)) => {
            check::argument_is_owned(&input.ty, errors);
            Some((*input.ty).clone())
        }
        _ => None,
    };
    if let Some(more) = inputs.next() {
        errors.at(more, "a workflow has one input: put what it needs into a struct");
    }
    input
}
