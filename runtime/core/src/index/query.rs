//! A question to all shards of a type: which of its actors have this value?

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::librarian::{FIND_MAX, Librarian, keys};
use super::value::IndexValue;
use super::{MAX_INDEXED_BYTES, prefix};
use crate::actor::Actor;
use crate::cx::Cx;
use crate::error::CallError;
use crate::identity::{ActorId, ActorType};
use crate::layout::ShardRange;
use crate::reference::{ActorRef, Origin};

/// How many shards are asked at once.
const AT_ONCE: usize = 64;

/// A question about the actors of a type.
pub struct Query<A> {
    origin: Origin,
    actor: PhantomData<fn() -> A>,
}

impl<A: Actor> Query<A> {
    /// A question that is asked by a program or a turn.
    pub fn new(origin: Origin) -> Self {
        Self { origin, actor: PhantomData }
    }

    /// The actors whose field, which must be an `#[index]`, has this value.
    pub fn eq(self, field: &str, value: impl IndexValue) -> Found {
        Found { question: question::<A>(field, &value), origin: self.origin }
    }
}

impl Cx {
    /// Asks for actors by the value of a field. The turn does not see what it has itself changed, nor what is not durable.
    pub fn query<A: Actor>(&self) -> Query<A> {
        Query::new(Origin::Turn(self.clone()))
    }
}

/// What is asked of each shard.
#[derive(Clone)]
struct Question {
    actor_type: ActorType,
    prefix: Vec<u8>,
}

/// The shards to be asked, and the librarian of every shard.
struct Shelves {
    home: ShardRange,
    librarians: Arc<[u32]>,
}

fn question<A: Actor>(field: &str, value: &impl IndexValue) -> Result<Question, CallError> {
    let invalid = |what: String| Err(CallError::Invalid(what));
    if !A::INDEXES.contains(&field) {
        let known = if A::INDEXES.is_empty() { "none".into() } else { A::INDEXES.join(", ") };
        return invalid(format!(
            "{} has no index {field:?}, but {known}; put #[index] on the field that is asked for",
            A::TYPE
        ));
    }
    let Some(form) = value.form() else {
        return invalid("actors without a value are not in the index; ask for a value".into());
    };
    if form.len() > MAX_INDEXED_BYTES {
        return invalid(format!(
            "the value takes {} bytes; no indexed value has more than {MAX_INDEXED_BYTES}",
            form.len()
        ));
    }
    let actor_type = ActorType::new(A::TYPE).map_err(|error| CallError::Invalid(error.to_string()))?;
    Ok(Question { actor_type, prefix: prefix(A::TYPE, field, &form) })
}

/// The actors that were found. They are looked for when they are asked for: page by page, or one after the other.
///
/// Of each shard they are those that had the value in its last durable commits at the moment when that shard was asked. The
/// shards are asked at different moments, so this is no snapshot: an actor that changes meanwhile may be there or not.
/// Each is there at most once.
#[derive(Clone)]
pub struct Found {
    origin: Origin,
    question: Result<Question, CallError>,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundAfter {
    shard: u16,
    key: Option<String>,
}

/// Some of the actors that were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPage {
    /// The actors: by shard, in a shard by key.
    pub actors: Vec<ActorId>,
    /// Where the next page begins, which may be empty; `None` if this was the last one.
    pub next: Option<FoundAfter>,
}

/// What one shard answered.
struct Answer {
    shard: u16,
    keys: Vec<String>,
    /// Whether it has more.
    more: bool,
}

