//! Clients: each calls one actor, repeats the call with the same id through any node, hangs up, or gives up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use greenroom_core::{CallError, CallId, ContentType};
use greenroom_testing::Running;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::cast::{Who, with_actor};
use super::follow::follow;
use super::script::{Ask, Script};
use super::stage::{Failed, Look, Reply};
use super::theatre::{Caller, Theatre, call_by_name};
use super::witness::{Witness, usable};

/// How long a client follows an actor at most.
const FOLLOWS_MS: u64 = 5_000;

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Ran(Reply),
    Saw(Look),
    /// The turn failed: nothing of it remains.
    Failed,
    /// This attempt did not happen.
    NotDone,
    /// Nobody knows, or not now.
    Again,
}

/// What a client asks for, each time.
#[derive(Clone)]
struct Wish {
    id: CallId,
    to: Who,
    script: Option<Script>,
    hangs_up: bool,
    /// A repeated call must have the same arguments, byte for byte.
    content_type: ContentType,
}

/// One client.
pub(crate) async fn client(theatre: &Arc<Theatre>, ask: &Ask) {
    let (world, witness) = (&theatre.world, &theatre.witness);
    if ask.follows {
        return follow(theatre, ask.to, Duration::from_millis(ask.patience_ms.min(FOLLOWS_MS))).await;
    }
    let wish = Wish {
        id: CallId(world.draw(|random| random.u128(..))),
        to: ask.to,
        script: ask.script.clone(),
        hangs_up: ask.hangs_up,
        content_type: if world.chance(0.3) { ContentType::Json } else { ContentType::Msgpack },
    };
    let ran = wish.script.as_ref().map(|script| script.id);
    let known = witness.known(ask.to);
    let enough = Instant::now() + Duration::from_millis(ask.patience_ms);
    witness.counts.lock().asked += 1;
    let mut attempts = 0;
    let answer = loop {
        let until = enough.min(Instant::now() + Duration::from_millis(ask.attempt_ms));
        attempts += 1;
        match attempt(theatre, &wish, until).await {
            answer @ (Answer::NotDone | Answer::Again) if ask.once || Instant::now() >= enough => {
                break answer;
            }
            Answer::NotDone | Answer::Again => {}
            answer => break answer,
        }
        witness.counts.lock().repeated += 1;
        world.sleep(1..200).await;
    };
    world.trace.add(format!("{} №{ran:?}: {answer:?}", wish.to));
    match &answer {
        Answer::Ran(Reply { line }) => witness.client_knows(wish.to, *line, known, ran),
        Answer::Saw(look) => witness.client_knows(wish.to, look.page.line, known, None),
        Answer::NotDone if attempts == 1 && !witness.was_duplicated(wish.id) => {
            ran.iter().for_each(|part| witness.was_not_done(*part));
        }
        _ => {}
    }
    witness.counts.lock().answered += u64::from(!matches!(answer, Answer::NotDone | Answer::Again));
    if ask.again
        && let Answer::Ran(first) = answer
        && let Answer::Ran(again) = attempt(theatre, &wish, Instant::now() + Duration::from_secs(1)).await
        && wish.to.is_durable()
        && !wish.to.is_relaxed()
        && again != first
    {
        let message = format!("{} №{ran:?} was answered {first:?}, then {again:?}", wish.to);
        witness.violate("i4_a_repeated_call_gets_the_stored_reply", message);
    }
}

/// Looks at an actor, now that nothing goes wrong any more; `None` if nobody answers within `patience`.
pub(crate) async fn look_at_last(theatre: &Arc<Theatre>, to: Who, patience: Duration) -> Option<Look> {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        let id = CallId(theatre.world.draw(|random| random.u128(..)));
        let wish = Wish { id, to, script: None, hangs_up: false, content_type: ContentType::Msgpack };
        if let Answer::Saw(look) = attempt(theatre, &wish, Instant::now() + patience / 10).await {
            return Some(look);
        }
        theatre.world.sleep(10..100).await;
    }
    None
}

