//! Clients that append values to ledgers and read them, as an impatient program would: an unanswered call is repeated
//! with the same id through any node, sometimes while the first attempt still runs, sometimes after it was answered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use greenroom_core::call::{Call, CallContext, Chain};
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::{ActorId, ActorType, AppError, CallError, ContentType};
use greenroom_testing::{Mutation, Running};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::actors::{Ledger, LedgerRef};
use crate::checker::Checker;
use crate::checker::history::Told;
use crate::scene::Scene;
use crate::wish::{What, Wish};

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
pub(crate) async fn client(scene: Arc<Scene>, number: usize) {
    let world = scene.world.clone();
    let mut count = 0;
    let mut calm = 0;
    while calm < 3 {
        calm += usize::from(world.is_healed());
        world.sleep(0..2 * scene.settings.think_ms).await;
        let together = if world.chance(0.15) { world.draw(|random| random.u64(2..8)) } else { 1 };
        let wishes = (0..together).map(|nth| Wish::draw(&scene, number as u64 * 1_000_000 + count + nth));
        join_all(wishes.map(|wish| ask(&scene, wish))).await;
        count += together;
    }
}

/// Reads a ledger, now that nothing goes wrong any more; `None` if nobody answers within `patience`.
pub(crate) async fn read_at_last(scene: &Arc<Scene>, ledger: &str, patience: Duration) -> Option<Vec<u64>> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        let wish = Wish::read(scene, ledger);
        if let Answer::Final(Told::List(list)) = attempt(scene, &wish, Instant::now() + patience / 10).await {
            return Some(list);
        }
        scene.world.sleep(10..100).await;
    }
    None
}

/// Repeats the call until there is an answer or the client has had enough.
async fn ask(scene: &Arc<Scene>, mut wish: Wish) {
    let (world, checker) = (&scene.world, &scene.checker);
    let history = &checker.history;
    let call = history.begin(wish.id, &wish.ledger, wish.what.through(), wish.what.value());
    let enough = Instant::now() + world.millis(500..8_000);
    let asks_once = world.chance(0.25);
    checker.stats.lock().calls += 1;
    let told = loop {
        history.attempt(call);
        let until = enough.min(Instant::now() + world.millis(100..3_000));
        let until = if asks_once { enough } else { until };
        let answer = if world.chance(0.1) && !asks_once {
            history.attempt(call);
            both(checker, join(attempt(scene, &wish, until), attempt(scene, &wish, until)).await)
        } else {
            attempt(scene, &wish, until).await
        };
        let gives_up = asks_once || Instant::now() >= enough || world.chance(0.03);
        match answer {
            Answer::Final(told) => break told,
            Answer::NotDone if gives_up => break Told::NotDone,
            Answer::Again if gives_up => break Told::Nothing,
            Answer::NotDone | Answer::Again => {}
        }
        checker.stats.lock().repeats += 1;
        world.sleep(1..200).await;
        if world.has(Mutation::RepeatsWithAnotherId) {
            wish.id = wish.id.child(0);
        }
    };
    world.trace.add(format!("{} {:?} of {:?}: {told:?}", wish.ledger, wish.what, wish.id));
    note(checker, &told);
    if matches!(told, Told::Length(_)) && world.chance(0.1) {
        let again = attempt(scene, &wish, Instant::now() + world.millis(100..3_000)).await;
        both(checker, (Answer::Final(told.clone()), again));
    }
    history.end(call, told);
}

fn note(checker: &Checker, told: &Told) {
    let mut stats = checker.stats.lock();
    match told {
        Told::Length(_) => stats.appended += 1,
        Told::List(_) => stats.reads += 1,
        Told::NotDone | Told::RolledBack => stats.not_done += 1,
        Told::Nothing => stats.unknown += 1,
    }
}

/// What two attempts with one id come to. If both were answered, they were answered alike (I4).
fn both(checker: &Checker, answers: (Answer, Answer)) -> Answer {
    match answers {
        (Answer::Final(Told::Length(one)), Answer::Final(Told::Length(other))) if one != other => {
            let message = format!("one call id was told length {one} and length {other}");
            checker.violate("i4_a_repeated_call_gets_the_stored_reply", message);
            Answer::Final(Told::Length(one))
        }
        (answer @ Answer::Final(_), _) | (_, answer @ Answer::Final(_)) => answer,
        (Answer::NotDone, Answer::NotDone) => Answer::NotDone,
        _ => Answer::Again,
    }
}

/// Sends the call once, through some node, and waits for the answer.
async fn attempt(scene: &Arc<Scene>, wish: &Wish, until: Instant) -> Answer {
    let world = &scene.world;
    let node = world.draw(|random| random.usize(..scene.nodes.size()));
    world.sleep(0..world.conditions().network.delay_ms + 1).await;
    let Some(running) = scene.nodes.running(node) else { return Answer::Again };
    if world.fault(world.conditions().network.lose) {
        world.sleep(0..500).await;
        return Answer::Again;
    }
    let (report, answer) = oneshot::channel();
    let typed = wish.content_type == ContentType::Msgpack && world.chance(0.5);
    let (run, wish_there, checker) = (running.clone(), wish.clone(), scene.checker.clone());
    let task = world.executor.spawn(
        running.owner,
        Box::pin(async move {
            let answer = if typed {
                as_program(&run, &checker, &wish_there, until).await
            } else {
                as_gateway(&run, &checker, &wish_there, until).await
            };
            let _ = report.send(answer.unwrap_or_else(|unexpected| {
                checker.violate("callers_are_told_what_they_can_use", unexpected);
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
    world.sleep(0..world.conditions().network.delay_ms + 1).await;
    if world.fault(world.conditions().network.lose) { Answer::Again } else { answer }
}

/// The call by name, as the gateway makes it: one attempt.
async fn as_gateway(
    run: &Running,
    checker: &Checker,
    wish: &Wish,
    deadline: Instant,
) -> Result<Answer, String> {
    let target = ActorType::new("Ledger").and_then(|ledger| ActorId::new(ledger, &wish.ledger));
    let call = Call {
        target: target.map_err(|error| error.to_string())?,
        method: wish.what.method().into(),
        arguments: wish.arguments().map_err(|error| error.to_string())?,
        context: CallContext { id: wish.id, deadline, chain: Chain::default(), request: Default::default() },
        delivery: None,
    };
    let outcome = run.router.call_once(call.clone()).await;
    checker.reply_leaves(&call, &outcome);
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
async fn as_program(
    run: &Running,
    checker: &Checker,
    wish: &Wish,
    deadline: Instant,
) -> Result<Answer, String> {
    let ledger = LedgerRef::from(ActorRef::<Ledger>::new(Origin::program(run.router.clone()), &wish.ledger));
    let timeout = deadline.saturating_duration_since(Instant::now());
    let id = wish.id;
    let length = match wish.what.clone() {
        What::Read => match ledger.read().call_id(id).timeout(timeout).await {
            Ok(list) => {
                checker.list_leaves(&wish.ledger, &list);
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
            checker.output(&wish.ledger, length as usize, "a reply to a program");
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
