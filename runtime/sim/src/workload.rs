//! Clients that append values to ledgers and read them, as an impatient program would: an unanswered call is repeated
//! with the same id through any node, sometimes while the first attempt still runs, sometimes after it was answered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use greenroom_core::call::{Call, CallContext, Chain};
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::{ActorId, ActorType, AppError, CallError, ContentType};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::actors::{Ledger, LedgerRef};
use crate::checker::history::Told;
use crate::cluster::{Cluster, Running};
use crate::settings::Mutation;
use crate::wish::{What, Wish};
use crate::world::World;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// The client has been told.
    Final(Told),
    /// This attempt did not happen.
    NotDone,
    /// Unknown, or not now: to be repeated.
    Again,
}

/// One client, until some time after everything has healed.
pub(crate) async fn client(cluster: Arc<Cluster>, number: usize) {
    let world = cluster.world.clone();
    let mut count = 0;
    let mut calm = 0;
    while calm < 3 {
        calm += usize::from(world.is_healed());
        world.sleep(0..2 * world.settings.think_ms).await;
        let together = if world.chance(0.15) { world.draw(|random| random.u64(2..8)) } else { 1 };
        let wishes = (0..together).map(|nth| Wish::draw(&world, number as u64 * 1_000_000 + count + nth));
        join_all(wishes.map(|wish| ask(&cluster, wish))).await;
        count += together;
    }
}

/// Reads a ledger, now that nothing goes wrong any more; `None` if nobody answers within `patience`.
pub(crate) async fn read_at_last(
    cluster: &Arc<Cluster>,
    ledger: &str,
    patience: Duration,
) -> Option<Vec<u64>> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        let wish = Wish::read(&cluster.world, ledger);
        if let Answer::Final(Told::List(list)) = attempt(cluster, &wish, Instant::now() + patience / 10).await
        {
            return Some(list);
        }
        cluster.world.sleep(10..100).await;
    }
    None
}

/// Repeats the call until there is an answer or the client has had enough.
async fn ask(cluster: &Arc<Cluster>, mut wish: Wish) {
    let world = &cluster.world;
    let history = &world.checker.history;
    let call = history.begin(wish.id, &wish.ledger, wish.what.through(), wish.what.value());
    let enough = Instant::now() + world.millis(500..8_000);
    let asks_once = world.chance(0.25);
    world.stats.lock().calls += 1;
    let told = loop {
        history.attempt(call);
        let until = enough.min(Instant::now() + world.millis(100..3_000));
        let until = if asks_once { enough } else { until };
        let answer = if world.chance(0.1) && !asks_once {
            history.attempt(call);
            both(world, join(attempt(cluster, &wish, until), attempt(cluster, &wish, until)).await)
        } else {
            attempt(cluster, &wish, until).await
        };
        let gives_up = asks_once || Instant::now() >= enough || world.chance(0.03);
        match answer {
            Answer::Final(told) => break told,
            Answer::NotDone if gives_up => break Told::NotDone,
            Answer::Again if gives_up => break Told::Nothing,
            Answer::NotDone | Answer::Again => {}
        }
        world.stats.lock().repeats += 1;
        world.sleep(1..200).await;
        if world.has(Mutation::RepeatsWithAnotherId) {
            wish.id = wish.id.child(0);
        }
    };
    world.trace.add(format!("{} {:?} of {:?}: {told:?}", wish.ledger, wish.what, wish.id));
    note(world, &told);
    if matches!(told, Told::Length(_)) && world.chance(0.1) {
        let again = attempt(cluster, &wish, Instant::now() + world.millis(100..3_000)).await;
        both(world, (Answer::Final(told.clone()), again));
    }
    history.end(call, told);
}

fn note(world: &World, told: &Told) {
    let mut stats = world.stats.lock();
    match told {
        Told::Length(_) => stats.appended += 1,
        Told::List(_) => stats.reads += 1,
        Told::NotDone | Told::RolledBack => stats.not_done += 1,
        Told::Nothing => stats.unknown += 1,
    }
}

/// What two attempts with one id come to. If both were answered, they were answered alike (I4).
fn both(world: &World, answers: (Answer, Answer)) -> Answer {
    match answers {
        (Answer::Final(Told::Length(one)), Answer::Final(Told::Length(other))) if one != other => {
            let message = format!("one call id was told length {one} and length {other}");
            world.checker.violate("i4_a_repeated_call_gets_the_stored_reply", message);
            Answer::Final(Told::Length(one))
        }
        (answer @ Answer::Final(_), _) | (_, answer @ Answer::Final(_)) => answer,
        (Answer::NotDone, Answer::NotDone) => Answer::NotDone,
        _ => Answer::Again,
    }
}

