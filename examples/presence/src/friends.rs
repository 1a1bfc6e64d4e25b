//! The friends of one player: a durable list, and a stream that is made of theirs.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream::select_all;
use greenroom::{Actor, AppError, Cx, Items, Result, actor_methods};
use serde::{Deserialize, Serialize};

use crate::player::{Place, Player};

/// What there is to tell about a friend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Friend {
    /// Who it is.
    pub name: String,
    /// Where he is now.
    pub place: Place,
}

/// The friends of a player; the key is the player's name.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Friends {
    names: BTreeSet<String>,
}

#[actor_methods]
impl Friends {
    /// Adds a friend. Who watches already does not see this one; who asks again does.
    pub async fn add(&mut self, name: String) {
        self.names.insert(name);
    }

    /// Where each friend is, and then every change, in one stream. It ends with an error when one friend's actor has moved
    /// or was lost: whoever watches asks again, and hears first where everybody is now.
    pub async fn watch(&self, cx: &Cx) -> Result<Items<Friend, AppError>> {
        let watching = self.names.iter().map(|name| {
            let call = cx.actor::<Player>(name).watch();
            async move {
                let (places, name) = (call.await?, name.clone());
                let friend = move |place| Friend { name: name.clone(), place };
                Ok::<_, AppError>(places.map(move |place| Ok(friend(place?))))
            }
        });
        Ok(cx.try_items(select_all(try_join_all(watching).await?))?)
    }
}
