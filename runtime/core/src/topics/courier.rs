//! Delivers by priority: one group after the other, each when all before it have answered.
//!
//! There is a courier per topic that has priorities, so only publications of that topic wait, and its channel never does.
//! It calls the listeners in its turn. **Claim**: a listener whose handler commits applies each publication once, and a
//! message that one has consumed reaches no lower group, over crashes:
//!
//! 1. The channel sends reliably, so the turn is repeated until it has ended well, with the same call id.
//! 2. The groups are arguments of that call, so the calls of a repeated turn have the ids of the turn before. A listener
//!    that has applied one gives the answer that it gave then, for as long as it remembers calls (10 minutes).
//! 3. Who cannot be reached is called again until the turn's deadline, which is a timeout and no refusal: 1. holds for as
//!    long as it takes.
//!
//! A handler that refuses (an error, a panic) has consumed nothing: it is sent the message reliably instead, and the
//! groups go on.

use std::time::Duration;

use futures_util::future::join_all;
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

use super::audience::{delivery, send_reliably};
use super::message::Body;
use super::{Handled, Subscription};
use crate::call::{Call, CallResult};
use crate::codec::Payload;
use crate::cx::Cx;
use crate::error::{CallError, Result};
use crate::reference::MOVED_AWAY;

/// How long to wait before somebody who cannot be reached is called again.
const PAUSE: Duration = Duration::from_millis(100);

/// The actor. Its key is the topic.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "crate", name = "greenroom.TopicCourier")]
pub(crate) struct Courier {}

#[actor_methods(crate = "crate")]
impl Courier {
    pub(super) async fn deliver(
        &mut self,
        cx: &Cx,
        topic: String,
        message: Body,
        groups: Vec<Vec<Subscription>>,
    ) -> Result<()> {
        for group in groups {
            let asked = group
                .iter()
                .map(|listener| ask(cx, listener, &topic, message.arguments(&listener.arguments, &topic)));
            let asked = asked.collect::<Result<Vec<_>>>()?;
            let mut consumed = false;
            for (listener, answer) in group.iter().zip(join_all(asked).await) {
                match answer {
                    Ok(reply) => consumed |= listener.consumes && has_consumed(&reply),
                    Err(refusal) => send_again(cx, listener, &message, &topic, &refusal)?,
                }
            }
            if consumed {
                break;
            }
        }
        Ok(())
    }
}

fn has_consumed(reply: &Payload) -> bool {
    matches!(reply.decode("the answer"), Ok(Handled::Consumed))
}

/// Calls a listener until it answers. The place of the call among those of the turn is given here, not when it is polled.
fn ask<'a>(
    cx: &'a Cx,
    to: &Subscription,
    topic: &str,
    arguments: Payload,
) -> Result<impl Future<Output = CallResult> + use<'a>> {
    let mut context = cx.context_of_call(cx.next_ordinal(), None);
    context.request.set_topic(topic)?;
    let call =
        Call { target: to.actor.clone(), method: to.method.clone(), arguments, context, delivery: None };
    Ok(async move {
        let moved = |_| CallError::Unavailable(MOVED_AWAY.into());
        cx.output_gate().await.map_err(moved)?;
        loop {
            if let Some(transport) = cx.engine().transport() {
                match transport.call(call.clone()).await {
                    Err(CallError::Unavailable(_) | CallError::Overloaded(_) | CallError::Timeout { .. }) => {
                    }
                    answer => return answer,
                }
            }
            // The turn's deadline ends this.
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn send_again(
    cx: &Cx,
    to: &Subscription,
    message: &Body,
    topic: &str,
    refusal: &CallError<Payload>,
) -> Result<()> {
    let Subscription { actor, method, arguments, .. } = to;
    tracing::warn!(%topic, listener = %actor, %method, error = %refusal, "a listener refused; the message is sent to it again");
    let arguments = message.arguments(arguments, topic);
    send_reliably(cx, delivery(cx, topic, actor.clone(), method.clone(), arguments)?);
    Ok(())
}
