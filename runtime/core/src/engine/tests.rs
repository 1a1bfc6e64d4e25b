//! What only the inside of the engine can show.

use bytes::Bytes;
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

use super::*;
use crate::env::SystemEnv;
use crate::identity::{Epoch, Incarnation, ShardCount, StoreId};
use crate::journal::{Journal, JournalError, Position, Record, StoredActor};
use crate::map::NodeRun;
use crate::rows::RowRange;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "crate")]
pub(super) struct Thing {}

#[actor_methods(crate = "crate")]
impl Thing {}

/// A disk for tests that never read.
struct Unread;

impl Journal for Unread {
    fn append(&self, _: Record) -> Result<(), JournalError> {
        Ok(())
    }

    fn load(&self, _: Shard, _: &ActorId) -> BoxFuture<'static, Result<StoredActor, JournalError>> {
        Box::pin(std::future::ready(Err(JournalError::Closed)))
    }

    fn rows(
        &self,
        _: Shard,
        _: RowRange,
        _: usize,
    ) -> BoxFuture<'static, Result<Vec<(Bytes, Bytes)>, JournalError>> {
        Box::pin(std::future::ready(Err(JournalError::Closed)))
    }

    fn last(&self, _: Shard) -> BoxFuture<'static, Result<Position, JournalError>> {
        Box::pin(std::future::ready(Err(JournalError::Closed)))
    }
}

pub(super) fn owned_at(epoch: u64) -> Arc<OwnedShard> {
    let run = NodeRun { store: StoreId(uuid::Uuid::nil()), incarnation: Incarnation(1) };
    let opened = OwnedShard::open(Shard(0), Epoch(epoch), run, Position::default(), Arc::new(Unread));
    opened.expect("this journal takes everything").0
}

#[tokio::test]
async fn i1_a_turn_of_an_earlier_epoch_does_not_replace_the_activation_that_serves() {
    let one = ShardCount::new(1).expect("1 is not zero");
    let engine = Engine::builder(Arc::new(SystemEnv), one).register::<Thing>().build();
    let target: ActorId = "Thing/x".parse().expect("it is valid");
    let (earlier, later) = (owned_at(1), owned_at(2));
    let leftover = engine.activation::<Thing>(&target, &earlier).expect("nobody else is there");
    let serving = engine.activation::<Thing>(&target, &later).expect("a leftover makes room");
    assert!(!Arc::ptr_eq(&leftover, &serving));
    assert!(engine.activation::<Thing>(&target, &earlier).is_none());
    let still = engine.activation::<Thing>(&target, &later).expect("it is still there");
    assert!(Arc::ptr_eq(&serving, &still));
}
