//! One message to every actor of a type that is in memory, wherever that is.
//!
//! Each shard has an actor of an internal type that can tell the actors in memory of its shard. Where this node knows which
//! shards another one owns, one message covers all of them; what has moved meanwhile is passed on. **Claim**: an actor
//! gets the message at most once: it is in one shard, each shard is covered by one message, and what comes twice over the
//! network has the same call id. **And** nothing is passed on without end: a message that is passed on covers no shard but
//! the one that it is addressed to. If that one leaves before the turn looks, its output gate is closed, and what the turn
//! tells stays behind.

use std::collections::BTreeMap;

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::actor::{Actor, Method};
use crate::call::{Call as WireCall, CallContext, Chain, DEFAULT_DEADLINE};
use crate::codec::Payload;
use crate::cx::Cx;
use crate::error::CallError;
use crate::filter::Way;
use crate::identity::{CallId, Shard, ShardCount};
use crate::reference::{ActorRef, Call, Origin};
use crate::request::RequestContext;
use crate::shard_keys::ShardKeys;

/// How many actors are told before others may run.
const IN_A_ROW: usize = 64;

/// The actor. Its key says which shard it is in.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "crate", name = "greenroom.Broadcast", volatile, no_rollback, every_shard)]
pub(crate) struct Broadcaster {}

/// What is told, and to which type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct News {
    actor_type: SmolStr,
    method: SmolStr,
    arguments: Payload,
    id: CallId,
    /// What the turn carried that broadcasts it.
    #[serde(default, skip_serializing_if = "RequestContext::is_empty")]
    request: RequestContext,
}

#[actor_methods(crate = "crate")]
impl Broadcaster {
    async fn tell_shards(&self, cx: &Cx, news: News, shards: Vec<u16>) -> crate::Result<()> {
        cx.deactivate();
        let engine = cx.engine();
        let (here, gone): (Vec<_>, Vec<_>) =
            shards.into_iter().map(Shard).partition(|shard| engine.owned(*shard).is_some());
        for shard in gone {
            let of_shard = key_of(shard, engine.shards());
            cx.tell(cx.actor::<Self>(of_shard).tell_shards(news.clone(), vec![shard.0]))?;
        }
        let deadline = engine.env().now() + DEFAULT_DEADLINE;
        for (count, target) in engine.in_memory(&news.actor_type, &here).into_iter().enumerate() {
            if count % IN_A_ROW == IN_A_ROW - 1 {
                tokio::task::yield_now().await;
            }
            let (chain, request) = (Chain::default(), news.request.clone());
            let context = CallContext { id: news.id, deadline, chain, request };
            let News { method, arguments, .. } = news.clone();
            // One whose shard has just left is not in memory here any more.
            let _ = engine.tell(WireCall { target, method, arguments, context, delivery: None });
        }
        Ok(())
    }
}

/// Calls a method of every actor of the type that is in memory, on all nodes, and waits for none of them: each gets the call
/// at most once. `call` makes it, with a reference that stands for all of them.
///
/// Who is in memory is seen when the message comes to its node. Nobody is activated for it, but an actor that leaves memory
/// in that moment may come back.
///
/// # Errors
/// `Invalid` if the arguments cannot be encoded, or the program is a client: it knows no shards, so it asks an actor.
pub fn broadcast<M: Method>(
    origin: &Origin,
    call: impl FnOnce(<M::Actor as Actor>::Ref) -> Call<M>,
) -> Result<(), CallError> {
    let all = ActorRef::<M::Actor>::new(origin.clone(), "*");
    let cannot_encode = |_| CallError::Invalid("the arguments cannot be encoded".into());
    let mut call = call(all.into()).into_encoded().map_err(|error| error.map_app(cannot_encode))?;
    let (Some(engine), Some(transport)) = (origin.engine(), origin.transport()) else {
        return Err(CallError::Invalid("a client cannot broadcast; let an actor do it".into()));
    };
    engine.outgoing().hand_over(&mut call, Way::Tell)?;
    let WireCall { target, method, arguments, context, .. } = call;
    let actor_type = target.actor_type.as_str().into();
    let news = News { actor_type, method, arguments, id: context.id, request: context.request };
    let (count, home) = (engine.shards(), engine.home_of(M::Actor::TYPE));
    let mut by_owner: BTreeMap<Option<String>, Vec<u16>> = BTreeMap::new();
    for (shard, owner) in home.shards().zip(transport.owners(home)) {
        by_owner.entry(owner).or_default().push(shard.0);
    }
    let unknown = by_owner.remove(&None).unwrap_or_default();
    for shards in by_owner.into_values().chain(unknown.into_iter().map(|shard| vec![shard])) {
        let first: ActorRef<Broadcaster> = ActorRef::new(origin.clone(), &key_of(Shard(shards[0]), count));
        BroadcasterRef::from(first).tell_shards(news.clone(), shards).tell()?;
    }
    Ok(())
}

impl Cx {
    /// Calls a method of every actor of a type that is in memory, on all nodes, when this turn has ended well, and waits for
    /// none of them: `cx.broadcast(|zone: ZoneRef| zone.close_soon(5))`. Each gets the call at most once.
    ///
    /// # Errors
    /// `Invalid` if the arguments cannot be encoded.
    pub fn broadcast<M: Method>(
        &self,
        call: impl FnOnce(<M::Actor as Actor>::Ref) -> Call<M>,
    ) -> Result<(), CallError> {
        broadcast(&Origin::Turn(self.clone()), call)
    }
}

fn key_of(shard: Shard, count: ShardCount) -> String {
    static KEYS: ShardKeys = ShardKeys::new(Broadcaster::TYPE);
    KEYS.get(count)[usize::from(shard.0)].to_string()
}
