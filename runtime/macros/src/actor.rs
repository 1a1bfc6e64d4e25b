//! `#[derive(Actor)]`: the trait and the typed reference.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Ident, Member, Path};

use crate::attr::{self, ActorAttr, Promise};
use crate::errors::Errors;
use crate::{index, names};

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let attr = ActorAttr::parse(&input.attrs, &mut errors);
    let name = type_name(input, &attr, &mut errors);
    let fits = check_kind(input, &mut errors);
    // The trait and the reference come even with a wrong attribute: their absence would be an error at every use. What
    // only makes turns faster does not.
    let copied = if errors.count() == 0 { copied(input, &attr.root.private()) } else { TokenStream::new() };
    let state = [
        version(&attr),
        copied,
        index::expand(input, attr.volatile || attr.stateless, &attr.root.private(), &mut errors),
    ];
    let expanded = fits.then(|| expand(input, &attr, &name, &state));
    let errors = errors.into_compile_errors();
    quote!(#errors #expanded)
}

fn type_name(input: &DeriveInput, attr: &ActorAttr, errors: &mut Errors) -> String {
    match &attr.name {
        Some(given) => {
            names::check_type(&given.value(), given, errors);
            given.value()
        }
        None => {
            let name = input.ident.unraw().to_string();
            names::check_type(&name, &input.ident, errors);
            name
        }
    }
}

fn check_kind(input: &DeriveInput, errors: &mut Errors) -> bool {
    let before = errors.count();
    if !input.generics.params.is_empty() {
        errors
            .at(&input.generics, "an actor type cannot be generic: its name on the wire stands for one type");
    }
    if let Data::Union(data) = &input.data {
        errors.at(data.union_token, "a union cannot be encoded, so it is no state of an actor: use a struct");
    }
    errors.count() == before
}

fn expand(input: &DeriveInput, attr: &ActorAttr, name: &str, state: &[TokenStream]) -> TokenStream {
    let (actor, vis) = (&input.ident, &input.vis);
    let private = attr.root.private();
    let reference = format_ident!("{}Ref", actor.unraw(), span = actor.span());
    let options = options(attr, &private);
    let serde = attr.protobuf.as_ref().map(|at| protobuf_state(actor, at, &private));
    let doc = format!(
        "A reference to the actor [`{actor}`] with a certain key: its methods, called from anywhere. Cheap to clone."
    );
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone)]
        #vis struct #reference(#private::ActorRef<#actor>);

        #[automatically_derived]
        impl ::core::convert::From<#private::ActorRef<#actor>> for #reference {
            #[inline]
            fn from(reference: #private::ActorRef<#actor>) -> Self {
                Self(reference)
            }
        }

        #[automatically_derived]
        impl ::core::convert::AsRef<#private::ActorRef<#actor>> for #reference {
            #[inline]
            fn as_ref(&self) -> &#private::ActorRef<#actor> {
                &self.0
            }
        }

        #[automatically_derived]
        impl #private::Actor for #actor {
            const TYPE: &'static str = #name;
            const OPTIONS: #private::ActorOptions = #options;
            type Ref = #reference;
            #(#state)*
        }

        #serde
    }
}

/// serde's traits for a state that is a protobuf message: `state = "protobuf"`. If it is none, the compiler says so there.
fn protobuf_state(actor: &Ident, at: &Path, private: &TokenStream) -> TokenStream {
    // The same tokens at the same place twice, so that it says so once.
    let state = format_ident!("{}", actor, span = at.span());
    let message = quote_spanned!(at.span()=> <#state as #private::protobuf::MessageState>);
    quote! {
        #[automatically_derived]
        impl #private::serde::Serialize for #actor {
            fn serialize<S: #private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                #message::write(self, serializer)
            }
        }

        #[automatically_derived]
        impl<'de> #private::serde::Deserialize<'de> for #actor {
            fn deserialize<D: #private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                #message::read(deserializer)
            }
        }
    }
}

/// How to copy a state whose fields can all be copied. Not if the type tells serde how it is to be encoded: then what
/// comes of that is the state.
fn copied(input: &DeriveInput, private: &TokenStream) -> TokenStream {
    let Data::Struct(data) = &input.data else { return TokenStream::new() };
    let says_more = |attributes: &[Attribute]| attributes.iter().any(|said| said.path().is_ident("serde"));
    if says_more(&input.attrs) || data.fields.iter().any(|field| says_more(&field.attrs)) {
        return TokenStream::new();
    }
    let fields =
        data.fields.members().map(|field: Member| quote!(#field: #private::Field(&self.#field).copied()?));
    quote! {
        #[allow(unused_imports)]
        fn copied(&self) -> ::core::option::Option<Self> {
            use #private::NotCopied as _;
            ::core::option::Option::Some(Self { #(#fields),* })
        }
    }
}

/// What the type says about the form of its stored state.
fn version(attr: &ActorAttr) -> TokenStream {
    let private = attr.root.private();
    let version = attr.version.map(|version| quote!(const VERSION: u32 = #version;));
    let migrate = attr.migrate.as_ref().map(|migrate| {
        let span = migrate.span();
        quote_spanned! {span=>
            fn migrate_state(
                from: u32,
                old: #private::OldState,
            ) -> ::core::result::Result<Self, #private::AppError> {
                #migrate(from, old)
            }
        }
    });
    quote!(#version #migrate)
}

/// After so many panics in a row an actor is parked, if its type does not say otherwise.
const PARK_AFTER: usize = 3;

fn options(attr: &ActorAttr, private: &TokenStream) -> TokenStream {
    let volatile = (attr.volatile || attr.stateless)
        .then(|| quote!(options.durability = #private::Durability::Volatile;));
    let relaxed = attr.relaxed.filter(|_| !attr.volatile && !attr.stateless).map(|within| {
        let promise = Promise::Relaxed(within).expand(private);
        quote!(options.durability = #promise;)
    });
    let no_rollback = attr.no_rollback.then(|| quote!(options.no_rollback = true;));
    let stateless = attr.stateless.then(|| quote!(options.stateless = true;));
    let local = attr.local.then(|| quote!(options.local = true;));
    let home = match (&attr.pinned, attr.every_shard) {
        (Some(group), _) => Some(quote!(options.home = #private::Home::Group(#group);)),
        (None, true) => Some(quote!(options.home = #private::Home::EveryShard;)),
        (None, false) => None,
    };
    let workers = attr.workers.map(|workers| quote!(options.workers = #workers;));
    let on_panic = attr.on_panic.as_deref().map(|policy| {
        let policy = match policy {
            "backoff" => quote!(Backoff),
            "park" => {
                let after = u32::try_from(attr.park_after.unwrap_or(PARK_AFTER)).unwrap_or(u32::MAX);
                quote!(Park { after: #after })
            }
            _ => quote!(Reload),
        };
        quote!(options.on_panic = #private::OnPanic::#policy;)
    });
    let mailbox = attr.mailbox.map(|calls| quote!(options.mailbox = #calls;));
    let idle_timeout = attr.idle_timeout.map(|timeout| {
        let milliseconds = attr::milliseconds(timeout);
        quote!(options.idle_timeout = ::core::time::Duration::from_millis(#milliseconds);)
    });
    quote! {{
        #[allow(unused_mut, reason = "without attributes nothing differs from the default")]
        let mut options = #private::ActorOptions::DEFAULT;
        #volatile
        #relaxed
        #idle_timeout
        #mailbox
        #no_rollback
        #stateless
        #local
        #home
        #workers
        #on_panic
        options
    }}
}
