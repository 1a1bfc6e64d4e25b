//! Names and patterns of topics.

use greenroom_core::fuzzing::{pattern_matches, topic_pattern};
use greenroom_core::topics::{MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS};

use crate::around;

/// A pattern, and behind a line's end a topic.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (pattern, topic) = text.split_once('\n').unwrap_or((&text, &text));
    let Some(one) = topic_pattern(pattern) else { return };
    assert!(
        !pattern.starts_with('*') && pattern.split('/').all(|segment| !segment.is_empty()),
        "{pattern:?}"
    );
    let segments: Vec<_> = pattern.split('/').collect();
    assert!(pattern.len() <= MAX_TOPIC_BYTES && segments.len() <= MAX_TOPIC_SEGMENTS, "{pattern:?}");
    assert!(!pattern.contains(|c: char| "{}".contains(c) || c.is_control()), "{pattern:?}");
    let wild = |segment: &&str| segment.contains('*');
    assert!(
        segments.iter().filter(|segment| wild(segment)).all(|wild| ["*", "**"].contains(wild)),
        "{pattern:?}"
    );
    let rest = segments.iter().position(|segment| *segment == "**");
    assert!(rest.is_none_or(|place| place + 1 == segments.len()), "{pattern:?}");
    // A name stands for itself, and for nothing else.
    assert_eq!(one, !segments.iter().any(wild));
    if one {
        assert!(pattern_matches(pattern, pattern));
    }
    if topic_pattern(topic) == Some(true) {
        let stands = stands_for(&segments, &topic.split('/').collect::<Vec<_>>());
        assert_eq!(pattern_matches(pattern, topic), stands, "{pattern:?} {topic:?}");
        assert!(
            !stands || segments[0] == topic.split('/').next().unwrap_or_default(),
            "another channel keeps it"
        );
    }
}

/// Whether a pattern stands for a topic, as one would say it.
fn stands_for(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        (["**"], [_, ..]) | ([], []) => true,
        ([wanted, pattern @ ..], [segment, topic @ ..]) => {
            (*wanted == "*" || wanted == segment) && stands_for(pattern, topic)
        }
        _ => false,
    }
}

/// Names and patterns, and some that are just too long, too deep, or wrong in a segment.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pairs = ["chat/room-7\nchat/room-7", "chat/*/ü\nchat/1/ü", "chat/**\nchat/a/b/c", "chat\nchat"];
    let wrong =
        ["chat/**\nchat", "chat/*\nchat/a/b", "chat/**/a\nchat/b/a", "chat/a*\nchat/a", "*\na", "chat/{a}"];
    let long = around(MAX_TOPIC_BYTES);
    let deep = [MAX_TOPIC_SEGMENTS, MAX_TOPIC_SEGMENTS + 1].map(|segments| vec!["a"; segments].join("/"));
    let texts = pairs.into_iter().chain(wrong).map(str::to_owned);
    texts.chain(long).chain(deep).map(String::into_bytes).collect()
}
