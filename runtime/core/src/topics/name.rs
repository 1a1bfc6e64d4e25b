//! Names of topics, and patterns: `*` stands for one segment, `**` at the end for one or more.
//!
//! The first segment is no wildcard: it names the channel that keeps the subscriptions.

use thiserror::Error;

/// The longest name or pattern.
pub const MAX_TOPIC_BYTES: usize = 256;
/// How many segments it may have.
pub const MAX_TOPIC_SEGMENTS: usize = 16;

/// Why a text is no name of a topic, or no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicNameError {
    /// It is too long.
    #[error("the topic takes {0} bytes, at most {MAX_TOPIC_BYTES} are allowed; use a shorter name")]
    Long(usize),
    /// It has too many segments.
    #[error(
        "the topic {0:?} has more than {MAX_TOPIC_SEGMENTS} segments; put what tells topics apart into fewer"
    )]
    Deep(String),
    /// A segment is empty or has a character that it cannot have.
    #[error(
        "the topic {topic:?} has the segment {segment:?}; segments are not empty and have no `*`, braces or control characters"
    )]
    Segment {
        /// The topic.
        topic: String,
        /// The segment.
        segment: String,
    },
    /// The first segment is a wildcard.
    #[error("the pattern {0:?} begins with a wildcard; its first segment names the channel")]
    NoChannel(String),
    /// `**` is not the last segment.
    #[error("the pattern {0:?} goes on after `**`, which stands for all that follows; end it there")]
    AfterRest(String),
    /// A pattern where one topic is wanted.
    #[error("{0:?} is a pattern; name one topic here")]
    NotOne(String),
}

/// A name or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, TopicNameError> {
        let topic = || text.to_owned();
        if text.len() > MAX_TOPIC_BYTES {
            return Err(TopicNameError::Long(text.len()));
        }
        if text.split('/').count() > MAX_TOPIC_SEGMENTS {
            return Err(TopicNameError::Deep(topic()));
        }
        let mut rest = false;
        for (place, segment) in text.split('/').enumerate() {
            if rest {
                return Err(TopicNameError::AfterRest(topic()));
            }
            rest = segment == "**";
            match segment {
                "*" | "**" if place == 0 => return Err(TopicNameError::NoChannel(topic())),
                "*" | "**" => {}
                _ if is_plain(segment) => {}
                _ => return Err(TopicNameError::Segment { topic: topic(), segment: segment.to_owned() }),
            }
        }
        Ok(Self(topic()))
    }

    /// The name of one topic.
    pub(crate) fn one(text: &str) -> Result<Self, TopicNameError> {
        Self::new(text)?.into_one()
    }

    pub(crate) fn into_one(self) -> Result<Self, TopicNameError> {
        if self.has_wildcards() { Err(TopicNameError::NotOne(self.0)) } else { Ok(self) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of the actor that keeps its subscriptions.
    pub(crate) fn channel(&self) -> &str {
        channel(&self.0)
    }

    pub(crate) fn has_wildcards(&self) -> bool {
        has_wildcards(&self.0)
    }
}

/// The channel of a topic.
pub(crate) fn channel(topic: &str) -> &str {
    topic.split_once('/').map_or(topic, |(channel, _)| channel)
}

pub(crate) fn has_wildcards(pattern: &str) -> bool {
    pattern.contains('*')
}

/// Whether a valid pattern stands for this topic, among others.
pub(crate) fn matches(pattern: &str, topic: &str) -> bool {
    let mut segments = topic.split('/');
    for wanted in pattern.split('/') {
        match segments.next() {
            None => return false,
            Some(_) if wanted == "**" => return true,
            Some(segment) if wanted == "*" || wanted == segment => {}
            Some(_) => return false,
        }
    }
    segments.next().is_none()
}

fn is_plain(segment: &str) -> bool {
    !segment.is_empty() && !segment.contains(|c: char| matches!(c, '*' | '{' | '}') || c.is_control())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Every pattern that stands for this topic, written out.
    fn all_patterns_of(topic: &str) -> BTreeSet<String> {
        let segments: Vec<&str> = topic.split('/').collect();
        let mut beginnings = vec![segments[0].to_owned()];
        let mut patterns = BTreeSet::new();
        for segment in &segments[1..] {
            patterns.extend(beginnings.iter().map(|begun| format!("{begun}/**")));
            let longer = |begun: String| [format!("{begun}/{segment}"), format!("{begun}/*")];
            beginnings = beginnings.into_iter().flat_map(longer).collect();
        }
        patterns.extend(beginnings);
        patterns
    }

    proptest! {
        #[test]
        fn a_pattern_matches_the_topics_that_it_stands_for(
            topic in "[ab](/[ab]){0,4}",
            pattern in "[ab](/([ab]|\\*)){0,4}(/\\*\\*)?",
        ) {
            prop_assert!(Pattern::new(&pattern).is_ok());
            prop_assert_eq!(matches(&pattern, &topic), all_patterns_of(&topic).contains(&pattern));
        }

        #[test]
        fn all_patterns_of_a_topic_match_it(topic in "[a-c](/[a-c]{1,2}){0,5}") {
            for pattern in all_patterns_of(&topic) {
                prop_assert!(matches(&pattern, &topic), "{pattern}");
                let parsed = Pattern::new(&pattern).unwrap();
                prop_assert_eq!(parsed.channel(), channel(&topic));
            }
        }
    }

    #[test]
    fn wrong_names_are_named() {
        let (long, deep) = ("a".repeat(MAX_TOPIC_BYTES + 1), vec!["a"; MAX_TOPIC_SEGMENTS + 1].join("/"));
        for (wrong, says) in [
            ("", "has the segment \"\""),
            ("a//b", "has the segment \"\""),
            ("a/b*", "has the segment \"b*\""),
            ("a/{b}", "has the segment \"{b}\""),
            ("a/\n", "control characters"),
            ("*/a", "begins with a wildcard"),
            ("**", "begins with a wildcard"),
            ("a/**/b", "goes on after `**`"),
            (&long, "at most 256 are allowed"),
            (&deep, "more than 16 segments"),
        ] {
            let error = Pattern::new(wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{wrong:?}: {error}");
        }
        assert!(Pattern::one("a/b").is_ok());
        assert_eq!(Pattern::one("a/*"), Err(TopicNameError::NotOne("a/*".into())));
        assert!(Pattern::new(&long[1..]).is_ok() && Pattern::new(&deep[2..]).is_ok());
    }
}