impl Found {
    /// At most `limit` of the actors (at least 1), behind the end of another page.
    pub async fn page(&self, after: Option<FoundAfter>, limit: usize) -> Result<FoundPage, CallError> {
        let question = self.question.clone()?;
        let limit = limit.max(1);
        let home = self.shelves(&question)?.home.numbers();
        let (first, mut key) = after.map_or((home.start, None), |after| (after.shard, after.key));
        let mut shards = (first.max(home.start)..home.end).peekable();
        let mut page = FoundPage { actors: Vec::new(), next: None };
        while shards.peek().is_some() {
            let asked =
                shards.by_ref().take(AT_ONCE).map(|shard| self.ask(&question, shard, key.take(), limit));
            for answer in futures_util::future::try_join_all(asked.collect::<Vec<_>>()).await? {
                let room = limit - page.actors.len();
                let rest = answer.more || answer.keys.len() > room;
                for key in answer.keys.iter().take(room) {
                    page.actors.push(identity(&question, key)?);
                }
                if page.actors.len() == limit || rest {
                    let last = page.actors.last().filter(|_| rest).map(|actor| actor.key.to_string());
                    let next = FoundAfter { shard: answer.shard + u16::from(!rest), key: last };
                    page.next = (next.shard < home.end).then_some(next);
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// All of them, one after the other; many shards are asked at once.
    pub fn stream(&self) -> BoxStream<'static, Result<ActorId, CallError>> {
        let home = |question: Question| Ok((self.shelves(&question)?.home, question));
        let (home, question) = match self.question.clone().and_then(home) {
            Ok(found) => found,
            Err(error) => return stream::once(std::future::ready(Err(error))).boxed(),
        };
        let found = self.clone();
        let first = stream::iter(home.numbers()).map({
            let (found, question) = (self.clone(), question.clone());
            move |shard| found.ask(&question, shard, None, FIND_MAX)
        });
        let all = first.buffered(AT_ONCE).map_ok(move |answer| {
            let (found, question) = (found.clone(), question.clone());
            let pages = stream::try_unfold(Some(answer), move |answer| {
                let (found, question) = (found.clone(), question.clone());
                async move {
                    let Some(answer) = answer else { return Ok::<_, CallError>(None) };
                    let next = match answer.keys.last().filter(|_| answer.more) {
                        Some(last) => {
                            Some(found.ask(&question, answer.shard, Some(last.clone()), FIND_MAX).await?)
                        }
                        None => None,
                    };
                    let actors: Vec<_> = answer.keys.iter().map(|key| identity(&question, key)).collect();
                    Ok(Some((stream::iter(actors), next)))
                }
            });
            pages.try_flatten()
        });
        all.try_flatten().boxed()
    }

    /// All of them, together.
    pub async fn all(&self) -> Result<Vec<ActorId>, CallError> {
        self.stream().try_collect().await
    }

    /// Asks one shard.
    fn ask(
        &self,
        question: &Question,
        shard: u16,
        after: Option<String>,
        limit: usize,
    ) -> impl Future<Output = Result<Answer, CallError>> + Send + use<> {
        let limit = limit.clamp(1, FIND_MAX);
        // One more than wanted tells whether there are more.
        let wanted = (limit + 1).min(FIND_MAX);
        let call = self.shelves(question).map(|shelves| {
            let key = shelves.librarians[usize::from(shard)].to_string();
            let librarian: <Librarian as Actor>::Ref = ActorRef::new(self.origin.clone(), &key).into();
            librarian.find(question.prefix.clone(), after, wanted)
        });
        async move {
            let keys = call?.await?;
            Ok(Answer { shard, more: keys.len() == wanted, keys })
        }
    }

    fn shelves(&self, question: &Question) -> Result<Shelves, CallError> {
        let engine = self.origin.engine().ok_or_else(|| {
            CallError::Unavailable("only a node and its actors can ask for actors by their fields".into())
        })?;
        let home = engine.home_of(question.actor_type.as_str());
        Ok(Shelves { home, librarians: keys(engine.shards()) })
    }
}

fn identity(question: &Question, key: &str) -> Result<ActorId, CallError> {
    ActorId::new(question.actor_type.clone(), key).map_err(|error| CallError::Invalid(error.to_string()))
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the actors with a value")
    }
}
