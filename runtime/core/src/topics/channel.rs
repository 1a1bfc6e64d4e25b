//! The actor that keeps the subscriptions of a channel and hands its publications on.
//!
//! **Invariant**: `wildcards` counts the subscriptions of each pattern with wildcards, so that a publication looks only at
//! the patterns that match it. What was read of them stays in `known` for as long as this activation: only its own turns
//! change them.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenroom_macros::{Actor, actor_methods};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::message::Body;
use super::name::{Pattern, channel, has_wildcards};
use super::{MAX_AUDIENCE, MAX_SUBSCRIPTIONS, MAX_WILDCARD_PATTERNS, Subscription};
use crate::collections::Map;
use crate::cx::Cx;
use crate::engine::{SessionSubscription, Since};
use crate::error::{AppError, Result};

/// For so many patterns an activation remembers who listens.
const KNOWN_MAX: usize = 1_000;

/// The actor. Its key is the first segment of its topics.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "crate", name = "greenroom.Topic")]
pub(crate) struct Channel {
    /// By pattern and [`Subscription::id`].
    subscriptions: Map<(String, String), Subscription>,
    wildcards: BTreeMap<String, u64>,
    #[serde(skip)]
    known: Known,
}

/// Who listens to a pattern, as it was read or changed last.
#[derive(Default)]
struct Known(Mutex<BTreeMap<String, Arc<[Subscription]>>>);

#[actor_methods(crate = "crate")]
impl Channel {
    pub(super) async fn subscribe(
        &mut self,
        cx: &Cx,
        pattern: String,
        subscription: Subscription,
    ) -> Result<()> {
        check(cx, &pattern)?;
        let known_pattern = self.wildcards.contains_key(&pattern);
        if has_wildcards(&pattern) && !known_pattern && self.wildcards.len() >= MAX_WILDCARD_PATTERNS {
            return Err(AppError::new(format!(
                "the channel {:?} has {MAX_WILDCARD_PATTERNS} patterns with wildcards, and no room for another; use fewer \
                 patterns, or more channels",
                cx.key()
            )));
        }
        let key = (pattern.clone(), subscription.id());
        let before = self.subscriptions.insert(cx, key, subscription).await?;
        if before.is_none() {
            if self.subscriptions.len() > MAX_SUBSCRIPTIONS {
                return Err(AppError::new(format!(
                    "the channel {:?} has {MAX_SUBSCRIPTIONS} subscriptions, and no room for another; use more channels",
                    cx.key()
                )));
            }
            if has_wildcards(&pattern) {
                *self.wildcards.entry(pattern.clone()).or_default() += 1;
            }
        }
        self.known.forget(&pattern);
        Ok(())
    }

    pub(super) async fn unsubscribe(
        &mut self,
        cx: &Cx,
        pattern: String,
        subscription: Subscription,
    ) -> Result<()> {
        let key = (pattern.clone(), subscription.id());
        let gone = self.subscriptions.remove(cx, &key).await?;
        if gone.is_some() && has_wildcards(&pattern) {
            let left = self.wildcards.remove(&pattern).unwrap_or_default().saturating_sub(1);
            if left > 0 {
                self.wildcards.insert(pattern.clone(), left);
            }
        }
        self.known.forget(&pattern);
        let session = SessionSubscription { pattern, subscription, since: Since::LAST };
        cx.engine().release_session(cx.key(), &session);
        Ok(())
    }

    /// Hands a publication on, with this turn's commit.
    pub(super) async fn publish(&mut self, cx: &Cx, topic: String, message: Body) -> Result<()> {
        check_one(cx, &topic)?;
        self.audience(cx, &topic).await?.send_reliably(cx, &topic, &message)
    }

    /// Hands a publication on without any promise.
    pub(super) async fn announce(&self, cx: &Cx, topic: String, message: Body) -> Result<()> {
        check_one(cx, &topic)?;
        self.audience(cx, &topic).await?.tell(cx, &topic, &message)
    }

    /// Begins a subscription that lasts as long as an activation.
    pub(super) async fn join(&self, cx: &Cx, session: SessionSubscription) -> Result<()> {
        self.renew(cx, vec![session]).await
    }

    /// Makes such subscriptions last longer, or begins them again where they were lost.
    pub(super) async fn renew(&self, cx: &Cx, sessions: Vec<SessionSubscription>) -> Result<()> {
        for session in sessions {
            check(cx, &session.pattern)?;
            cx.engine().renew_session(cx.key(), session).map_err(AppError::new)?;
        }
        Ok(())
    }

    /// Ends such a subscription, if none has taken its place.
    pub(super) async fn leave(&self, cx: &Cx, session: SessionSubscription) {
        cx.engine().release_session(cx.key(), &session);
    }
}

impl Channel {
    pub(super) fn wildcard_patterns(&self) -> impl Iterator<Item = &String> {
        self.wildcards.keys()
    }

    /// Who listens to this very pattern, in a fixed order.
    pub(super) async fn listeners(&self, cx: &Cx, pattern: &str) -> Result<Arc<[Subscription]>> {
        if let Some(known) = self.known.get(pattern) {
            return Ok(known);
        }
        let mut found = Vec::new();
        let mut from_here = self.subscriptions.range(cx, (pattern.to_owned(), String::new())..);
        while let Some(((of, _), subscription)) = from_here.next().await? {
            if of != pattern {
                break;
            }
            found.push(subscription);
            // One more than may be there is enough to refuse the publication.
            if found.len() > MAX_AUDIENCE {
                break;
            }
        }
        let found: Arc<[Subscription]> = found.into();
        self.known.put(pattern, &found);
        Ok(found)
    }
}

impl Known {
    fn get(&self, pattern: &str) -> Option<Arc<[Subscription]>> {
        self.0.lock().get(pattern).cloned()
    }

    fn put(&self, pattern: &str, listeners: &Arc<[Subscription]>) {
        let mut known = self.0.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(pattern.to_owned(), listeners.clone());
    }

    fn forget(&mut self, pattern: &str) {
        self.0.get_mut().remove(pattern);
    }
}

/// Whoever calls by name may call anything.
fn check(cx: &Cx, pattern: &str) -> Result<()> {
    let pattern = Pattern::new(pattern)?;
    check_channel(cx, pattern.as_str())
}

fn check_one(cx: &Cx, topic: &str) -> Result<()> {
    let topic = Pattern::one(topic)?;
    check_channel(cx, topic.as_str())
}

fn check_channel(cx: &Cx, topic: &str) -> Result<()> {
    if channel(topic) == cx.key() {
        return Ok(());
    }
    let (here, there) = (cx.key(), channel(topic));
    Err(AppError::new(format!("{topic:?} is no topic of the channel {here:?}; call greenroom.Topic/{there}")))
}
