//! Which actors are in memory here: a page at a time, and as changes for those who follow.
//!
//! A watch keeps nothing for its client. It reads the engine's log of changes from where it has come to, when the client
//! has taken what was sent before; what has come together meanwhile goes as one message. A client that is so slow that
//! the log has forgotten what comes next is told so, and lists again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use greenroom_core::engine::{Change, ChangesError, Engine, Placement, Stamp};
use greenroom_core::identity::{ActorId, ActorType};
use greenroom_proto::v1;
use tokio::time::Instant;
use tonic::Status;

/// The size of a page of placements when none is asked for.
const PAGE_DEFAULT: usize = 500;
/// The largest page of placements.
const PAGE_MAX: usize = 10_000;
/// How many changes go into one message at most.
const BATCH_MAX: usize = 1_000;
/// A watch says this often how far it has come, also when nothing changes.
const STAMP_EVERY: Duration = Duration::from_secs(1);

/// A page of what is in memory on this node.
pub(super) fn page(
    engine: &Engine,
    node: &str,
    request: &v1::PlacementsRequest,
) -> Result<v1::PlacementsPage, Status> {
    // Before the first look: a change that this page does not show has a greater stamp.
    let stamp = engine.stamp(Stamp(request.after)).map_err(|error| refusal(error, Watching::Begins))?.0;
    let only = |found: Option<Placement>| v1::PlacementsPage {
        placements: found.iter().map(|placement| describe(placement, node)).collect(),
        next_page_token: String::new(),
        stamp,
    };
    if !request.name.is_empty() {
        let found = engine.placement_named(&request.name);
        return Ok(only(found.filter(|found| is_of(&request.r#type, found))));
    }
    if !request.key.is_empty() {
        return Ok(only(engine.placement(&identity(&request.r#type, &request.key)?)));
    }
    let actor_type = Some(request.r#type.as_str()).filter(|name| !name.is_empty());
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(token.parse::<ActorId>().map_err(|_| {
            Status::invalid_argument("the page token is none of this service; begin again without one")
        })?),
    };
    let size = match request.page_size as usize {
        0 => PAGE_DEFAULT,
        size => size.min(PAGE_MAX),
    };
    // The first page shows the present, those that follow at least what was there when the listing began.
    let since = after.is_some().then_some(Stamp(request.after));
    let found = engine.placements(actor_type, after.as_ref(), since, size);
    let last = found.placements.last().filter(|_| found.more).map(|placement| placement.actor.to_string());
    let placements = found.placements.iter().map(|placement| describe(placement, node)).collect();
    Ok(v1::PlacementsPage { placements, next_page_token: last.unwrap_or_default(), stamp: found.stamp.0 })
}

/// What changes after a stamp. Refused at once if the node does not know all of that.
pub(super) fn watch(
    engine: Arc<Engine>,
    node: String,
    request: v1::WatchPlacementsRequest,
) -> Result<impl Stream<Item = Result<v1::PlacementChanges, Status>> + Send + 'static, Status> {
    let at = Stamp(request.after);
    engine.changes(at, 0).map_err(|error| refusal(error, Watching::Begins))?;
    let watch = Watch { engine, node, actor_type: request.r#type, at, said: Instant::now() };
    Ok(stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(changes) => Some((Ok(changes), Some(watch))),
            Err(status) => Some((Err(status), None)),
        }
    }))
}

struct Watch {
    engine: Arc<Engine>,
    node: String,
    /// Only this type; empty: all.
    actor_type: String,
    /// Every change up to here has been sent, or is of another type.
    at: Stamp,
    /// When the client was last told how far the watch has come.
    said: Instant,
}

impl Watch {
    async fn next(&mut self) -> Result<v1::PlacementChanges, Status> {
        loop {
            // Before the look at the changes, so that none falls in between.
            let changed = self.engine.changed();
            let found =
                self.engine.changes(self.at, BATCH_MAX).map_err(|error| refusal(error, Watching::GoesOn))?;
            let (any, drained) = (!found.changes.is_empty(), self.engine.is_drained());
            self.at = found.until;
            let mine = found.changes.iter().filter(|change| is_of(&self.actor_type, &change.placement));
            let changes: Vec<_> = mine.map(|change| describe_change(change, &self.node)).collect();
            if !changes.is_empty() || self.said.elapsed() >= STAMP_EVERY {
                self.said = Instant::now();
                return Ok(v1::PlacementChanges { changes, stamp: self.at.0 });
            }
            if !any && drained {
                return Err(Status::unavailable("the node has been drained; its actors are elsewhere now"));
            }
            if !any {
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(self.said + STAMP_EVERY) => {}
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Watching {
    Begins,
    GoesOn,
}

/// What the client is told: that it asks from too long ago, or that it has been too slow.
fn refusal(error: ChangesError, watching: Watching) -> Status {
    match (error, watching) {
        (ChangesError::InTheFuture(_), _) => Status::invalid_argument(error.to_string()),
        (ChangesError::Forgotten(_), Watching::Begins) => Status::out_of_range(error.to_string()),
        (ChangesError::Forgotten(_), Watching::GoesOn) => {
            Status::resource_exhausted(format!("the changes were not taken as fast as they came: {error}"))
        }
    }
}

fn is_of(actor_type: &str, placement: &Placement) -> bool {
    actor_type.is_empty() || placement.actor.actor_type.as_str() == actor_type
}

fn identity(actor_type: &str, key: &str) -> Result<ActorId, Status> {
    ActorType::new(actor_type)
        .and_then(|actor_type| ActorId::new(actor_type, key))
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn describe_change(change: &Change, node: &str) -> v1::PlacementChange {
    let placement = Some(describe(&change.placement, node));
    v1::PlacementChange { placement, gone: change.gone, stamp: change.stamp.0 }
}

fn describe(placement: &Placement, node: &str) -> v1::Placement {
    v1::Placement {
        name: placement.actor.placement_name(),
        r#type: placement.actor.actor_type.as_str().to_owned(),
        key: placement.actor.key.as_str().to_owned(),
        node: node.to_owned(),
        shard: u32::from(placement.shard.0),
        epoch: placement.epoch.0,
        activated_unix_ms: i64::try_from(placement.activated_unix_ms).unwrap_or(i64::MAX),
        mailbox: u32::try_from(placement.mailbox).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_client_learns_whether_it_came_late_or_was_slow() {
        let forgotten = ChangesError::Forgotten(Stamp(7));
        assert_eq!(refusal(forgotten, Watching::Begins).code(), Code::OutOfRange);
        let slow = refusal(forgotten, Watching::GoesOn);
        assert_eq!(slow.code(), Code::ResourceExhausted);
        assert!(slow.message().ends_with("; list the placements again"), "{slow}");
        let wrong = refusal(ChangesError::InTheFuture(Stamp(7)), Watching::Begins);
        assert_eq!(wrong.code(), Code::InvalidArgument);
    }
}
