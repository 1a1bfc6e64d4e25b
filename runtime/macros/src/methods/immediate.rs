//! Whether a method can wait for anything: then its turn may have to be set aside, else it ends where it begins.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ImplItemFn;

/// Macros of the standard library and of `tracing`, which wait for nothing; of others nobody knows here.
const HARMLESS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "concat",
    "debug",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprint",
    "eprintln",
    "error",
    "format",
    "format_args",
    "info",
    "line",
    "matches",
    "panic",
    "print",
    "println",
    "stringify",
    "todo",
    "trace",
    "unimplemented",
    "unreachable",
    "vec",
    "warn",
    "write",
    "writeln",
];

/// True for a plain `fn`, and for an `async fn` whose body has no `.await` and no macro that may hide one.
pub(super) fn is_immediate(function: &ImplItemFn) -> bool {
    function.sig.asyncness.is_none() || !may_wait(function.block.to_token_stream())
}

fn may_wait(body: TokenStream) -> bool {
    let tokens: Vec<_> = body.into_iter().collect();
    tokens.iter().enumerate().any(|(i, token)| match token {
        TokenTree::Ident(name) if name == "await" => true,
        TokenTree::Ident(name) => is_macro(&tokens[i + 1..]) && !HARMLESS.iter().any(|known| name == known),
        TokenTree::Group(group) => may_wait(group.stream()),
        _ => false,
    })
}

/// What follows the name of a macro: `!` and its input, and not the `!=` of a comparison.
fn is_macro(after: &[TokenTree]) -> bool {
    matches!(after, [TokenTree::Punct(bang), TokenTree::Group(_), ..] if bang.as_char() == '!')
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::is_immediate;

    #[test]
    fn a_body_without_anything_to_wait_for_is_immediate() {
        assert!(is_immediate(&parse_quote!(
            fn add(&mut self) {
                self.total += 1
            }
        )));
        assert!(is_immediate(&parse_quote!(
            async fn add(&mut self) -> String {
                format!("{}", vec![1][0])
            }
        )));
        assert!(is_immediate(&parse_quote!(
            async fn same(&self, a: u8) -> bool {
                let b = a;
                b != (a)
            }
        )));
    }

    #[test]
    fn a_body_that_may_wait_is_not() {
        assert!(!is_immediate(&parse_quote!(
            async fn add(&mut self) {
                other().await
            }
        )));
        assert!(!is_immediate(&parse_quote!(
            async fn add(&mut self) {
                if true {
                    (a(other().await))
                }
            }
        )));
        assert!(!is_immediate(&parse_quote!(
            async fn add(&mut self) {
                vec![other().await]
            }
        )));
        assert!(!is_immediate(&parse_quote!(
            async fn add(&mut self) {
                tokio::select! { _ = other() => {} }
            }
        )));
        assert!(!is_immediate(&parse_quote!(
            async fn add(&mut self) {
                ours![1]
            }
        )));
    }
}
