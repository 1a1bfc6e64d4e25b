//! The shards of this node: each one's owner machine, its effects carried out under its lock.
//!
//! The journal reports what is durable from its own thread, straight into the machine: an output that waits for a
//! commit leaves without another task in between. One lock per shard makes each handler atomic against the others of
//! the same shard, as the protocol asks, and keeps shards independent (I5). Nothing under the lock waits; the one
//! thing that does, reading where the log ends, is done by the driver.
//!
//! The journal needs its sink before it exists, so there are two steps: [`Shards::new`] gives the sink, the driver
//! adds engine and journal when it starts.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use greenroom_core::engine::Engine;
use greenroom_core::journal::{Durable, DurableSink, Journal, JournalError, Position};
use greenroom_core::map::NodeRun;
use greenroom_core::shard::OwnedShard;
use greenroom_core::{Epoch, Shard, ShardLayout};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::ClusterError;
use crate::observed::{Observed, Watcher};
use crate::owner::{Effect, Event, Owner, Refusal};

/// The shards of this node.
pub struct Shards {
    layout: ShardLayout,
    table: OnceLock<Table>,
    tally: Observed<Tally>,
}

/// How many shards this run has taken, and how many of them it serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Taken: opening or serving.
    pub owned: usize,
    /// Serving.
    pub serving: usize,
}

struct Table {
    me: NodeRun,
    engine: Arc<Engine>,
    journal: Arc<dyn Journal>,
    slots: Vec<Slot>,
}

struct Slot {
    shard: Shard,
    state: Mutex<SlotState>,
    /// Told when the shard begins or ends to be served here.
    changed: Notify,
}

struct SlotState {
    owner: Owner,
    owned: Option<Arc<OwnedShard>>,
    /// The place of the log's last record, from the moment this run has closed the shard: the journal itself knows
    /// only what is durable already.
    last: Option<Position>,
}

/// What an event asks of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Nothing.
    Nothing,
    /// Find out where the log ends and say so with [`Event::Recovered`].
    Recover,
    /// The node cannot go on.
    Fail(ClusterError),
}

impl Shards {
    /// The shards of a node that has not joined yet.
    pub fn new(layout: impl Into<ShardLayout>) -> Arc<Self> {
        Arc::new(Self { layout: layout.into(), table: OnceLock::new(), tally: Observed::default() })
    }

    /// What the journal tells about durable records. It must not be called from within `Journal::append`, because
    /// shards append under their lock.
    pub fn sink(self: &Arc<Self>) -> DurableSink {
        // Weak, because the shards hold the journal, which holds this.
        let shards: Weak<Self> = Arc::downgrade(self);
        Arc::new(move |durable: &[Durable]| {
            let Some(shards) = shards.upgrade() else { return };
            for Durable { shard, position } in durable {
                // A durable record asks nothing of the driver.
                let _ = shards.handle(*shard, Event::Durable(*position));
            }
        })
    }

    /// How the shards of the cluster are divided.
    pub fn layout(&self) -> &ShardLayout {
        &self.layout
    }

    /// The counts, now and after each change.
    pub fn tally(&self) -> Watcher<Tally> {
        self.tally.watch()
    }

    /// The epoch at which this run owns the shard, opening or serving.
    pub fn epoch(&self, shard: Shard) -> Option<Epoch> {
        self.slot(shard)?.state.lock().owner.epoch()
    }

    /// Adds what the shards run on. Once.
    pub(crate) fn start(&self, me: NodeRun, engine: Arc<Engine>, journal: Arc<dyn Journal>) {
        let slot = |shard| Slot {
            shard,
            state: Mutex::new(SlotState { owner: Owner::new(me), owned: None, last: None }),
            changed: Notify::new(),
        };
        let slots = self.layout.all().shards().map(slot).collect();
        let started = self.table.set(Table { me, engine, journal, slots });
        assert!(started.is_ok(), "the shards of a node are started once, by one driver");
    }

    /// Completes when the shard has begun or ended to be served here after this call.
    pub(crate) fn changed(&self, shard: Shard) -> Option<Notified<'_>> {
        Some(self.slot(shard)?.changed.notified())
    }

    /// Where the log of a shard ends.
    pub(crate) async fn last(&self, shard: Shard) -> Result<Position, JournalError> {
        let table = self.table.get().ok_or(JournalError::Closed)?;
        let known = table.slots.get(usize::from(shard.0)).and_then(|slot| slot.state.lock().last);
        match known {
            Some(last) => Ok(last),
            None => table.journal.last(shard).await,
        }
    }

    /// Takes one event of a shard and carries its effects out.
    pub(crate) fn handle(&self, shard: Shard, event: Event<'_>) -> Ask {
        let (Some(table), Some(slot)) = (self.table.get(), self.slot(shard)) else { return Ask::Nothing };
        let mut state = slot.state.lock();
        let before = (state.owner.is_owner(), state.owner.is_serving());
        let ask = state.carry_out(slot.shard, event, table);
        let after = (state.owner.is_owner(), state.owner.is_serving());
        if before != after {
            self.tally.update(|tally| {
                tally.owned = tally.owned + usize::from(after.0) - usize::from(before.0);
                tally.serving = tally.serving + usize::from(after.1) - usize::from(before.1);
                true
            });
            slot.changed.notify_waiters();
        }
        ask
    }

    fn slot(&self, shard: Shard) -> Option<&Slot> {
        self.table.get()?.slots.get(usize::from(shard.0))
    }
}

impl SlotState {
    fn carry_out(&mut self, shard: Shard, event: Event<'_>, table: &Table) -> Ask {
        let mut ask = Ask::Nothing;
        let mut effects = VecDeque::from(self.owner.handle(event));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Recover => ask = Ask::Recover,
                Effect::Open { epoch, behind } => {
                    match OwnedShard::open(shard, epoch, table.me, behind, table.journal.clone()) {
                        Ok((owned, _)) => (self.owned, self.last) = (Some(owned), None),
                        Err(_) => effects.extend(self.owner.handle(Event::NotOpened)),
                    }
                }
                Effect::Commit(seq) => self.opened().gate().advance(seq),
                Effect::Serve => table.engine.serve(self.opened().clone()),
                Effect::StepDown => {
                    self.last = self.opened().close();
                    self.owned = None;
                    table.engine.step_down(shard);
                }
                Effect::Refuse(refusal) => ask = Ask::Fail(refused(shard, refusal)),
            }
        }
        ask
    }

    fn opened(&self) -> &Arc<OwnedShard> {
        self.owned.as_ref().expect("the machine asks for this only between Open and StepDown")
    }
}

fn refused(shard: Shard, refusal: Refusal) -> ClusterError {
    match refusal {
        Refusal::MapSetBack { log, map } => ClusterError::MapSetBack { shard, log, map },
        Refusal::Copies(copies) => ClusterError::TooManyCopies { shard, copies },
    }
}
