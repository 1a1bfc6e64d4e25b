//! One program from beginning to end: start, what it says, healing, the wait until all is done, the verdict.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use greenroom_core::index::Query;
use greenroom_core::{CallId, ContentType};
use greenroom_testing::Mutation;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actors::Shelf;
use super::cast::{Kind, Who};
use super::client;
use super::letters;
use super::script::{PartId, Program, What};
use super::steps::TAGS;
use super::theatre::{Caller, Theatre, call_by_name};
use super::witness;
use crate::report::{Counts, Report};
use crate::scenario::{Limits, drive, in_virtual_time};

/// After healing every actor must be served again within this time.
const SERVED_AGAIN_WITHIN: Duration = Duration::from_secs(20);
/// What is to be done must be done within this time after healing. A message that its target refuses is given up after
/// some 20 seconds, and those behind it wait for that.
const DONE_WITHIN: Duration = Duration::from_secs(240);
/// Nothing more than what is to be done happens within this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(8);
/// How many programs send their dead letters again.
const SENDS_AGAIN: f64 = 0.2;
/// How long after its last part a program heals.
const HEALS_AFTER: Duration = Duration::from_millis(500);
const LIMITS: Limits = Limits { longest: Duration::from_secs(600), most_polls: 3_000_000 };

/// Runs the program of a seed without some of its parts. The same seed gives the same history, on any machine, with the
/// same build.
pub fn simulate(seed: u64, mutation: Option<Mutation>, without: &BTreeSet<PartId>) -> Report<Counts> {
    let program = program(seed).without(without);
    in_virtual_time(run(seed, program, mutation))
}

/// The program of a seed, for reading.
pub fn read(seed: u64) -> String {
    program(seed).to_string()
}

/// The program of a seed.
pub(crate) fn program(seed: u64) -> Program {
    Program::draw(&mut Rng::with_seed(seed ^ 0x5C12_1975))
}

async fn run(seed: u64, program: Program, mutation: Option<Mutation>) -> Report<Counts> {
    let theatre = Theatre::new(seed, program, mutation);
    let (world, witness) = (theatre.world.clone(), theatre.witness.clone());
    let _entered = witness::enter(&witness);
    // The theatre holds its witness.
    let smuggler = Arc::downgrade(&theatre);
    let _ = witness.smuggler.set(Box::new(move |to, script| {
        let Some(theatre) = smuggler.upgrade() else { return };
        theatre.world.clone().spawn(async move {
            let id = CallId(theatre.world.draw(|random| random.u128(..)));
            let deadline = Instant::now() + Duration::from_secs(5);
            let call = call_by_name(to, Some(&script), id, ContentType::Msgpack, deadline);
            if let (Ok(call), Some(run)) = (call, theatre.nodes.running(0)) {
                let _ = run.router.call_once(call).await;
            }
        });
    }));
    world.spawn(live(theatre.clone()));
    let polls = drive(
        &world,
        &LIMITS,
        || theatre.is_over(),
        |invariant, message| witness.violate(invariant, message),
    );
    let polls = polls.await;
    theatre.nodes.dismantle();
    let mut stats = *witness.counts.lock();
    stats.faults_of(&witness.stats.lock());
    (stats.polls, stats.time) = (polls, world.elapsed());
    let (trace, hash) = world.trace.read();
    Report { seed, violation: witness.violation(), trace, hash, stats }
}

