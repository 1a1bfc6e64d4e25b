//! The librarian of a shard: an actor of an internal type that reads the index of the shard that it is in.
//!
//! It has no state and leaves memory when it has answered. An engine serves the type as soon as it serves one with an index.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, ActorMethods, ActorOptions, Concurrent, Durability, Method};
use crate::cx::Cx;
use crate::engine::MethodEntry;
use crate::error::{AppError, Result};
use crate::identity::ShardCount;
use crate::layout::Home;
use crate::reference::{ActorRef, Call};
use crate::rows::{RowRange, Space};
use crate::shard_keys::ShardKeys;

/// The actor. Its key says which shard it is in, see [`keys`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Librarian {}

impl Actor for Librarian {
    const TYPE: &'static str = "greenroom.Index";
    const OPTIONS: ActorOptions = ActorOptions {
        durability: Durability::Volatile,
        no_rollback: true,
        home: Home::EveryShard,
        ..ActorOptions::DEFAULT
    };
    type Ref = LibrarianRef;
}

/// A reference to the librarian of a shard.
pub(crate) struct LibrarianRef(ActorRef<Librarian>);

impl From<ActorRef<Librarian>> for LibrarianRef {
    fn from(reference: ActorRef<Librarian>) -> Self {
        Self(reference)
    }
}

impl LibrarianRef {
    /// The keys of at most `limit` actors that have the value, in their order, behind `after`.
    pub(super) fn find(&self, prefix: Vec<u8>, after: Option<String>, limit: usize) -> Call<Find> {
        self.0.call(FindArguments { prefix: prefix.into(), after, limit })
    }
}

impl ActorMethods for Librarian {
    fn methods() -> Vec<MethodEntry<Self>> {
        vec![MethodEntry::of::<Find>()]
    }
}

pub(super) struct Find;

#[derive(Serialize, Deserialize)]
pub(super) struct FindArguments {
    prefix: Bytes,
    after: Option<String>,
    limit: usize,
}

/// The most keys that one answer has.
pub(super) const FIND_MAX: usize = 1_000;

impl Method for Find {
    type Actor = Librarian;
    type Access = Concurrent;
    type Arguments = FindArguments;
    type Reply = Vec<String>;
    type Error = AppError;
    const NAME: &'static str = "find";
    const ARGUMENTS: &'static [&'static str] = &["prefix", "after", "limit"];

    async fn run(_: &Librarian, cx: &Cx, arguments: FindArguments) -> Result<Vec<String>> {
        let FindArguments { prefix, after, limit } = arguments;
        cx.deactivate();
        let mut range = RowRange::prefix(Space::INDEX, prefix.clone());
        if let Some(after) = after {
            range = range.after(&[&prefix, after.as_bytes()].concat());
        }
        let shard = cx.shard();
        let rows = shard.journal().rows(shard.shard(), range, limit.min(FIND_MAX)).await?;
        let key = |(row, _): (Bytes, Bytes)| String::from_utf8(row[prefix.len()..].into());
        Ok(rows.into_iter().map(key).collect::<Result<_, _>>()?)
    }
}

/// For each shard a key that makes a librarian of that shard.
pub(super) fn keys(count: ShardCount) -> Arc<[u32]> {
    static KNOWN: ShardKeys = ShardKeys::new(Librarian::TYPE);
    KNOWN.get(count)
}
