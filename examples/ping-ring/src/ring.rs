//! A ring, as a program sees it that throws pings in.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use greenroom::CallError;

use crate::peer::{PeerRef, Ping};

/// A ring of peers, found by their places.
pub struct Ring<F> {
    places: u32,
    peer: F,
}

impl<F: Fn(u32) -> PeerRef> Ring<F> {
    /// A ring of so many places; `peer` makes the reference to one.
    pub fn new(places: u32, peer: F) -> Self {
        Self { places, peer }
    }

    /// Throws a ping in at the first place, and waits until it has made its hops; `round` is told each time it comes by
    /// there. To hear of its end, the hops must be whole rounds.
    pub async fn ping(&self, hops: u64, mut round: impl FnMut(&Ping)) -> Result<(), CallError> {
        let first = (self.peer)(0);
        let mut rounds = first.rounds().await?;
        first.ping(Ping { made: 0, hops, places: self.places }).await?;
        while let Some(ping) = rounds.next().await {
            round(&ping?);
        }
        Ok(())
    }

    /// How many hops have come to each place.
    pub async fn hops(&self) -> Result<Vec<u64>, CallError> {
        try_join_all((0..self.places).map(|place| (self.peer)(place).hops())).await
    }

    /// How many of the peers are on which node.
    pub async fn nodes(&self) -> Result<BTreeMap<String, u32>, CallError> {
        let mut nodes = BTreeMap::new();
        for node in try_join_all((0..self.places).map(|place| (self.peer)(place).node())).await? {
            *nodes.entry(node).or_default() += 1;
        }
        Ok(nodes)
    }
}