/// Sends the call once, through some node, and waits for the answer.
async fn attempt(theatre: &Arc<Theatre>, wish: &Wish, until: Instant) -> Answer {
    let world = &theatre.world;
    let node = world.draw(|random| random.usize(..theatre.nodes.size()));
    world.sleep(0..world.conditions().network.delay_ms + 1).await;
    let Some(running) = theatre.nodes.running(node) else { return Answer::Again };
    if world.fault(world.conditions().network.lose) {
        world.sleep(0..500).await;
        return Answer::Again;
    }
    let as_program = wish.content_type == ContentType::Msgpack && world.chance(0.5);
    let (report, answer) = oneshot::channel();
    let (run, sent, witness) = (running.clone(), wish.clone(), theatre.witness.clone());
    let task = world.executor.spawn(
        running.owner,
        Box::pin(async move {
            let outcome = if as_program {
                by_reference(&run, &witness, &sent, until).await
            } else {
                by_name(&run, &witness, &sent, until).await
            };
            let _ = report.send(outcome.unwrap_or_else(|error| failed(&witness, &sent, &error)));
        }),
    );
    let patience = std::pin::pin!(tokio::time::sleep_until(until + Duration::from_millis(20)));
    let answer = match select(answer, patience).await {
        Either::Left((answer, _)) => answer.unwrap_or(Answer::Again),
        Either::Right(_) => {
            if wish.hangs_up {
                world.executor.cancel(task.0);
            }
            Answer::Again
        }
    };
    world.sleep(0..world.conditions().network.delay_ms + 1).await;
    if world.fault(world.conditions().network.lose) { Answer::Again } else { answer }
}

/// The call by name, as the gateway makes it: one attempt.
async fn by_name(
    run: &Running,
    witness: &Witness,
    wish: &Wish,
    deadline: Instant,
) -> Result<Answer, CallError<Failed>> {
    let call = call_by_name(wish.to, wish.script.as_ref(), wish.id, wish.content_type, deadline)?;
    let outcome = run.router.call_once(call.clone()).await;
    witness.reply_leaves(&call, &outcome);
    let reply = outcome.map_err(CallError::typed)?;
    Ok(match wish.script {
        Some(_) => Answer::Ran(reply.decode("the reply")?),
        None => Answer::Saw(reply.decode("the reply")?),
    })
}

/// The call by a typed reference, as a program in the node makes it: repeated by the router until its deadline.
async fn by_reference(
    run: &Running,
    witness: &Witness,
    wish: &Wish,
    deadline: Instant,
) -> Result<Answer, CallError<Failed>> {
    let (caller, id) = (Caller::at(run), wish.id);
    let timeout = deadline.saturating_duration_since(Instant::now());
    match wish.script.clone() {
        Some(script) => {
            let reply =
                with_actor!(wish.to, caller, |actor| actor.run(script).call_id(id).timeout(timeout).await)?;
            witness.told(wish.to, reply.line, "a reply to a program");
            Ok(Answer::Ran(reply))
        }
        None => {
            let look = with_actor!(wish.to, caller, |actor| actor.look().call_id(id).timeout(timeout).await)?;
            witness.look_is_told(wish.to, &look);
            Ok(Answer::Saw(look))
        }
    }
}

/// What an error means for the client.
fn failed(witness: &Witness, wish: &Wish, error: &CallError<Failed>) -> Answer {
    witness.check("callers_are_told_what_they_can_use", usable(error, wish.script.as_ref()));
    match error {
        CallError::App(Failed::Planned { saw }) => {
            witness.told(wish.to, *saw, "an error");
            Answer::Failed
        }
        CallError::App(_) | CallError::Panicked(_) => Answer::Failed,
        CallError::Timeout { committed: Some(false) } => Answer::NotDone,
        _ => Answer::Again,
    }
}
