//! What stands in `#[actor(…)]`, `#[actor_methods(…)]` and `#[method(…)]`.

use std::collections::HashSet;
use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Path, Token, parenthesized, token};

use crate::duration;
use crate::errors::Errors;

/// Where generated code finds the types it needs: `::greenroom`, unless `crate = "…"` says another path.
pub(crate) struct Root(Option<Path>);

impl Root {
    pub(crate) fn private(&self) -> TokenStream {
        match &self.0 {
            Some(root) => quote!(#root::__private),
            None => quote!(::greenroom::__private),
        }
    }
}

/// `#[actor(…)]`.
pub(crate) struct ActorAttr {
    pub(crate) root: Root,
    pub(crate) name: Option<LitStr>,
    pub(crate) volatile: bool,
    pub(crate) relaxed: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) mailbox: Option<usize>,
    pub(crate) no_rollback: bool,
    pub(crate) stateless: bool,
    pub(crate) local: bool,
    pub(crate) pinned: Option<LitStr>,
    /// Of Greenroom's own types only, which is why no message names it.
    pub(crate) every_shard: bool,
    pub(crate) workers: Option<usize>,
    pub(crate) on_panic: Option<String>,
    pub(crate) park_after: Option<usize>,
    pub(crate) version: Option<u32>,
    pub(crate) migrate: Option<Path>,
    /// The state is a protobuf message and stored as one: where it says so.
    pub(crate) protobuf: Option<Path>,
}

impl ActorAttr {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut parsed = Self {
            root: Root(None),
            name: None,
            volatile: false,
            relaxed: None,
            idle_timeout: None,
            mailbox: None,
            no_rollback: false,
            stateless: false,
            local: false,
            pinned: None,
            every_shard: false,
            workers: None,
            on_panic: None,
            park_after: None,
            version: None,
            migrate: None,
            protobuf: None,
        };
        let mut no_rollback_at = None;
        let mut wrong = Combinations::default();
        let mut seen = HashSet::new();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("actor")) {
            let result = attribute.parse_nested_meta(|meta| {
                let mut option = Meta::new(meta, &mut seen, errors);
                match option.key.as_str() {
                    "crate" => parsed.root = Root(option.path()?),
                    "name" => parsed.name = option.text()?,
                    "volatile" => parsed.volatile = option.flag()?,
                    "relaxed" => {
                        wrong.relaxed = Some(option.meta.path.clone());
                        parsed.relaxed = option.relaxed()?;
                    }
                    "idle_timeout" => parsed.idle_timeout = option.duration()?,
                    "mailbox" => parsed.mailbox = option.count()?,
                    "version" => parsed.version = option.version()?,
                    "migrate" => parsed.migrate = option.function()?,
                    "state" => {
                        let at = option.meta.path.clone();
                        parsed.protobuf = option.one_of(&["protobuf"])?.map(|_| at);
                    }
                    "no_rollback" => {
                        no_rollback_at = Some(option.meta.path.clone());
                        parsed.no_rollback = option.flag()?;
                    }
                    "stateless" => parsed.stateless = option.flag()?,
                    "local" => {
                        wrong.local = Some(option.meta.path.clone());
                        parsed.local = option.flag()?;
                    }
                    "pinned" => parsed.pinned = option.group()?,
                    "every_shard" => parsed.every_shard = option.flag()?,
                    "workers" => {
                        wrong.workers = Some(option.meta.path.clone());
                        parsed.workers = option.count()?;
                    }
                    "on_panic" => parsed.on_panic = option.one_of(&["reload", "backoff", "park"])?,
                    "park_after" => {
                        wrong.park_after = Some(option.meta.path.clone());
                        parsed.park_after = option.count()?;
                    }
                    _ => option.unknown(
                        "name, volatile, relaxed, idle_timeout, mailbox, no_rollback, stateless, workers, local, \
                         pinned, on_panic, park_after, version, migrate, state and crate",
                    )?,
                }
                Ok(())
            });
            result.unwrap_or_else(|error| errors.add(error));
        }
        wrong.report(&parsed, attributes, errors);
        if let Some(at) = no_rollback_at.filter(|_| !parsed.volatile && !parsed.stateless) {
            errors.at(
                at,
                "only volatile actors can go without rollback: add `volatile`, or drop `no_rollback` (a durable \
                 turn is a transaction)",
            );
        }
        if let Some(migrate) = parsed.migrate.as_ref().filter(|_| parsed.version.is_none()) {
            errors.at(
                migrate,
                "there is nothing to migrate to without a version: add `version = 1`, or a higher one if states \
                 have been stored with a version before",
            );
        }
        parsed
    }
}

/// Options that need another one, where they stand.
#[derive(Default)]
struct Combinations {
    local: Option<Path>,
    relaxed: Option<Path>,
    workers: Option<Path>,
    park_after: Option<Path>,
}

