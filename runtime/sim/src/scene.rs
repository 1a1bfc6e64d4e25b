//! One history while it happens: the simulated cluster, what the seed decided beforehand, and who checks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use greenroom_core::engine::EngineBuilder;
use greenroom_testing::{Mutation, Nodes, World};

use crate::actors::Ledger;
use crate::checker::Checker;
use crate::settings::Settings;

/// What all parts of a history share.
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) settings: Settings,
    pub(crate) checker: Arc<Checker>,
    over: AtomicBool,
}

impl Scene {
    /// The history of this seed, before its beginning.
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>) -> Arc<Self> {
        let checker = Arc::new(Checker::default());
        let world = World::new(seed, checker.clone(), mutation);
        let settings = world.draw(Settings::draw);
        world.set_conditions(|conditions| *conditions = settings.conditions);
        world.trace.add(format!("{settings:?}"));
        let types = Arc::new(|engine: EngineBuilder, _: Option<&str>| engine.register::<Ledger>());
        let nodes =
            Nodes::with_groups(&world, settings.general(), &[settings.vault], settings.layout(), types);
        Arc::new(Self { world, nodes, settings, checker, over: AtomicBool::new(false) })
    }

    /// Ends the history.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// True if there is nothing more to simulate.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.checker.has_violation()
    }
}
