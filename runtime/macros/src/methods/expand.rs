//! Writes the wire interface: a [`Method`] type per method, the table, and the methods of the reference.
//!
//! All of it stands in one `const _` block: its names are seen by nobody else, while the user's own names mean there
//! what they mean in the `impl` block.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Ident, Path, Type};

use super::hooks::Hook;
use super::{Actor, Method};

pub(super) fn expand(actor: &Actor, methods: &[Method], hooks: &[Hook]) -> TokenStream {
    let private = &actor.root.private();
    let hooks: Vec<_> =
        hooks.iter().map(|hook| (hook, Expansion::new(actor, private, &hook.method, 0))).collect();
    let methods: Vec<_> = methods
        .iter()
        .enumerate()
        .map(|(index, method)| Expansion::new(actor, private, method, index))
        .collect();
    let with_hooks = || methods.iter().chain(hooks.iter().map(|(_, expansion)| expansion));
    let types = with_hooks().map(Expansion::types);
    let impls = with_hooks().map(Expansion::method_impl);
    let registrations = hooks.iter().map(|(hook, expansion)| hook.registration(&expansion.method_type()));
    let hooks = (!hooks.is_empty()).then(|| {
        quote! {
            fn hooks() -> #private::Hooks<Self> {
                let hooks = #private::Hooks::NONE;
                #(#registrations)*
                hooks
            }
        }
    });
    let entries = methods.iter().map(Expansion::entry);
    let calls = methods.iter().map(Expansion::reference_method);
    let Actor { path, reference, .. } = actor;
    quote! {
        const _: () = {
            #(#types)*
            #(#impls)*

            #[automatically_derived]
            impl #private::ActorMethods for #path {
                fn methods() -> ::std::vec::Vec<#private::MethodEntry<Self>> {
                    ::std::vec::Vec::from([#(#entries),*])
                }
                #hooks
            }

            // Some methods are only called by their wire name; and what there is to say about visibility, the compiler
            // says at the function itself.
            #[allow(dead_code, unreachable_pub)]
            impl #reference {
                #(#calls)*
            }
        };
    }
}

/// What is made for one method.
struct Expansion<'a> {
    actor: &'a Path,
    private: &'a TokenStream,
    method: &'a Method,
    /// Its place in the block.
    index: usize,
    /// The name of the type that implements `Method`.
    method_type: Ident,
    /// The name of the struct of its arguments.
    arguments_type: Ident,
}

impl<'a> Expansion<'a> {
    fn new(actor: &'a Actor, private: &'a TokenStream, method: &'a Method, index: usize) -> Self {
        Self {
            actor: &actor.path,
            private,
            method,
            index,
            method_type: format_ident!("__method_{}", method.ident),
            arguments_type: format_ident!("__arguments_{}", method.ident),
        }
    }

    /// Both types are generic: the method type over the actor, the arguments over their types. So they are never more
    /// visible than what they are made of (a `pub` method of a private struct would otherwise be an error), and an
    /// argument without serde's traits is reported where it stands, not from within serde's derives.
    fn types(&self) -> TokenStream {
        let Self { actor, private, method, method_type, arguments_type, .. } = self;
        let Method { vis, cfgs, arguments, .. } = method;
        let serde = quote!(#private::serde);
        let serde_path = serde.to_string().replace(' ', "");
        let names = arguments.iter().map(|argument| &argument.ident);
        let types: Vec<_> = (0..arguments.len()).map(|position| format_ident!("T{position}")).collect();
        quote! {
            #(#cfgs)*
            #[doc(hidden)]
            #[allow(dead_code, non_camel_case_types, unreachable_pub)]
            #vis struct #method_type<A = #actor>(::core::marker::PhantomData<fn() -> A>);

            #(#cfgs)*
            #[doc(hidden)]
            #[allow(non_camel_case_types, unreachable_pub)]
            #[derive(#serde::Serialize, #serde::Deserialize)]
            #[serde(crate = #serde_path)]
            #vis struct #arguments_type<#(#types),*> {
                #(#names: #types,)*
            }
        }
    }

