//! Finds deadlocks of calls that do not come from one another: A waits for B while B waits for A.
//!
//! (A call whose own chain holds its actor is found without any of this, see [`Chain::cycle`](crate::call::Chain::cycle).)
//! `graph` says how; this file keeps each actor's waits and brings the probes. A call that turns wait for and that has
//! waited in a mailbox for [`FIRST_SEARCH`] searches, and again after pauses that double up to [`LONGEST_PAUSE`]: a probe
//! that is lost costs time, nothing else. A probe to an actor of another node is a call of [`PROBE`], so it goes the way
//! of every call to that actor, also while its shard moves.
//!
//! A turn is noted here only while a call of its does not end at once, and a call only when it searches: turns that run
//! in place never come here.

mod graph;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Core;
use super::activation::{Activation, AnyActivation, EnterError, Entry, TurnGuard};
use crate::actor::ActorMethods;
use crate::call::{Call, CallContext, CallResult, Chain};
use crate::codec::{ContentType, Payload};
use crate::cx::Cx;
use crate::error::CallError;
use crate::identity::{ActorId, CallId};
use crate::request::RequestContext;
use graph::{ActorWaits, Effect, Probe};

/// How long a call waits in a mailbox before it searches for a cycle.
pub(super) const FIRST_SEARCH: Duration = Duration::from_millis(10);
/// The longest time between two searches of a call.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a probe may be on its way to the next actor.
const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// The method that probes are calls of. No method of a type can have this name.
pub(super) const PROBE: &str = "@probe";

const STRIPES: usize = 16;

/// The waits at the actors of a node. An actor at which nothing waits is not in here.
pub(super) struct Waits {
    stripes: [Mutex<HashMap<ActorId, AtActor, FixedState>>; STRIPES],
}

#[derive(Default)]
struct AtActor {
    waits: ActorWaits,
    /// Tells a waiting call the cycle that it closes.
    verdicts: HashMap<CallId, oneshot::Sender<Vec<String>>, FixedState>,
}

