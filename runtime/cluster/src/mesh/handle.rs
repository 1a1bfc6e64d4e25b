//! One side of an open link, as the requests of this node and the link's two tasks share it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use greenroom_core::StoreId;
use greenroom_proto::v1;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::config::NodeIdentity;
use super::convert;
use super::error::Violation;
use super::link::{LinkState, NotTaken};
use super::stats::MeshStats;
use crate::network::{MeshReply, MeshRequest};

/// One side of an open link.
pub(super) struct Link {
    /// Who is at the other end.
    pub(super) peer: NodeIdentity,
    /// The store whose node has dialled.
    pub(super) dialler: StoreId,
    /// When it was opened.
    pub(super) since: Instant,
    pub(super) state: Mutex<LinkState<oneshot::Sender<Outcome>, AbortHandle>>,
    /// Wakes the writer.
    pub(super) work: Notify,
    pub(super) closed: CancellationToken,
    pub(super) end: OnceLock<End>,
    stats: Arc<MeshStats>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The other node has answered.
    Answer(v1::Response),
    /// The link was given up and the other node has not taken the request: ask on another link.
    Retired,
    /// It surely never left.
    Unsent(String),
    /// It may have been worked on.
    Lost(String),
    /// Too many requests are in flight.
    Overloaded,
    /// It is larger than a message may be.
    TooLarge(usize),
}

/// Why a link ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// Both sides are done with it.
    Parted,
    /// The connection broke, or this node gave it up.
    Lost(String),
    /// The other node broke the protocol.
    Violated(Violation),
}

impl Link {
    pub(super) fn new(shared: &Shared, peer: NodeIdentity, dialler: StoreId) -> Arc<Self> {
        Arc::new(Self {
            peer,
            dialler,
            since: shared.config.env.now(),
            state: Mutex::new(LinkState::new(shared.config.limits)),
            work: Notify::new(),
            closed: shared.closed.child_token(),
            end: OnceLock::new(),
            stats: shared.stats.clone(),
        })
    }

    /// Asks the other node. Dropping the future cancels the request there.
    pub(super) async fn ask(&self, request: &MeshRequest) -> Outcome {
        let (waiter, answer) = oneshot::channel();
        let MeshRequest { shard, epoch, call, .. } = request;
        let place = (u32::from(shard.0), epoch.0);
        let wire = convert::request_to_wire(call, false);
        let taken = self.state.lock().request(place, wire, call.context.deadline, waiter);
        let mut asking = match taken {
            Ok(id) => Asking { link: self, id, answered: false },
            Err(NotTaken::Retired) => return Outcome::Retired,
            Err(NotTaken::Overloaded) => return Outcome::Overloaded,
            Err(NotTaken::TooLarge { bytes }) => return Outcome::TooLarge(bytes),
        };
        self.work.notify_one();
        let outcome = answer.await;
        asking.answered = true;
        outcome.unwrap_or_else(|_| Outcome::Lost("the link was given up".to_owned()))
    }

    /// Puts a request into the queue whose answer nobody waits for.
    pub(super) fn tell(&self, request: &MeshRequest) -> Result<(), NotTaken> {
        let MeshRequest { shard, epoch, call, .. } = request;
        let wire = convert::request_to_wire(call, true);
        self.state.lock().tell((u32::from(shard.0), epoch.0), wire, call.context.deadline)?;
        self.work.notify_one();
        Ok(())
    }

    /// Takes no new request and closes the link once everything is answered.
    pub(super) fn retire(&self) {
        self.state.lock().retire();
        self.work.notify_one();
    }

    /// Ends the link at once. What waits is told so; tasks that work for the other node are stopped.
    pub(super) fn close(&self, end: End) {
        let remains = self.state.lock().close();
        self.stats.one_way_lost.add(remains.untold);
        let text = self.end.get_or_init(|| end).to_string();
        let peer = &self.peer.name;
        for waiter in remains.unsent {
            // Whoever waited may have given up meanwhile; so too below.
            let _ = waiter.send(Outcome::Unsent(format!("the link to {peer} ended before: {text}")));
        }
        for waiter in remains.lost {
            let _ = waiter.send(Outcome::Lost(format!("the link to {peer} ended: {text}")));
        }
        remains.tasks.iter().for_each(AbortHandle::abort);
        self.closed.cancel();
        self.work.notify_one();
    }

    /// Queues the answer to a request of the other node.
    pub(super) fn reply(&self, id: u64, reply: MeshReply) {
        self.state.lock().reply(id, convert::reply_to_wire(reply));
    }

    /// Wakes the writer if there is something for it.
    pub(super) fn wake_writer(&self) {
        if self.state.lock().has_work() {
            self.work.notify_one();
        }
    }
}

/// A request on its way; tells the other node when nobody waits any more.
struct Asking<'a> {
    link: &'a Link,
    id: u64,
    answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.link.state.lock().cancel(self.id);
            self.link.wake_writer();
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parted => f.write_str("both sides were done with it"),
            Self::Lost(why) => f.write_str(why),
            Self::Violated(violation) => write!(f, "protocol violation: {violation}"),
        }
    }
}