impl Combinations {
    fn report(self, parsed: &ActorAttr, attributes: &[Attribute], errors: &mut Errors) {
        if let Some(at) = self.workers.filter(|_| !parsed.stateless) {
            errors.at(at, "only stateless types have workers: add `stateless`, or drop `workers`");
        }
        if let Some(at) = self.park_after.filter(|_| parsed.on_panic.as_deref() != Some("park")) {
            errors.at(at, "only types that park need this: add `on_panic = \"park\"`, or drop `park_after`");
        }
        if let Some(at) = self.local.as_ref().filter(|_| parsed.stateless) {
            errors.at(at, "a stateless type has workers on every node anyway: drop `local`");
        } else if let Some(at) = self.local.filter(|_| !parsed.volatile) {
            errors.at(
                at,
                "an actor of which every node has its own has no state that could be stored for all: add \
                 `volatile`, or drop `local`",
            );
        }
        if let Some(at) = parsed.pinned.as_ref().filter(|_| parsed.local || parsed.stateless) {
            errors.at(
                at,
                "a type that lives on whichever node calls it cannot be pinned to some: drop `pinned`, or the other \
                 option",
            );
        }
        if let Some(at) = self.relaxed.filter(|_| parsed.volatile || parsed.stateless) {
            errors.at(
                at,
                "a type that is never stored has nothing to write: drop `relaxed`, or the other option",
            );
        }
        if parsed.stateless && parsed.volatile {
            let at = attributes.iter().find(|a| a.path().is_ident("actor"));
            errors.at(at, "a stateless type keeps nothing anyway: drop `volatile`");
        }
    }
}

/// Reads `#[actor_methods(…)]`.
pub(crate) fn parse_block(arguments: TokenStream, errors: &mut Errors) -> Root {
    let mut root = Root(None);
    let mut seen = HashSet::new();
    let parser = syn::meta::parser(|meta| {
        let mut option = Meta::new(meta, &mut seen, errors);
        match option.key.as_str() {
            "crate" => root = Root(option.path()?),
            _ => option.unknown("crate")?,
        }
        Ok(())
    });
    let result = parser.parse2(arguments);
    result.unwrap_or_else(|error| errors.add(error));
    root
}

/// `#[workflow(…)]`.
pub(crate) struct WorkflowAttr {
    pub(crate) root: Root,
    pub(crate) name: Option<LitStr>,
    pub(crate) retention: Option<Duration>,
}

impl WorkflowAttr {
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let mut parsed = Self { root: Root(None), name: None, retention: None };
        let mut seen = HashSet::new();
        let parser = syn::meta::parser(|meta| {
            let mut option = Meta::new(meta, &mut seen, errors);
            match option.key.as_str() {
                "crate" => parsed.root = Root(option.path()?),
                "name" => parsed.name = option.text()?,
                "retention" => parsed.retention = option.duration()?,
                _ => option.unknown("name, retention and crate")?,
            }
            Ok(())
        });
        let result = parser.parse2(arguments);
        result.unwrap_or_else(|error| errors.add(error));
        parsed
    }
}

/// What the turns of a method promise.
#[derive(Clone, Copy)]
pub(crate) enum Promise {
    Durable,
    Relaxed(Duration),
    Volatile,
}

