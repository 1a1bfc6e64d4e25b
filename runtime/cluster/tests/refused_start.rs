//! A start that the cluster refuses has taken no shard before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use greenroom_cluster::coordination::{Coordination, Peer, Version};
use greenroom_cluster::registration::Refused;
use greenroom_cluster::{ClusterError, Driver, DriverConfig, Embedded, Shards};
use greenroom_core::engine::Engine;
use greenroom_core::env::{SharedEnv, SystemEnv};
use greenroom_core::journal::{Journal, JournalError, Position, Record, StoredActor};
use greenroom_core::map::{Entry, Evidence, Member, NodeRun, Page};
use greenroom_core::rows::RowRange;
use greenroom_core::{ActorId, Epoch, Incarnation, Shard, ShardCount, StoreId};
use parking_lot::Mutex;
use uuid::Uuid;

/// An empty log that keeps what is appended to it.
#[derive(Default)]
struct EmptyLog(Mutex<Vec<Record>>);

impl Journal for EmptyLog {
    fn append(&self, record: Record) -> Result<(), JournalError> {
        self.0.lock().push(record);
        Ok(())
    }

    fn load(&self, _: Shard, _: &ActorId) -> BoxFuture<'static, Result<StoredActor, JournalError>> {
        ready(Ok(StoredActor::default())).boxed()
    }

    fn rows(
        &self,
        _: Shard,
        _: RowRange,
        _: usize,
    ) -> BoxFuture<'static, Result<Vec<(Bytes, Bytes)>, JournalError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn last(&self, _: Shard) -> BoxFuture<'static, Result<Position, JournalError>> {
        ready(Ok(Position::default())).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_was_set_back_is_refused_before_it_opens_a_shard() {
    let count = ShardCount::new(4).unwrap();
    let run = NodeRun { store: StoreId(Uuid::from_u128(7)), incarnation: Incarnation(2) };
    let register = Embedded::memory(count);
    let mut page = Page::empty(0, count);
    page.members =
        vec![Member { store: run.store, node: "n-0".into(), incarnation: run.incarnation, group: None }];
    let entry = Entry {
        epoch: Epoch(5),
        owner: run,
        prev: Some(run.store),
        in_sync: vec![run.store],
        evidence: Evidence::Dead,
    };
    page.entries = vec![entry; 4];
    register.write(0, Version(1), page).await.unwrap();

    let env: SharedEnv = Arc::new(SystemEnv);
    let log = Arc::new(EmptyLog::default());
    let driver = Driver::start(DriverConfig {
        engine: Engine::builder(env.clone(), count).build(),
        env,
        journal: log.clone(),
        coordination: Arc::new(register),
        shards: Shards::new(count),
        run,
        peer: Peer { name: "n-0".into(), ..Peer::default() },
        store_has_data: true,
        group: None,
        expected: 1.into(),
    });
    let error = driver.failed().await;
    assert!(matches!(error, ClusterError::Refused(Refused::OldIncarnation { .. })), "{error}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*log.0.lock(), []);
}