/// Everything that happens to the cluster.
async fn live(theatre: Arc<Theatre>) {
    let (world, begin) = (theatre.world.clone(), Instant::now());
    for node in 0..theatre.nodes.size() {
        world.sleep(0..200).await;
        theatre.nodes.start(node);
    }
    let mut clients = Vec::new();
    for item in &theatre.program.items {
        tokio::time::sleep_until(begin + Duration::from_millis(item.at_ms)).await;
        match &item.what {
            What::Fault(fault) => fault.happen(&theatre.nodes, &theatre.witness.stats),
            What::Upgrade => theatre.upgrade(),
            What::Ask(ask) => {
                let (done, finished) = oneshot::channel::<()>();
                let (theatre, ask) = (theatre.clone(), ask.clone());
                world.spawn(async move {
                    client::client(&theatre, &ask).await;
                    let _ = done.send(());
                });
                clients.push(finished);
            }
        }
    }
    tokio::time::sleep(HEALS_AFTER).await;
    theatre.finish_upgrade();
    world.heal();
    theatre.nodes.heal();
    join_all(clients).await;
    judge(&theatre).await;
    theatre.end();
}

/// Everything that is to be done is done, and what is then there is what the model has.
async fn judge(theatre: &Arc<Theatre>) {
    let witness = &theatre.witness;
    all_is_done(theatre).await;
    if theatre.world.chance(SENDS_AGAIN) {
        letters::send_again(theatre).await;
        all_is_done(theatre).await;
    }
    theatre.world.trace.add("everything is done");
    tokio::time::sleep(SETTLED_WITHIN).await;
    for who in &theatre.program.cast {
        let there = witness.version(*who);
        match client::look_at_last(theatre, *who, SERVED_AGAIN_WITHIN).await {
            Some(look) if who.is_durable() && look.page.line.version < there => {
                let message = format!("{who} shows version {}, {there} is durable", look.page.line.version);
                witness.violate("nothing_is_older_than_what_was_told", message);
            }
            Some(look) if who.is_relaxed() => witness.is_at_rest(*who, look.page.line),
            Some(_) => {}
            None => {
                let message = format!("nobody serves {who} {SERVED_AGAIN_WITHIN:?} after healing");
                witness.violate("everything_is_served_again", message);
            }
        }
    }
    for tag in 0..TAGS {
        look_into_index(theatre, tag).await;
    }
    witness.check_what_was_not_done();
    witness.check_letters();
    witness.check_audience();
}

/// Waits until what is promised is done.
async fn all_is_done(theatre: &Theatre) {
    let (witness, end) = (&theatre.witness, Instant::now() + DONE_WITHIN);
    while let Some(outstanding) = witness.outstanding() {
        if Instant::now() > end {
            return witness.violate("what_is_promised_is_done_in_the_end", outstanding);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The actors that the index finds by a tag are those that have it.
async fn look_into_index(theatre: &Arc<Theatre>, tag: u32) {
    let witness = &theatre.witness;
    let end = Instant::now() + SERVED_AGAIN_WITHIN;
    loop {
        let before = witness.tagged(tag);
        let found = query(theatre, tag).await;
        // A turn in between: once more.
        let is_still = before == witness.tagged(tag);
        match found {
            Ok(found) if found == before => return,
            Ok(found) if is_still => {
                let message = format!("tag {tag} finds {found:?}, the model has {before:?}");
                return witness.violate("the_index_finds_what_is_committed", message);
            }
            Err(error) if Instant::now() > end => {
                return witness
                    .violate("everything_is_served_again", format!("no answer for tag {tag}: {error}"));
            }
            _ => theatre.world.sleep(10..100).await,
        }
    }
}

async fn query(theatre: &Theatre, tag: u32) -> Result<BTreeSet<Who>, String> {
    let node = theatre.world.draw(|random| random.usize(..theatre.nodes.size()));
    let run = theatre.nodes.running(node).ok_or("the node does not run")?;
    let (report, answer) = oneshot::channel();
    let origin = Caller::at(&run).0;
    theatre.world.executor.spawn(
        run.owner,
        Box::pin(async move {
            let _ = report.send(Query::<Shelf>::new(origin).eq("tag", tag).all().await);
        }),
    );
    let found = answer.await.map_err(|_| "the node ended")?.map_err(|error| error.to_string())?;
    Ok(found.iter().filter_map(Who::of).filter(|who| who.kind == Kind::Shelf).collect())
}
