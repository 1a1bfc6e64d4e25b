//! Names and patterns of topics.

use greenroom_core::fuzzing::{pattern_matches, topic_pattern};

/// A pattern, and behind a line's end a topic.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (pattern, topic) = text.split_once('\n').unwrap_or((&text, &text));
    let Some(one) = topic_pattern(pattern) else { return };
    assert!(
        !pattern.starts_with('*') && pattern.split('/').all(|segment| !segment.is_empty()),
        "{pattern:?}"
    );
    // A name stands for itself, and for nothing else.
    assert_eq!(one, !pattern.contains('*'));
    if one {
        assert!(pattern_matches(pattern, pattern));
    }
    if topic_pattern(topic) == Some(true) && pattern_matches(pattern, topic) {
        assert!(!one || pattern == topic, "{pattern:?} stands for {topic:?}");
        assert_eq!(pattern.split('/').next(), topic.split('/').next(), "another channel keeps it");
    }
}

/// Names and patterns.
pub fn seeds() -> Vec<Vec<u8>> {
    ["chat/room-7\nchat/room-7", "chat/*/ü\nchat/1/ü", "chat/**\nchat/a/b/c", "chat\nchat"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}
