//! Subscriptions of types: `#[method(topic = "zone/{key}/died")]`. Nobody subscribes and nothing is stored; what matches
//! goes to one actor of the type, which it activates.
//!
//! The actor's key is the segment that stands where the pattern has `{key}`, or the whole topic if it has none.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::Subscription;
use super::name::{Pattern, TopicNameError, channel, matches};
use crate::identity::{ActorId, ActorType};

const KEY: &str = "{key}";

/// What a method of a type listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeSubscription {
    pattern: String,
    /// Which segment is the key; `None`: all of them are.
    key: Option<usize>,
    actor_type: ActorType,
    method: SmolStr,
    arguments: Vec<SmolStr>,
}

impl TypeSubscription {
    pub(crate) fn new(
        pattern: &str,
        actor_type: ActorType,
        method: &'static str,
        arguments: &'static [&'static str],
    ) -> Result<Self, TopicNameError> {
        let key = pattern.split('/').position(|segment| segment == KEY);
        let pattern = Pattern::new(&pattern.replacen(KEY, "*", 1))?.as_str().to_owned();
        let arguments = arguments.iter().map(|name| SmolStr::new_static(name)).collect();
        Ok(Self { pattern, key, actor_type, method: SmolStr::new_static(method), arguments })
    }

    /// The one that gets a message of this topic, if it listens to it.
    pub(crate) fn subscription(&self, topic: &str) -> Option<Subscription> {
        if !matches(&self.pattern, topic) {
            return None;
        }
        let key = match self.key {
            Some(place) => topic.split('/').nth(place)?,
            None => topic,
        };
        // A topic is shorter than the longest key.
        let actor = ActorId::new(self.actor_type.clone(), key).ok()?;
        let (method, arguments) = (self.method.clone(), self.arguments.clone());
        Some(Subscription { actor, method, arguments, priority: 0, consumes: false })
    }
}

/// All that the types of a node listen to, by channel.
#[derive(Debug, Default)]
pub(crate) struct TypeSubscriptions(BTreeMap<String, Vec<TypeSubscription>>);

impl TypeSubscriptions {
    pub(crate) fn new(all: impl IntoIterator<Item = TypeSubscription>) -> Self {
        let mut by_channel: BTreeMap<String, Vec<TypeSubscription>> = BTreeMap::new();
        for subscription in all {
            by_channel.entry(channel(&subscription.pattern).to_owned()).or_default().push(subscription);
        }
        Self(by_channel)
    }

    /// Those that get a message of this topic.
    pub(crate) fn matching(&self, topic: &str) -> impl Iterator<Item = Subscription> {
        self.0.get(channel(topic)).into_iter().flatten().filter_map(|of| of.subscription(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(pattern: &str, topic: &str) -> Option<String> {
        let of = ActorType::new("Zone").unwrap();
        let subscription = TypeSubscription::new(pattern, of, "died", &["who"]).unwrap().subscription(topic);
        subscription.map(|subscription| subscription.actor.to_string())
    }

    #[test]
    fn the_key_is_the_named_segment_or_the_topic() {
        assert_eq!(listener("zone/{key}/died", "zone/12/died").unwrap(), "Zone/12");
        assert_eq!(listener("zone/*/died", "zone/12/died").unwrap(), "Zone/zone/12/died");
        assert_eq!(listener("zone/*/{key}/**", "zone/a/b/c/d").unwrap(), "Zone/b");
        assert_eq!(listener("zone/{key}/died", "zone/12/born"), None);
        assert_eq!(listener("zone", "zone").unwrap(), "Zone/zone");
    }
}
