//! Reads one option of an attribute: `key`, `key = value` or `key("value")`.
//!
//! A wrong value is reported and swallowed, so that the options after it are read too; only what is no list of options
//! at all ends the reading.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Expr, ExprLit, Lit, LitStr, Path, Token, parenthesized, token};

use super::Promise;
use crate::duration;
use crate::errors::Errors;

/// The options of an attribute that were read so far.
#[derive(Default)]
pub(super) struct Given(HashMap<String, Path>);

impl Given {
    /// Where this option stands.
    pub(super) fn at(&self, key: &str) -> Option<&Path> {
        self.0.get(key)
    }
}

/// The option that is read now.
pub(super) struct Meta<'a> {
    pub(super) key: String,
    pub(super) meta: ParseNestedMeta<'a>,
    pub(super) errors: &'a mut Errors,
}

impl<'a> Meta<'a> {
    pub(super) fn new(meta: ParseNestedMeta<'a>, given: &mut Given, errors: &'a mut Errors) -> Self {
        let key = meta.path.get_ident().map_or_else(String::new, |key| key.unraw().to_string());
        if given.0.insert(key.clone(), meta.path.clone()).is_some() {
            errors.at(&meta.path, format!("`{key}` is given twice: drop one"));
        }
        Self { key, meta, errors }
    }

    pub(super) fn flag(&mut self) -> syn::Result<bool> {
        if let Some(value) = self.any_value()? {
            self.errors.at(value, format!("`{}` takes no value: its presence is enough", self.key));
        }
        Ok(true)
    }

    pub(super) fn promise(&mut self) -> syn::Result<Option<Promise>> {
        Ok(match self.key.as_str() {
            "relaxed" => self.relaxed()?.map(Promise::Relaxed),
            "volatile" => self.flag()?.then_some(Promise::Volatile),
            _ => self.flag()?.then_some(Promise::Durable),
        })
    }

    /// `relaxed("50ms")`.
    pub(super) fn relaxed(&mut self) -> syn::Result<Option<Duration>> {
        let value = self.value_in_parentheses()?;
        let within = match &value {
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => duration::parse(&text.value()),
            _ => None,
        };
        if within.is_none() {
            let rule = "say how long a commit may wait, as a whole number with ms, s, m or h";
            self.errors.at(&self.meta.path, format!("{rule}: `relaxed(\"50ms\")`"));
        }
        Ok(within)
    }

    /// `pinned("gpu")`.
    pub(super) fn group(&mut self) -> syn::Result<Option<LitStr>> {
        let value = self.value_in_parentheses()?;
        match value {
            Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) if is_group_name(&name.value()) => {
                Ok(Some(name))
            }
            Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) => {
                let rule = "a group of nodes is named with 1 to 15 of a-z 0-9 and '-', beginning with a letter and not \
                            ending with '-'";
                self.errors.at(name, rule);
                Ok(None)
            }
            _ => {
                self.errors.at(
                    &self.meta.path,
                    "name the group of nodes that the actors live on: `pinned(\"gpu\")`",
                );
                Ok(None)
            }
        }
    }

    pub(super) fn text(&mut self) -> syn::Result<Option<LitStr>> {
        let example = if self.key == "crate" { "greenroom" } else { "…" };
        match self.meta.value()?.parse()? {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(Some(text)),
            other => {
                self.errors.at(other, format!("write a text in quotes: `{} = \"{example}\"`", self.key));
                Ok(None)
            }
        }
    }

    /// One of these words, in quotes.
    pub(super) fn one_of(&mut self, known: &[&str]) -> syn::Result<Option<String>> {
        let Some(text) = self.text()? else { return Ok(None) };
        if known.contains(&text.value().as_str()) {
            return Ok(Some(text.value()));
        }
        let known: Vec<_> = known.iter().map(|word| format!("{word:?}")).collect();
        self.errors.at(&text, format!("write one of {} here", known.join(", ")));
        Ok(None)
    }

    pub(super) fn path(&mut self) -> syn::Result<Option<Path>> {
        let Some(text) = self.text()? else { return Ok(None) };
        let path = text.parse_with(Path::parse_mod_style);
        Ok(path.map_err(|_| self.errors.at(text, "this is no path: write for example \"greenroom\"")).ok())
    }

    pub(super) fn duration(&mut self) -> syn::Result<Option<Duration>> {
        let value: Expr = self.meta.value()?.parse()?;
        let duration = match &value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => duration::parse(&text.value()),
            _ => None,
        };
        if duration.is_none() {
            let rule = "write a duration above zero as a whole number with ms, s, m or h";
            self.errors.at(value, format!("{rule}: `{} = \"5m\"`", self.key));
        }
        Ok(duration)
    }

    pub(super) fn count(&mut self) -> syn::Result<Option<usize>> {
        let rule = format!("write a whole number above zero: `{} = 1024`", self.key);
        self.number(&rule)
    }

    pub(super) fn version(&mut self) -> syn::Result<Option<u32>> {
        self.number("write a whole number above zero that fits 32 bits: `version = 2`")
    }

    /// A whole number above zero. `rule` is what is said if it is none.
    fn number<N>(&mut self, rule: &str) -> syn::Result<Option<N>>
    where
        N: FromStr<Err: Display> + PartialOrd + Default,
    {
        let value: Expr = self.meta.value()?.parse()?;
        let number = match &value {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
                number.base10_parse().ok().filter(|number| *number > N::default())
            }
            _ => None,
        };
        if number.is_none() {
            self.errors.at(value, rule);
        }
        Ok(number)
    }

    pub(super) fn function(&mut self) -> syn::Result<Option<Path>> {
        match self.meta.value()?.parse()? {
            Expr::Path(path) if path.qself.is_none() => Ok(Some(path.path)),
            other => {
                self.errors.at(other, format!("name a function: `{} = Self::migrate`", self.key));
                Ok(None)
            }
        }
    }

    pub(super) fn unknown(&mut self, known: &str) -> syn::Result<()> {
        self.any_value()?;
        let path = &self.meta.path;
        self.errors.at(path, format!("there is no option `{}` here, only {known}", path.to_token_stream()));
        Ok(())
    }

    /// `("value")`, or by mistake `= "value"`.
    fn value_in_parentheses(&self) -> syn::Result<Option<Expr>> {
        if !self.meta.input.peek(token::Paren) {
            return self.any_value();
        }
        let inner;
        parenthesized!(inner in self.meta.input);
        Ok(inner.parse().ok())
    }

    fn any_value(&self) -> syn::Result<Option<Expr>> {
        if self.meta.input.peek(Token![=]) { self.meta.value()?.parse().map(Some) } else { Ok(None) }
    }
}

/// The rule of `greenroom_core::layout::is_group_name`; this crate stands below core.
fn is_group_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 15
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(inner)
}