    fn method_impl(&self) -> TokenStream {
        let Self { actor, private, method, method_type, arguments_type, .. } = self;
        let cfgs = &method.cfgs;
        let access = if method.exclusive { quote!(Exclusive) } else { quote!(Concurrent) };
        let types = method.arguments.iter().map(|argument| self.in_terms_of_actor(&argument.ty));
        let arguments = quote_spanned!(self.span()=> #arguments_type<#(#types),*>);
        let (reply, error) = self.reply_and_error();
        let wire_name = &method.wire_name;
        let (takes_cx, immediate, index) = (method.takes_cx, method.immediate, self.index);
        let names = method.arguments.iter().map(|argument| argument.ident.unraw().to_string());
        let reentrant = method.reentrant.then(|| {
            quote!(
                const REENTRANT: bool = true;
            )
        });
        let run = self.run();
        let promise = method.promise.map(|promise| promise.expand(private));
        let says_other =
            promise.as_ref().map(|promise| quote!(const DURABILITY: #private::Durability = #promise;));
        let check = promise.as_ref().map(|promise| {
            quote_spanned! {self.span()=>
                #(#cfgs)*
                const _: () = ::core::assert!(
                    <#actor as #private::Actor>::OPTIONS.durability.allows(#promise),
                    "the methods of a type that is never stored are volatile: make the type durable, and volatile \
                     those methods that may be"
                );
            }
        });
        quote! {
            #check
            #(#cfgs)*
            #[automatically_derived]
            impl #private::Method for #method_type<#actor> {
                type Actor = #actor;
                type Access = #private::#access;
                type Arguments = #arguments;
                type Reply = #reply;
                type Error = #error;
                const NAME: &'static str = #wire_name;
                const ARGUMENTS: &'static [&'static str] = &[#(#names),*];
                const TAKES_CX: bool = #takes_cx;
                const IMMEDIATE: bool = #immediate;
                const INDEX: usize = #index;
                #reentrant
                #says_other

                #[allow(unused_variables, deprecated)]
                #run
            }
        }
    }

    fn reply_and_error(&self) -> (TokenStream, TokenStream) {
        let private = self.private;
        let output = &self.method.output;
        let error = output.error.as_ref().map(|error| self.in_terms_of_actor(error));
        (self.in_terms_of_actor(&output.reply), error.unwrap_or_else(|| quote!(#private::AppError)))
    }

    /// The function that calls the user's function.
    fn run(&self) -> TokenStream {
        let Self { actor, private, method, .. } = self;
        let function = &method.ident;
        let span = self.span();
        let state = match method.exclusive {
            true => quote_spanned!(span=> &'a mut #actor),
            false => quote_spanned!(span=> &'a #actor),
        };
        let cx = method.takes_cx.then(|| quote!(cx,));
        let names = method.arguments.iter().map(|argument| &argument.ident);
        let awaited = method.is_async.then(|| quote_spanned!(span=> .await));
        let call = quote_spanned!(span=> <#actor>::#function(state, #cx #(arguments.#names),*)#awaited);
        let outcome = if method.output.fallible {
            call
        } else {
            quote_spanned!(span=> ::core::result::Result::Ok(#call))
        };
        quote_spanned! {span=>
            async fn run<'a>(
                state: #state,
                cx: &'a #private::Cx,
                arguments: Self::Arguments,
            ) -> ::core::result::Result<Self::Reply, Self::Error> {
                #outcome
            }
        }
    }

    /// For what the compiler may have to complain about (a future that is not `Send`, an argument without serde's
    /// traits): it then does so at the function's name. The macro's own names are meant by it nevertheless, also if
    /// the function comes from a `macro_rules!`, whose names are other names.
    fn span(&self) -> Span {
        Span::call_site().located_at(self.method.ident.span())
    }

    /// The type that implements `Method`, within `impl … for` the actor.
    fn method_type(&self) -> TokenStream {
        let method_type = &self.method_type;
        quote!(#method_type<Self>)
    }

    fn entry(&self) -> TokenStream {
        let Self { private, method_type, method, .. } = self;
        let cfgs = &method.cfgs;
        let topic = method.topic.as_ref().map(|pattern| quote!(.on_topic(#pattern)));
        quote!(#(#cfgs)* #private::MethodEntry::<Self>::of::<#method_type<Self>>() #topic)
    }

    fn reference_method(&self) -> TokenStream {
        let Self { actor, private, method, method_type, arguments_type, .. } = self;
        let Method { ident, vis, docs, cfgs, .. } = method;
        let default_doc = docs.is_empty().then(|| {
            let doc = format!("Calls the method `{}` of the actor.", method.wire_name);
            quote!(#[doc = #doc])
        });
        let names: Vec<_> = method.arguments.iter().map(|argument| &argument.ident).collect();
        let types = method.arguments.iter().map(|argument| self.in_terms_of_actor(&argument.ty));
        let (returned, made) = match method.output.streams {
            false => (quote!(Call), quote!(call)),
            true => (quote!(StreamCall), quote!(#private::StreamCall::new(call))),
        };
        quote! {
            #default_doc
            #(#docs)*
            #(#cfgs)*
            #[inline]
            #vis fn #ident(&self, #(#names: #types),*) -> #private::#returned<#method_type<#actor>> {
                let actor: &#private::ActorRef<#actor> = ::core::convert::AsRef::as_ref(self);
                let call = actor.call::<#method_type<#actor>>(#arguments_type { #(#names),* });
                #made
            }
        }
    }

    /// A type as it is called outside of the `impl` block, where `Self` would be something else.
    fn in_terms_of_actor(&self, ty: &Type) -> TokenStream {
        replace_self(ty.to_token_stream(), self.actor)
    }
}

fn replace_self(tokens: TokenStream, actor: &Path) -> TokenStream {
    let replace = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => actor.to_token_stream(),
        TokenTree::Group(group) => {
            let mut replaced = Group::new(group.delimiter(), replace_self(group.stream(), actor));
            replaced.set_span(group.span());
            TokenTree::Group(replaced).into()
        }
        other => other.into(),
    };
    tokens.into_iter().map(replace).collect::<Vec<TokenStream>>().into_iter().collect()
}