impl Promise {
    pub(crate) fn expand(self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Durable => quote!(#private::Durability::Durable),
            Self::Relaxed(within) => {
                let milliseconds = milliseconds(within);
                quote!(#private::Durability::Relaxed {
                    within: ::core::time::Duration::from_millis(#milliseconds),
                })
            }
            Self::Volatile => quote!(#private::Durability::Volatile),
        }
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("it was made from 64 bits of milliseconds")
}

/// `#[method(…)]`.
#[derive(Default)]
pub(crate) struct MethodAttr {
    pub(crate) name: Option<LitStr>,
    pub(crate) skip: bool,
    pub(crate) reentrant: bool,
    /// The topics that the method listens to.
    pub(crate) topic: Option<LitStr>,
    /// If the method says another one than its type, and where it does.
    pub(crate) promise: Option<(Promise, Path)>,
}

impl MethodAttr {
    /// Reads the attributes and takes them away: they mean nothing to the compiler.
    pub(crate) fn take(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> Self {
        let mut parsed = Self::default();
        let mut seen = HashSet::new();
        for attribute in attributes.extract_if(.., |a| a.path().is_ident("method")) {
            let result = attribute.parse_nested_meta(|meta| {
                let mut option = Meta::new(meta, &mut seen, errors);
                match option.key.as_str() {
                    "name" => parsed.name = option.text()?,
                    "skip" => parsed.skip = option.flag()?,
                    "reentrant" => parsed.reentrant = option.flag()?,
                    "topic" => parsed.topic = option.text()?,
                    "durable" | "relaxed" | "volatile" => {
                        let at = option.meta.path.clone();
                        let promise = option.promise()?.map(|promise| (promise, at));
                        if let (Some(_), Some((_, at))) = (&parsed.promise, &promise) {
                            option
                                .errors
                                .at(at, "a method promises one thing: drop this, or the option before");
                        }
                        parsed.promise = parsed.promise.take().or(promise);
                    }
                    _ => option.unknown("name, topic, skip, reentrant, durable, relaxed and volatile")?,
                }
                Ok(())
            });
            result.unwrap_or_else(|error| errors.add(error));
            if parsed.skip && parsed.reentrant {
                errors.at(
                    &attribute,
                    "a skipped method is not called from outside: drop `skip` or `reentrant`",
                );
            }
            if let Some(name) = parsed.name.take_if(|_| parsed.skip) {
                errors.at(
                    name,
                    "a skipped method is not on the wire and needs no name there: drop one of the two",
                );
            }
            if let Some(topic) = parsed.topic.take_if(|_| parsed.skip) {
                errors
                    .at(topic, "a skipped method cannot be called, so it cannot listen: drop one of the two");
            }
            if let Some((_, at)) = parsed.promise.take_if(|_| parsed.skip) {
                errors.at(at, "a skipped method has no turns and promises nothing: drop one of the two");
            }
        }
        parsed
    }
}

/// One `key` or `key = value`. A wrong value is reported and swallowed, so that the options after it are read too;
/// only what is no list of options at all ends the reading.
struct Meta<'a> {
    key: String,
    meta: ParseNestedMeta<'a>,
    errors: &'a mut Errors,
}

impl<'a> Meta<'a> {
    fn new(meta: ParseNestedMeta<'a>, seen: &mut HashSet<String>, errors: &'a mut Errors) -> Self {
        let key = meta.path.get_ident().map_or_else(String::new, |key| key.unraw().to_string());
        if !seen.insert(key.clone()) {
            errors.at(&meta.path, format!("`{key}` is given twice: drop one"));
        }
        Self { key, meta, errors }
    }

    fn flag(&mut self) -> syn::Result<bool> {
        if let Some(value) = self.any_value()? {
            self.errors.at(value, format!("`{}` takes no value: its presence is enough", self.key));
        }
        Ok(true)
    }

    fn promise(&mut self) -> syn::Result<Option<Promise>> {
        Ok(match self.key.as_str() {
            "relaxed" => self.relaxed()?.map(Promise::Relaxed),
            "volatile" => self.flag()?.then_some(Promise::Volatile),
            _ => self.flag()?.then_some(Promise::Durable),
        })
    }

    /// `relaxed("50ms")`.
    fn relaxed(&mut self) -> syn::Result<Option<Duration>> {
        let value = if self.meta.input.peek(token::Paren) {
            let inner;
            parenthesized!(inner in self.meta.input);
            inner.parse().ok()
        } else {
            self.any_value()?
        };
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
    fn group(&mut self) -> syn::Result<Option<LitStr>> {
        let value = if self.meta.input.peek(token::Paren) {
            let inner;
            parenthesized!(inner in self.meta.input);
            inner.parse().ok()
        } else {
            self.any_value()?
        };
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

    fn text(&mut self) -> syn::Result<Option<LitStr>> {
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
    fn one_of(&mut self, known: &[&str]) -> syn::Result<Option<String>> {
        let Some(text) = self.text()? else { return Ok(None) };
        if known.contains(&text.value().as_str()) {
            return Ok(Some(text.value()));
        }
        let known: Vec<_> = known.iter().map(|word| format!("{word:?}")).collect();
        self.errors.at(&text, format!("write one of {} here", known.join(", ")));
        Ok(None)
    }

    fn path(&mut self) -> syn::Result<Option<Path>> {
        let Some(text) = self.text()? else { return Ok(None) };
        let path = text.parse_with(Path::parse_mod_style);
        Ok(path.map_err(|_| self.errors.at(text, "this is no path: write for example \"greenroom\"")).ok())
    }

    fn duration(&mut self) -> syn::Result<Option<Duration>> {
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

    fn count(&mut self) -> syn::Result<Option<usize>> {
        let value: Expr = self.meta.value()?.parse()?;
        let count = match &value {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok().filter(|&n| n > 0),
            _ => None,
        };
        if count.is_none() {
            self.errors.at(value, format!("write a whole number above zero: `{} = 1024`", self.key));
        }
        Ok(count)
    }

    fn version(&mut self) -> syn::Result<Option<u32>> {
        let value: Expr = self.meta.value()?.parse()?;
        let version = match &value {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok().filter(|&n| n > 0),
            _ => None,
        };
        if version.is_none() {
            self.errors.at(value, "write a whole number above zero that fits 32 bits: `version = 2`");
        }
        Ok(version)
    }

    fn function(&mut self) -> syn::Result<Option<Path>> {
        match self.meta.value()?.parse()? {
            Expr::Path(path) if path.qself.is_none() => Ok(Some(path.path)),
            other => {
                self.errors.at(other, format!("name a function: `{} = Self::migrate`", self.key));
                Ok(None)
            }
        }
    }

    fn unknown(&mut self, known: &str) -> syn::Result<()> {
        self.any_value()?;
        let path = &self.meta.path;
        self.errors.at(path, format!("there is no option `{}` here, only {known}", path.to_token_stream()));
        Ok(())
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