/// Sends the call once, through some node, and waits for the answer.
async fn attempt(cluster: &Arc<Cluster>, wish: &Wish, until: Instant) -> Answer {
    let world = &cluster.world;
    let node = world.draw(|random| random.usize(..cluster.size()));
    world.sleep(0..world.settings.network.delay_ms + 1).await;
    let Some(running) = cluster.running(node) else { return Answer::Again };
    if world.fault(world.settings.network.lose) {
        world.sleep(0..500).await;
        return Answer::Again;
    }
    let (report, answer) = oneshot::channel();
    let typed = wish.content_type == ContentType::Msgpack && world.chance(0.5);
    let (run, wish_there, world_there) = (running.clone(), wish.clone(), world.clone());
    let task = world.executor.spawn(
        running.owner,
        Box::pin(async move {
            let answer = if typed {
                as_program(&run, &wish_there, until).await
            } else {
                as_gateway(&run, &wish_there, until).await
            };
            let _ = report.send(answer.unwrap_or_else(|unexpected| {
                world_there.checker.violate("callers_are_told_what_they_can_use", unexpected);
                Answer::Again
            }));
        }),
    );
    let patience = std::pin::pin!(tokio::time::sleep_until(until + Duration::from_millis(20)));
    let answer = match select(answer, patience).await {
        Either::Left((answer, _)) => answer.unwrap_or(Answer::Again),
        Either::Right(_) => {
            // Half of the clients close the connection, which cancels the call.
            if world.chance(0.5) {
                world.executor.cancel(task.0);
            }
            Answer::Again
        }
    };
    world.sleep(0..world.settings.network.delay_ms + 1).await;
    if world.fault(world.settings.network.lose) { Answer::Again } else { answer }
}

/// The call by name, as the gateway makes it: one attempt.
async fn as_gateway(run: &Running, wish: &Wish, deadline: Instant) -> Result<Answer, String> {
    let target = ActorType::new("Ledger").and_then(|ledger| ActorId::new(ledger, &wish.ledger));
    let call = Call {
        target: target.map_err(|error| error.to_string())?,
        method: wish.what.method().into(),
        arguments: wish.arguments().map_err(|error| error.to_string())?,
        context: CallContext { id: wish.id, deadline, chain: Chain::default() },
    };
    let outcome = run.router.call_once(call.clone()).await;
    run.world.checker.reply_leaves(&call, &outcome);
    match outcome {
        Ok(reply) if wish.what == What::Read => {
            let list = reply.decode("the reply").map_err(|error| error.to_string())?;
            Ok(Answer::Final(Told::List(list)))
        }
        Ok(reply) => {
            let length: u64 = reply.decode("the reply").map_err(|error| error.to_string())?;
            Ok(Answer::Final(Told::Length(length as usize)))
        }
        Err(error) => failed(&wish.what, error.typed()),
    }
}

/// The call by a typed reference, as a program in the node makes it: repeated by the router until its deadline.
async fn as_program(run: &Running, wish: &Wish, deadline: Instant) -> Result<Answer, String> {
    let ledger = LedgerRef::from(ActorRef::<Ledger>::new(Origin::Program(run.router.clone()), &wish.ledger));
    let timeout = deadline.saturating_duration_since(Instant::now());
    let id = wish.id;
    let length = match wish.what.clone() {
        What::Read => match ledger.read().call_id(id).timeout(timeout).await {
            Ok(list) => {
                run.world.checker.list_leaves(&wish.ledger, &list);
                return Ok(Answer::Final(Told::List(list)));
            }
            Err(error) => Err(error),
        },
        What::Append(value) => ledger.append(value).call_id(id).timeout(timeout).await,
        What::AppendSlowly(value, pause_ms) => {
            ledger.append_slowly(value, pause_ms).call_id(id).timeout(timeout).await
        }
        What::Refuse(value) => ledger.refuse(value).call_id(id).timeout(timeout).await,
        What::Explode(value) => ledger.explode(value).call_id(id).timeout(timeout).await,
        What::Relay { to, value } => ledger.relay(to, value).call_id(id).timeout(timeout).await,
    };
    match length {
        Ok(length) => {
            run.world.checker.output(&wish.ledger, length as usize, "a reply to a program");
            Ok(Answer::Final(Told::Length(length as usize)))
        }
        Err(error) => failed(&wish.what, error),
    }
}

/// What an error means for the client; `Err` if no caller should ever be told this.
fn failed(what: &What, error: CallError<AppError>) -> Result<Answer, String> {
    match (what, error) {
        (What::Refuse(_), CallError::App(_)) => Ok(Answer::Final(Told::RolledBack)),
        (What::Explode(_), CallError::Panicked(_)) => Ok(Answer::Final(Told::RolledBack)),
        // The inner call failed, and so did the turn.
        (What::Relay { .. }, CallError::App(error)) if !error.message.starts_with("invalid") => {
            Ok(Answer::Again)
        }
        (_, CallError::Timeout { committed: Some(false) }) => Ok(Answer::NotDone),
        (_, CallError::Timeout { .. } | CallError::Unavailable(_) | CallError::Overloaded(_)) => {
            Ok(Answer::Again)
        }
        (what, error) => Err(format!("{what:?} was answered with {}: {error}", error.kind())),
    }
}
