//! One program while it runs: the simulated cluster, and who watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use greenroom_core::actor::Actor;
use greenroom_core::call::{Call, CallContext, Chain};
use greenroom_core::codec::CodecError;
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::{CallId, ContentType, Payload};
use greenroom_testing::{Mutation, Nodes, Running, World};
use serde::Serialize;
use tokio::time::Instant;

use super::actors::{Ghost, Keeper, Porter, Scribe, Shelf, Usher};
use super::cast::Who;
use super::elders::{Elder, ElderBefore};
use super::errand::errand;
use super::script::{Program, Script};
use super::witness::Witness;

/// What all parts of a run share.
pub(crate) struct Theatre {
    pub(crate) world: Arc<World>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) program: Program,
    pub(crate) witness: Arc<Witness>,
    next_version: Arc<AtomicBool>,
    over: AtomicBool,
}

impl Theatre {
    /// Before the beginning.
    pub(crate) fn new(seed: u64, program: Program, mutation: Option<Mutation>) -> Arc<Self> {
        let witness = Witness::new(&program, mutation);
        let world = World::new(seed, witness.clone(), mutation);
        let _ = witness.world.set(Arc::downgrade(&world));
        world.set_conditions(|conditions| *conditions = program.conditions);
        world.trace.add(program.to_string());
        let is_new = Arc::new(AtomicBool::new(false));
        let next_version = is_new.clone();
        let types = Arc::new(move |engine: greenroom_core::engine::EngineBuilder, _: Option<&str>| {
            let engine = match is_new.load(Ordering::Relaxed) {
                true => engine.register::<Elder>(),
                false => engine.register::<ElderBefore>(),
            };
            engine
                .register::<Keeper>()
                .register::<Shelf>()
                .register::<Scribe>()
                .register::<Ghost>()
                .register::<Porter>()
                .register::<Usher>()
                .workflow::<errand>()
        });
        let nodes = Nodes::new(&world, program.nodes, program.shards, types);
        let _ = witness.nodes.set(Arc::downgrade(&nodes));
        Arc::new(Self { world, nodes, program, witness, next_version, over: AtomicBool::new(false) })
    }

    /// Nodes that start from now on have the next version of the program.
    pub(crate) fn upgrade(&self) {
        self.next_version.store(true, Ordering::Relaxed);
    }

    /// Ends the nodes that may have the version before.
    pub(crate) fn finish_upgrade(&self) {
        let nodes = if self.next_version.load(Ordering::Relaxed) { self.nodes.size() } else { 0 };
        for node in 0..nodes {
            self.nodes.crash(node);
        }
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// True if there is nothing more to simulate.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.witness.violation().is_some()
    }
}

/// A program in a node that makes calls.
pub(crate) struct Caller(pub(crate) Origin);

impl Caller {
    pub(crate) fn at(run: &Running) -> Self {
        Self(Origin::program(run.router.clone()))
    }

    pub(crate) fn actor<A: Actor>(&self, key: &str) -> A::Ref {
        ActorRef::new(self.0.clone(), key).into()
    }
}

/// The arguments of both methods by name, as a client without the types would send them.
#[derive(Serialize)]
struct Arguments<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<&'a Script>,
}

/// The call by name: it runs the script, or looks.
pub(crate) fn call_by_name(
    who: Who,
    script: Option<&Script>,
    id: CallId,
    content_type: ContentType,
    deadline: Instant,
) -> Result<Call, CodecError> {
    Ok(Call {
        target: who.id(),
        method: if script.is_some() { "run" } else { "look" }.into(),
        arguments: Payload::encode(content_type, "the arguments", &Arguments { script })?,
        context: CallContext { id, deadline, chain: Chain::default(), request: Default::default() },
        delivery: None,
    })
}
