//! One seed from beginning to end: start, trouble and work at once, healing, the last reads, the verdict.

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::future::join_all;
use greenroom_testing::executor::Step;
use greenroom_testing::{Mutation, World};
use tokio::sync::oneshot;

use crate::actors::{self, PLANNED_PANIC};
use crate::report::Report;
use crate::scene::Scene;
use crate::{faults, wish, workload};

/// After healing every ledger must be served again within this time.
const SERVED_AGAIN_WITHIN: Duration = Duration::from_secs(20);
/// After the last reads everything has come to rest within this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
/// How long an idle cluster is looked at.
const IDLE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { longest: Duration::from_secs(300), most_polls: 3_000_000 };

/// How much a history may take, unless something waits for ever or goes round in circles.
pub(crate) struct Limits {
    pub(crate) longest: Duration,
    pub(crate) most_polls: u64,
}

/// Simulates one history. The same seed gives the same history, on any machine, with the same build.
pub fn simulate(seed: u64, mutation: Option<Mutation>) -> Report {
    in_virtual_time(history(seed, mutation))
}

/// Runs a history in a runtime of its own, whose clock goes on when nothing can run.
pub(crate) fn in_virtual_time<T>(history: impl Future<Output = T>) -> T {
    quiet_planned_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing of the system").block_on(history)
}

async fn history(seed: u64, mutation: Option<Mutation>) -> Report {
    let scene = Scene::new(seed, mutation);
    let (world, checker) = (&scene.world, &scene.checker);
    let _entered = actors::enter(checker);
    world.spawn(live(scene.clone()));
    let violate = |invariant, message| checker.violate(invariant, message);
    let polls = drive(world, &LIMITS, || scene.is_over(), violate).await;
    let mut stats = *checker.stats.lock();
    (stats.polls, stats.time) = (polls, world.elapsed());
    scene.nodes.dismantle();
    let violation = checker.violation();
    let (trace, hash) = world.trace.read();
    stats.events = trace.len() as u64;
    Report { seed, violation, trace, hash, stats }
}

/// Runs the tasks of a history until it is over, and says how many polls that took.
pub(crate) async fn drive(
    world: &World,
    limits: &Limits,
    is_over: impl Fn() -> bool,
    violate: impl Fn(&'static str, String),
) -> u64 {
    let mut polls = 0;
    let run = world.executor.run(tokio::time::sleep(limits.longest), |step| {
        match step {
            Step::Polled(task) => world.trace.polled(task.number()),
            Step::Panicked(message) => violate("nodes_do_not_panic", message),
            Step::Main | Step::Idle => {}
        }
        polls += 1;
        if polls > limits.most_polls {
            let message = format!("{} polls within {:?}", limits.most_polls, world.elapsed());
            violate("nothing_goes_round_in_circles", message);
        }
        is_over()
    });
    if run.await.is_some() {
        violate("every_history_ends", format!("it is not over after {:?}", limits.longest));
    }
    polls
}

/// Everything that happens to the cluster.
async fn live(scene: Arc<Scene>) {
    let world = scene.world.clone();
    for node in 0..scene.nodes.size() {
        world.sleep(0..200).await;
        scene.nodes.start(node);
    }
    let clients: Vec<_> = (0..scene.settings.clients)
        .map(|number| {
            let (done, finished) = oneshot::channel::<()>();
            let client = workload::client(scene.clone(), number);
            world.spawn(async move {
                client.await;
                let _ = done.send(());
            });
            finished
        })
        .collect();
    faults::trouble(scene.clone()).await;
    world.heal();
    scene.nodes.heal();
    join_all(clients).await;
    judge(&scene).await;
    scene.end();
}

/// Every ledger is served again, and what it holds fits what clients were told.
async fn judge(scene: &Arc<Scene>) {
    let (world, checker) = (&scene.world, &scene.checker);
    let mut ledgers = BTreeMap::new();
    for number in 0..scene.settings.ledgers {
        let name = wish::ledger_name(number);
        match workload::read_at_last(scene, &name, SERVED_AGAIN_WITHIN).await {
            Some(values) => {
                world.trace.add(format!("in the end {name} holds {} values", values.len()));
                ledgers.insert(name, values);
            }
            None => {
                let message = format!("nobody serves ledger {name} {SERVED_AGAIN_WITHIN:?} after healing");
                checker.violate("everything_is_served_again", message);
            }
        }
    }
    checker.check_history(&ledgers);
    if world.chance(0.1) {
        i6_an_idle_cluster_writes_nothing(scene).await;
    }
}

/// I6: nothing is written to the register while nothing changes.
///
/// The tasks of a node wait for changes, and a plan that has been carried out leaves nothing to plan.
async fn i6_an_idle_cluster_writes_nothing(scene: &Scene) {
    // What began before the healing, like the restart of a drained node, ends first.
    tokio::time::sleep(SETTLED_WITHIN).await;
    let before = scene.nodes.register.writes();
    tokio::time::sleep(IDLE).await;
    let written = scene.nodes.register.writes() - before;
    if written > 0 {
        let message = format!("{written} writes within {IDLE:?}");
        scene.checker.violate("i6_an_idle_cluster_writes_nothing", message);
    }
}

/// Panics that actors are asked for are caught by the engine; here their messages would only hide others.
fn quiet_planned_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload_as_str().is_some_and(|message| message.contains(PLANNED_PANIC)) {
                usual(panic);
            }
        }));
    });
}
