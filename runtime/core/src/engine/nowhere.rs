//! The shard that stands for none: where the turns of types run that live on the node which calls them.
//!
//! It is open as long as the engine is, whoever owns what, and nothing is ever written there. Types with a shard know
//! nothing of it; engines that serve only such types have none.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Core;
use super::types::Dispatch;
use crate::actor::Actor;
use crate::identity::{ActorId, Epoch, Incarnation, Shard, StoreId};
use crate::journal::{Journal, JournalError, Position, Record, StoredActor};
use crate::map::NodeRun;
use crate::rows::RowRange;
use crate::shard::OwnedShard;

/// The shard that stands for none, if a type has need of it.
pub(super) fn open(types: &BTreeMap<&'static str, Arc<dyn Dispatch>>) -> Option<Arc<OwnedShard>> {
    if types.values().all(|table| table.options().is_sharded()) {
        return None;
    }
    let nobody = NodeRun { store: StoreId(uuid::Uuid::nil()), incarnation: Incarnation(0) };
    let opened = OwnedShard::open(Shard(0), Epoch(0), nobody, Position::default(), Arc::new(Nowhere));
    let (nowhere, opened) = opened.expect("this journal takes everything");
    nowhere.gate().advance(opened);
    Some(nowhere)
}

impl Core {
    /// Where a call runs, if that is on this node: in the shard of its actor, or nowhere if its type has none.
    pub(super) fn place_of(&self, target: &ActorId) -> Option<Arc<OwnedShard>> {
        if let Some(nowhere) = &self.nowhere
            && self.types.get(target.actor_type.as_str()).is_some_and(|table| !table.options().is_sharded())
        {
            return Some(nowhere.clone());
        }
        self.owned(self.shard_of(target))
    }

    /// The same for a type that the program knows and the engine serves.
    pub(super) fn place_of_type<A: Actor>(&self, target: &ActorId) -> Option<Arc<OwnedShard>> {
        if !A::OPTIONS.is_sharded() {
            return self.nowhere.clone();
        }
        self.owned(target.shard(self.layout.home(A::OPTIONS.home)))
    }
}

struct Nowhere;

impl Journal for Nowhere {
    fn append(&self, _: Record) -> Result<(), JournalError> {
        Ok(())
    }

    fn load(&self, _: Shard, _: &ActorId) -> BoxFuture<'static, Result<StoredActor, JournalError>> {
        Box::pin(std::future::ready(Ok(StoredActor::default())))
    }

    fn rows(
        &self,
        _: Shard,
        _: RowRange,
        _: usize,
    ) -> BoxFuture<'static, Result<Vec<(bytes::Bytes, bytes::Bytes)>, JournalError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn last(&self, _: Shard) -> BoxFuture<'static, Result<Position, JournalError>> {
        Box::pin(std::future::ready(Ok(Position::default())))
    }
}