impl Default for Waits {
    fn default() -> Self {
        Self { stripes: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Waits {
    fn with<T>(&self, actor: &ActorId, work: impl FnOnce(&mut AtActor) -> T) -> T {
        let stripe = actor.placement_hash() as usize % STRIPES;
        let mut actors = self.stripes[stripe].lock();
        let (done, empty) = {
            let at = actors.entry(actor.clone()).or_default();
            (work(at), at.waits.is_empty())
        };
        if empty {
            actors.remove(actor);
        }
        done
    }
}

/// A turn waits for a call, until this is dropped.
pub(crate) struct Awaited {
    turn: Cx,
    call: CallId,
}

impl Awaited {
    /// Notes it, unless the turn has ended: what it has left behind holds no actor.
    pub(crate) fn note(turn: &Cx, call: CallId, target: ActorId) -> Self {
        let waits = &turn.engine().waits;
        turn.waits();
        waits.with(turn.actor_id(), |at| at.waits.awaits(turn.call_id(), call, target));
        if turn.has_ended() {
            turn.engine().holds_no_more(turn);
        }
        Self { turn: turn.clone(), call }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let turn = &self.turn;
        let waits = &turn.engine().waits;
        waits.with(turn.actor_id(), |at| at.waits.awaits_no_more(turn.call_id(), self.call));
    }
}

/// A call waits in a mailbox and may be told of a deadlock, until this is dropped.
struct Queued<'a> {
    engine: &'a Core,
    actor: &'a ActorId,
    call: CallId,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.engine.waits.with(self.actor, |at| {
            at.waits.unqueue(self.call);
            at.verdicts.remove(&self.call);
        });
    }
}

/// Waits for a turn on behalf of a call that a turn has made. `Err` is the cycle that the call closes.
pub(super) async fn enter<A: ActorMethods>(
    engine: &Arc<Core>,
    activation: &Arc<Activation<A>>,
    entry: Entry,
    context: &CallContext,
) -> Result<Result<TurnGuard<A>, EnterError>, Vec<String>> {
    if let Some(guard) = activation.clone().enter_now(entry) {
        return Ok(Ok(guard));
    }
    // Boxed, so that the turns that need not wait do not carry its room with them.
    Box::pin(wait_and_search(engine, activation, entry, context.id)).await
}

async fn wait_and_search<A: ActorMethods>(
    engine: &Arc<Core>,
    activation: &Arc<Activation<A>>,
    entry: Entry,
    call: CallId,
) -> Result<Result<TurnGuard<A>, EnterError>, Vec<String>> {
    let mut entering = pin!(activation.enter(entry));
    if let Ok(entered) = timeout(FIRST_SEARCH, &mut entering).await {
        return Ok(entered);
    }
    let actor = activation.id();
    let (verdict, mut told) = oneshot::channel();
    let is_new = engine.waits.with(actor, |at| {
        let is_new = at.waits.queue(call);
        if is_new {
            at.verdicts.insert(call, verdict);
        }
        is_new
    });
    if !is_new {
        // The same call waits here twice; one of them searches.
        return Ok(entering.await);
    }
    let _queued = Queued { engine, actor, call };
    let mut pause = FIRST_SEARCH;
    loop {
        engine.search(actor, call);
        tokio::select! {
            biased;
            entered = &mut entering => return Ok(entered),
            Ok(path) = &mut told => return Err(path),
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// Takes a probe that came as a call.
pub(super) async fn receive(engine: Arc<Core>, call: Call) -> CallResult {
    let probe: Probe = call.arguments.decode("the probe")?;
    engine.bring(vec![(call.target, probe)]);
    Ok(Payload::default())
}

impl Core {
    fn search(self: &Arc<Self>, actor: &ActorId, call: CallId) {
        // Searches of a call are milliseconds apart, also if its shard moves to another node.
        let number = self.env.unix_ms();
        let effects = self.waits.with(actor, |at| at.waits.search(actor, call, number));
        self.bring(self.carry_out(actor, effects));
    }

    /// What the turn waits for keeps nobody else waiting any more.
    pub(crate) fn holds_no_more(&self, turn: &Cx) {
        self.waits.with(turn.actor_id(), |at| at.waits.ended(turn.call_id()));
    }

    /// Brings probes to their actors, those of this node at once.
    fn bring(self: &Arc<Self>, mut probes: Vec<(ActorId, Probe)>) {
        while let Some((actor, probe)) = probes.pop() {
            if self.place_of(&actor).is_none() {
                self.send_probe(actor, &probe);
                continue;
            }
            let effects = self.waits.with(&actor, |at| at.waits.arrived(&actor, probe));
            probes.extend(self.carry_out(&actor, effects));
        }
    }

    /// Tells the calls that fail, and returns the probes that go on.
    fn carry_out(&self, actor: &ActorId, effects: Vec<Effect>) -> Vec<(ActorId, Probe)> {
        let mut probes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(to, probe) => probes.push((to, probe)),
                Effect::Deadlock(call, path) => self.tell_deadlock(actor, call, path),
            }
        }
        probes
    }

    fn tell_deadlock(&self, actor: &ActorId, call: CallId, path: Vec<String>) {
        if let Some(verdict) = self.waits.with(actor, |at| at.verdicts.remove(&call)) {
            // The call may have got its turn in this moment.
            let _ = verdict.send(path);
        }
    }

    fn send_probe(&self, target: ActorId, probe: &Probe) {
        let Some(transport) = self.transport() else { return };
        let Ok(arguments) = Payload::encode(ContentType::Msgpack, "the probe", probe) else { return };
        let context = CallContext {
            id: CallId(self.env.random()),
            deadline: self.env.now() + PROBE_DEADLINE,
            chain: Chain::default(),
            request: RequestContext::default(),
        };
        let call = Call { target, method: PROBE.into(), arguments, context, delivery: None };
        let answer = transport.call(call);
        self.env.spawn(Box::pin(async move {
            // A probe that is lost is sent again with the next search.
            let _: Result<Payload, CallError<Payload>> = answer.await;
        }));
    }
}
