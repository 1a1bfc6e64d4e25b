//! One seed from beginning to end: start, trouble and work at once, healing, the last reads, the verdict.

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::actors::{self, PLANNED_PANIC};
use crate::cluster::Cluster;
use crate::executor::Step;
use crate::report::Report;
use crate::settings::Mutation;
use crate::world::World;
use crate::{faults, wish, workload};

/// After healing every ledger must be served again within this time.
const SERVED_AGAIN_WITHIN: Duration = Duration::from_secs(20);
/// After the last reads everything has come to rest within this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
/// How long an idle cluster is looked at.
const IDLE: Duration = Duration::from_secs(20);
/// No history is longer than this, unless something waits for ever.
const LONGEST: Duration = Duration::from_secs(300);
/// No history takes more polls than this, unless something goes round in circles.
const MOST_POLLS: u64 = 3_000_000;

/// Simulates one history. The same seed gives the same history, on any machine, with the same build.
pub fn simulate(seed: u64, mutation: Option<Mutation>) -> Report {
    quiet_planned_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing of the system").block_on(history(seed, mutation))
}

async fn history(seed: u64, mutation: Option<Mutation>) -> Report {
    let world = World::new(seed, mutation);
    let _entered = actors::enter(&world);
    world.trace.add(format!("{:?}", world.settings));
    let cluster = Cluster::new(&world);
    world.spawn(live(cluster.clone()));
    world.spawn(end_if_stuck(world.clone()));
    let mut polls = 0;
    world
        .executor
        .run(|step| {
            match step {
                Step::Polled(task) => world.trace.polled(task.number()),
                Step::Panicked(message) => world.checker.violate("nodes_do_not_panic", message),
                Step::Idle => {}
            }
            polls += 1;
            if polls > MOST_POLLS {
                let message = format!("{MOST_POLLS} polls within {:?}", world.elapsed());
                world.checker.violate("nothing_goes_round_in_circles", message);
            }
            world.is_over()
        })
        .await;
    let mut stats = *world.stats.lock();
    (stats.polls, stats.time) = (polls, world.elapsed());
    cluster.dismantle();
    let violation = world.checker.violation();
    let (trace, hash) = world.trace.finish();
    stats.events = trace.len() as u64;
    Report { seed, violation, trace, hash, stats }
}

/// Everything that happens to the cluster.
async fn live(cluster: Arc<Cluster>) {
    let world = cluster.world.clone();
    for node in 0..cluster.size() {
        world.sleep(0..200).await;
        cluster.start(node);
    }
    let clients: Vec<_> = (0..world.settings.clients)
        .map(|number| {
            let (done, finished) = oneshot::channel::<()>();
            let client = workload::client(cluster.clone(), number);
            world.spawn(async move {
                client.await;
                let _ = done.send(());
            });
            finished
        })
        .collect();
    faults::trouble(cluster.clone()).await;
    world.heal();
    cluster.heal();
    join_all(clients).await;
    judge(&cluster).await;
    world.end();
}

/// Every ledger is served again, and what it holds fits what clients were told.
async fn judge(cluster: &Arc<Cluster>) {
    let world = &cluster.world;
    let mut ledgers = BTreeMap::new();
    for number in 0..world.settings.ledgers {
        let name = wish::ledger_name(number);
        match workload::read_at_last(cluster, &name, SERVED_AGAIN_WITHIN).await {
            Some(values) => {
                world.trace.add(format!("in the end {name} holds {} values", values.len()));
                ledgers.insert(name, values);
            }
            None => {
                let message = format!("nobody serves ledger {name} {SERVED_AGAIN_WITHIN:?} after healing");
                world.checker.violate("everything_is_served_again", message);
            }
        }
    }
    world.checker.check_history(&ledgers);
    if world.chance(0.1) {
        i6_an_idle_cluster_writes_nothing(cluster).await;
    }
}

/// I6: nothing is written to the register while nothing changes.
///
/// The tasks of a node wait for changes, and a plan that has been carried out leaves nothing to plan.
async fn i6_an_idle_cluster_writes_nothing(cluster: &Arc<Cluster>) {
    // What began before the healing, like the restart of a drained node, ends first.
    tokio::time::sleep(SETTLED_WITHIN).await;
    let before = cluster.register.writes();
    tokio::time::sleep(IDLE).await;
    let written = cluster.register.writes() - before;
    if written > 0 {
        let message = format!("{written} writes within {IDLE:?}");
        cluster.world.checker.violate("i6_an_idle_cluster_writes_nothing", message);
    }
}

async fn end_if_stuck(world: Arc<World>) {
    tokio::time::sleep(LONGEST).await;
    world.checker.violate("every_history_ends", format!("it is not over after {LONGEST:?}"));
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
