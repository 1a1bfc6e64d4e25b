//! One place of a ring: passes a ping on to the next, and tells who listens at its end.
//!
//! Each hop is a message: the turn that sends it has ended when the next begins, so however many hops there are, no stack
//! and no chain of calls grows.

use greenroom::{Actor, AppError, Cx, Feed, Items, Result, actor_methods};
use serde::{Deserialize, Serialize};

/// A ping on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// How many hops it has made.
    pub made: u64,
    /// How many it makes in all.
    pub hops: u64,
    /// How many places the ring has.
    pub places: u32,
}

/// The pings that have come back to where they were thrown in: one item each round, and the last with all hops made.
const ROUNDS: Feed<Ping> = Feed::new("rounds").buffer(4096);

/// A place in a ring.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
pub struct Peer {
    hops: u64,
}

#[actor_methods]
impl Peer {
    /// Takes the ping, and passes it on unless it has made its hops.
    pub async fn ping(&mut self, cx: &Cx, ping: Ping) -> Result<()> {
        let (ring, place) = place_of(cx.key())?;
        self.hops += u64::from(ping.made > 0);
        if ping.made > 0 && (place == 0 || ping.made == ping.hops) {
            ROUNDS.push(cx, ping.clone()).await?;
        }
        if ping.made == ping.hops {
            ROUNDS.finish(cx);
            return Ok(());
        }
        let next = format!("{ring}/{}", (place + 1) % ping.places);
        Ok(cx.tell(cx.actor::<Peer>(next).ping(Ping { made: ping.made + 1, ..ping }))?)
    }

    /// The rounds from now on, until a ping has made its hops.
    pub async fn rounds(&self, cx: &Cx) -> Result<Items<Ping>> {
        Ok(ROUNDS.open(cx)?)
    }

    /// How many hops have come here.
    pub async fn hops(&self) -> u64 {
        self.hops
    }

    /// On which node this actor is: its name stands in the environment of a node of a cluster.
    pub async fn node(&self) -> String {
        std::env::var("GREENROOM_NODE").unwrap_or_else(|_| "this process".into())
    }
}

fn place_of(key: &str) -> Result<(&str, u32)> {
    let place = key.rsplit_once('/').and_then(|(ring, place)| Some((ring, place.parse().ok()?)));
    place.ok_or_else(|| {
        AppError::new(format!("{key:?} is no place in a ring; write RING/PLACE, for example a/0"))
    })
}
