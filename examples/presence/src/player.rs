//! One player, as the others see him: where he is, or that he is not there.
//!
//! A session sends a heartbeat now and then. Each begins a timer; a timer that finds no newer heartbeat says that the player
//! has gone, for a session that crashes says no goodbye. Nothing of this is worth a disk: the type is volatile.

use std::time::Duration;

use greenroom::{Actor, Cx, Feed, Items, Result, WhenFull, actor_methods};
use serde::{Deserialize, Serialize};

/// A player who was not heard of for so long is gone.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Where a player is; `None` while he is not online.
pub type Place = Option<String>;

/// Whoever watches wants to know where the player is, not everywhere he was: of what waits, the newest counts.
const PLACES: Feed<Place> = Feed::new("places").buffer(1).when_full(WhenFull::DropOldest);

/// A player, by name.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile, idle_timeout = "30s")]
pub struct Player {
    place: Place,
    heartbeats: u64,
}

#[actor_methods]
impl Player {
    /// The session is alive, and the player is there.
    pub async fn heartbeat(&mut self, cx: &Cx, place: String) -> Result<()> {
        self.heartbeats += 1;
        cx.timer(SILENCE, cx.actor::<Player>(cx.key()).check(self.heartbeats))?;
        self.moved(cx, Some(place)).await
    }

    /// The session ends.
    pub async fn goodbye(&mut self, cx: &Cx) -> Result<()> {
        self.moved(cx, None).await
    }

    /// Where the player is.
    pub async fn place(&self) -> Place {
        self.place.clone()
    }

    /// Where the player is, and then each change.
    pub async fn watch(&self, cx: &Cx) -> Result<Items<Place>> {
        Ok(PLACES.open_with(cx, [self.place.clone()])?)
    }

    /// A timer: was there another heartbeat since this one?
    async fn check(&mut self, cx: &Cx, heartbeat: u64) -> Result<()> {
        if heartbeat == self.heartbeats {
            self.moved(cx, None).await?;
        }
        Ok(())
    }

    #[method(skip)]
    async fn moved(&mut self, cx: &Cx, place: Place) -> Result<()> {
        if self.place != place {
            PLACES.push(cx, place.clone()).await?;
            self.place = place;
        }
        Ok(())
    }
}
