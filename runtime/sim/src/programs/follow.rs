//! Clients that follow an actor: a stream of the states that its turns make.
//!
//! Each turn pushes its state before its first step, so what fails has pushed too. A consumer sees one state after the
//! other, none twice, and none that is not durable: a failed turn's is in no line.

use std::sync::Arc;
use std::time::Duration;

use greenroom_core::CallError;
use greenroom_testing::Running;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::actors::{Keeper, Scribe, Shelf};
use super::cast::{Kind, Who};
use super::stage::Line;
use super::theatre::{Caller, Theatre};
use super::witness::{Witness, usable};

/// Follows an actor from a node, as long as the stream lasts, but no longer than this.
pub(crate) async fn follow(theatre: &Theatre, who: Who, most: Duration) {
    let node = theatre.world.draw(|random| random.usize(..theatre.nodes.size()));
    let Some(running) = theatre.nodes.running(node) else { return };
    let (report, done) = oneshot::channel::<()>();
    let (run, witness) = (running.clone(), theatre.witness.clone());
    theatre.world.executor.spawn(
        running.owner,
        Box::pin(async move {
            let _ = timeout(most, read(&run, &witness, who)).await;
            let _ = report.send(());
        }),
    );
    // An error: the node has ended.
    let _ = done.await;
}

async fn read(run: &Running, witness: &Arc<Witness>, who: Who) {
    let (caller, key) = (Caller::at(run), who.key());
    let opened = match who.kind {
        Kind::Keeper => caller.actor::<Keeper>(&key).follow().await,
        Kind::Shelf => caller.actor::<Shelf>(&key).follow().await,
        Kind::Scribe => caller.actor::<Scribe>(&key).follow().await,
        Kind::Ghost | Kind::Elder => return,
    };
    let is_usable =
        |error: &CallError<_>| witness.check("callers_are_told_what_they_can_use", usable(error, None));
    let mut states = match opened {
        Ok(states) => states,
        Err(error) => return is_usable(&error),
    };
    let mut last = None;
    loop {
        match states.next().await {
            Some(Ok(line)) => witness.follows(who, last.replace(line), line),
            Some(Err(error)) => return is_usable(&error.map_app(|error| CallError::Refused(error.message))),
            None => {
                let message = format!("a stream of {who} has come to an end that nobody has made");
                return witness.violate("a_stream_has_each_state_once", message);
            }
        }
    }
}

impl Witness {
    /// Somebody who follows the actor is shown this state behind that one.
    fn follows(&self, who: Who, last: Option<Line>, line: Line) {
        self.counts.lock().followed += 1;
        self.told(who, line, "an item of a stream");
        if last.is_some_and(|last| last.version + 1 != line.version) {
            let message = format!("a stream of {who} has {line:?} behind {last:?}");
            self.violate("a_stream_has_each_state_once", message);
        }
    }
}
