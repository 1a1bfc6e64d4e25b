//! Keeps messages to one actor in their order while some of them have to wait: for a link, for a shard, for a repetition.
//!
//! A message is brought at once, on the thread of its sender, if nothing waits for the same actor. If it cannot be
//! brought at once it opens a lane, and what is sent to that actor from then on goes behind it. So messages that one
//! sender tells one actor are brought in their order, and one that has to wait holds up nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::call::Call;
use crate::env::SharedEnv;
use crate::identity::ActorId;

/// How many messages of one node may wait. Further ones are not taken.
pub const MAX_WAITING_MESSAGES: usize = 65_536;

/// What waits for one actor, in order.
type Lane = VecDeque<BoxFuture<'static, ()>>;

/// The lanes of a transport.
pub struct Lanes {
    env: SharedEnv,
    /// How many messages wait or are being brought by a lane: without any, nobody needs to look for a lane.
    waiting: AtomicUsize,
    lanes: Mutex<HashMap<ActorId, Lane, FixedState>>,
}

impl Lanes {
    /// No lanes yet.
    pub fn new(env: SharedEnv) -> Arc<Self> {
        Arc::new(Self { env, waiting: AtomicUsize::new(0), lanes: Mutex::default() })
    }

    /// Brings the call behind those that wait for the same actor. `bring` reports by itself what becomes of it.
    /// Returns the call if too many wait.
    pub fn send<F>(self: &Arc<Self>, call: Call, bring: impl FnOnce(Call) -> F) -> Result<(), Box<Call>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let waiting = self.waiting.load(Ordering::Acquire);
        if waiting >= MAX_WAITING_MESSAGES {
            return Err(Box::new(call));
        }
        let target = call.target.clone();
        let mut brought: BoxFuture<'static, ()> = Box::pin(bring(call));
        let behind = waiting > 0 && self.lanes.lock().contains_key(&target);
        if behind || brought.as_mut().now_or_never().is_none() {
            self.wait(target, brought);
        }
        Ok(())
    }

    fn wait(self: &Arc<Self>, target: ActorId, brought: BoxFuture<'static, ()>) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(&target) {
            lane.push_back(brought);
            return;
        }
        lanes.insert(target.clone(), VecDeque::from([brought]));
        drop(lanes);
        let open = OpenLane { lanes: self.clone(), target, brings: false, closed: false };
        self.env.spawn(Box::pin(open.work_off()));
    }

    /// The next message of this lane; closes the lane if there is none.
    fn next(&self, target: &ActorId) -> Option<BoxFuture<'static, ()>> {
        let mut lanes = self.lanes.lock();
        let next = lanes.get_mut(target)?.pop_front();
        if next.is_none() {
            lanes.remove(target);
        }
        next
    }
}

/// A lane that a task works off. If the task ends before the lane is empty, because its node stops, what waits is
/// dropped with it: it holds the transport, and the transport holds the lanes.
struct OpenLane {
    lanes: Arc<Lanes>,
    target: ActorId,
    /// A message is being brought: it counts as waiting, but is not in the lane any more.
    brings: bool,
    closed: bool,
}

impl OpenLane {
    async fn work_off(mut self) {
        while let Some(next) = self.lanes.next(&self.target) {
            self.brings = true;
            next.await;
            self.brings = false;
            self.lanes.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        self.closed = true;
    }
}

impl Drop for OpenLane {
    fn drop(&mut self) {
        if !self.closed {
            let left = self.lanes.lanes.lock().remove(&self.target);
            let left = left.map_or(0, |lane| lane.len());
            self.lanes.waiting.fetch_sub(left + usize::from(self.brings), Ordering::AcqRel);
        }
    }
}
