//! What stands in `#[actor(…)]`, `#[actor_methods(…)]` and `#[method(…)]`.

mod option;

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Attribute, LitStr, Path};

use crate::errors::Errors;
use option::{Given, Meta};

/// Where generated code finds the types it needs: `::greenroom`, unless `crate = "…"` says another path.
#[derive(Default)]
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
#[derive(Default)]
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
        let (mut parsed, mut given) = (Self::default(), Given::default());
        for attribute in attributes.iter().filter(|a| a.path().is_ident("actor")) {
            let result = attribute.parse_nested_meta(|meta| {
                let mut option = Meta::new(meta, &mut given, errors);
                match option.key.as_str() {
                    "crate" => parsed.root = Root(option.path()?),
                    "name" => parsed.name = option.text()?,
                    "volatile" => parsed.volatile = option.flag()?,
                    "relaxed" => parsed.relaxed = option.relaxed()?,
                    "idle_timeout" => parsed.idle_timeout = option.duration()?,
                    "mailbox" => parsed.mailbox = option.count()?,
                    "version" => parsed.version = option.version()?,
                    "migrate" => parsed.migrate = option.function()?,
                    "state" => {
                        let state = option.one_of(&["protobuf"])?;
                        parsed.protobuf = state.map(|_| option.meta.path.clone());
                    }
                    "no_rollback" => parsed.no_rollback = option.flag()?,
                    "stateless" => parsed.stateless = option.flag()?,
                    "local" => parsed.local = option.flag()?,
                    "pinned" => parsed.pinned = option.group()?,
                    "every_shard" => parsed.every_shard = option.flag()?,
                    "workers" => parsed.workers = option.count()?,
                    "on_panic" => parsed.on_panic = option.one_of(&["reload", "backoff", "park"])?,
                    "park_after" => parsed.park_after = option.count()?,
                    _ => option.unknown(
                        "name, volatile, relaxed, idle_timeout, mailbox, no_rollback, stateless, workers, local, \
                         pinned, on_panic, park_after, version, migrate, state and crate",
                    )?,
                }
                Ok(())
            });
            result.unwrap_or_else(|error| errors.add(error));
        }
        parsed.check_combinations(&given, attributes, errors);
        parsed
    }

    /// Reports options that need another one, and options that exclude each other.
    fn check_combinations(&self, given: &Given, attributes: &[Attribute], errors: &mut Errors) {
        let (stored, everywhere) = (!self.volatile && !self.stateless, self.local || self.stateless);
        let only_if = [
            (
                "workers",
                self.stateless,
                "only stateless types have workers: add `stateless`, or drop `workers`",
            ),
            (
                "park_after",
                self.on_panic.as_deref() == Some("park"),
                "only types that park need this: add `on_panic = \"park\"`, or drop `park_after`",
            ),
            ("local", !self.stateless, "a stateless type has workers on every node anyway: drop `local`"),
            (
                "local",
                !stored,
                "an actor of which every node has its own has no state that could be stored for all: add \
                 `volatile`, or drop `local`",
            ),
            (
                "relaxed",
                stored,
                "a type that is never stored has nothing to write: drop `relaxed`, or the other option",
            ),
            (
                "no_rollback",
                !stored,
                "only volatile actors can go without rollback: add `volatile`, or drop `no_rollback` (a durable \
                 turn is a transaction)",
            ),
        ];
        for (option, fits, rule) in only_if {
            if let Some(at) = given.at(option).filter(|_| !fits) {
                errors.at(at, rule);
            }
        }
        if let Some(group) = self.pinned.as_ref().filter(|_| everywhere) {
            errors.at(
                group,
                "a type that lives on whichever node calls it cannot be pinned to some: drop `pinned`, or the other \
                 option",
            );
        }
        if let Some(migrate) = self.migrate.as_ref().filter(|_| self.version.is_none()) {
            errors.at(
                migrate,
                "there is nothing to migrate to without a version: add `version = 1`, or a higher one if states \
                 have been stored with a version before",
            );
        }
        if self.stateless && self.volatile {
            let at = attributes.iter().find(|a| a.path().is_ident("actor"));
            errors.at(at, "a stateless type keeps nothing anyway: drop `volatile`");
        }
    }
}

/// Reads `#[actor_methods(…)]`.
pub(crate) fn parse_block(arguments: TokenStream, errors: &mut Errors) -> Root {
    let mut root = Root(None);
    let mut given = Given::default();
    let parser = syn::meta::parser(|meta| {
        let mut option = Meta::new(meta, &mut given, errors);
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
        let mut given = Given::default();
        let parser = syn::meta::parser(|meta| {
            let mut option = Meta::new(meta, &mut given, errors);
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
        let mut given = Given::default();
        for attribute in attributes.extract_if(.., |a| a.path().is_ident("method")) {
            let result = attribute.parse_nested_meta(|meta| {
                let mut option = Meta::new(meta, &mut given, errors);
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
