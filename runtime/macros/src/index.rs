//! `#[index]` on a field of the state: actors can be found by its value.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, Data, DeriveInput, Field, Fields, Ident, LitStr, Meta};

use crate::errors::Errors;

/// An indexed field.
struct Index<'a> {
    name: String,
    field: &'a Ident,
}

/// What the type's `Actor` implementation says about its indexes; nothing if it has none.
pub(crate) fn expand(
    input: &DeriveInput,
    stores_nothing: bool,
    private: &TokenStream,
    errors: &mut Errors,
) -> TokenStream {
    let indexes = indexes(input, stores_nothing, errors);
    if indexes.is_empty() {
        return TokenStream::new();
    }
    let names = indexes.iter().map(|index| &index.name);
    // A type that cannot be looked for is reported at its field.
    let adds = indexes.iter().map(|Index { name, field }| {
        quote_spanned!(field.span()=> #private::IndexedFields::add(fields, #name, &self.#field);)
    });
    quote! {
        const INDEXES: &'static [&'static str] = &[#(#names),*];
        fn indexed(&self, fields: &mut #private::IndexedFields) {
            #(#adds)*
        }
    }
}

fn indexes<'a>(input: &'a DeriveInput, stores_nothing: bool, errors: &mut Errors) -> Vec<Index<'a>> {
    let fields: Vec<&Field> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    let is_struct = matches!(&input.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
    let mut indexes: Vec<Index<'a>> = Vec::new();
    for field in fields {
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("index")) {
            let Some(ident) = field.ident.as_ref().filter(|_| is_struct) else {
                errors.at(attribute, "only a field of a struct that has a name can be an index");
                continue;
            };
            if stores_nothing {
                errors.at(
                    attribute,
                    "only what is stored is in an index: drop `volatile` or `stateless`, or `#[index]`",
                );
            }
            let Some(name) = name(attribute, ident, errors) else { continue };
            if indexes.iter().any(|other| other.name == name) {
                errors.at(attribute, format!("there is already an index {name:?}: give each its own name"));
                continue;
            }
            indexes.push(Index { name, field: ident });
        }
    }
    indexes
}

/// `#[index]` has the field's name, `#[index(name = "…")]` its own.
fn name(attribute: &Attribute, field: &Ident, errors: &mut Errors) -> Option<String> {
    if let Meta::Path(_) = attribute.meta {
        return Some(field.unraw().to_string());
    }
    let mut name = None;
    let result = attribute.parse_nested_meta(|meta| {
        if !meta.path.is_ident("name") {
            return Err(meta.error("there is no such option here, only name"));
        }
        name = Some(meta.value()?.parse::<LitStr>()?.value());
        Ok(())
    });
    result.unwrap_or_else(|error| errors.add(error));
    name
}
