//! The links of this node: at most one to a node is used, however many were dialled.
//!
//! When both sides dial at once, the link dialled by the lower store id wins; both sides decide alike. A link that
//! comes long after the other cannot be of the same moment: its dialler has lost the older one, so the newer wins. The
//! loser is retired, not cut (see [`super::link`], farewell).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::StoreId;
use parking_lot::RwLock;

use super::error::HelloError;
use super::handle::{End, Link};
use crate::network::{NetworkError, PeerAddress};

/// The link in use per store. A store that had one stays, so that a new link to it is known as a reconnect.
#[derive(Default)]
pub(super) struct Links(RwLock<HashMap<StoreId, Option<Arc<Link>>>>);

impl Links {
    /// The link to a peer, if there is one. A link to another run of its store than the meant one is no use: a later
    /// run is an error, an earlier one will be replaced by dialling.
    pub(super) fn find(&self, to: &PeerAddress) -> Result<Option<Arc<Link>>, NetworkError> {
        let links = self.0.read();
        let Some(meant) = to.run else {
            return Ok(links.values().flatten().find(|link| link.peer.name == to.name).cloned());
        };
        let Some(link) = links.get(&meant.store).and_then(Option::as_ref) else { return Ok(None) };
        let runs = link.peer.run.incarnation;
        if runs > meant.incarnation {
            let text = format!("{to} was restarted: incarnation {} is meant, {runs} runs", meant.incarnation);
            return Err(NetworkError::NotSent(text));
        }
        Ok((runs == meant.incarnation).then(|| link.clone()))
    }

    /// Takes a new link, and retires it or the one that was there. Returns true if the store had one before and lost it.
    pub(super) fn add(&self, new: &Arc<Link>, simultaneous: Duration) -> Result<bool, HelloError> {
        let mut links = self.0.write();
        let slot = match links.entry(new.peer.run.store) {
            Entry::Vacant(vacant) => {
                vacant.insert(Some(new.clone()));
                return Ok(false);
            }
            Entry::Occupied(occupied) => occupied.into_mut(),
        };
        let Some(old) = slot else {
            *slot = Some(new.clone());
            return Ok(true);
        };
        let (theirs, linked) = (new.peer.run, old.peer.run);
        if theirs.incarnation < linked.incarnation {
            return Err(HelloError::Outdated { theirs, linked });
        }
        if theirs.incarnation > linked.incarnation {
            old.close(End::Lost("the other node was restarted".to_owned()));
        } else if !wins(new, old, simultaneous) {
            new.retire();
            return Ok(false);
        } else {
            old.retire();
        }
        *slot = Some(new.clone());
        Ok(theirs != linked)
    }

    /// Forgets a link that has ended.
    pub(super) fn remove(&self, link: &Arc<Link>) {
        if let Some(slot) = self.0.write().get_mut(&link.peer.run.store) {
            slot.take_if(|active| Arc::ptr_eq(active, link));
        }
    }

    /// Retires every link.
    pub(super) fn retire_all(&self) {
        self.0.read().values().flatten().for_each(|link| link.retire());
    }
}

fn wins(new: &Link, old: &Link, simultaneous: Duration) -> bool {
    let same_moment = new.since.saturating_duration_since(old.since) <= simultaneous;
    if new.dialler != old.dialler && same_moment { new.dialler < old.dialler } else { true }
}
