//! The text of the project stands on its own: it names no ticket and no folder of somebody's machine, which a
//! reader cannot open.

use super::{assert_none, tracked_texts};

/// Folders of the machines we work on.
const PLACES: [&str; 3] = ["/work/", "/root/", "../shared"];

/// This file has to name what it forbids.
const THIS: &str = "xtask/src/tidy/words.rs";

fn violations(path: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for place in PLACES.iter().filter(|place| line.contains(**place)) {
            violations.push(format!("{path}:{number}: `{place}` exists on one machine only"));
        }
        if names_a_ticket(line) {
            violations.push(format!("{path}:{number}: say what it is about, not the number of a ticket"));
        }
    }
    violations
}

/// Whether the line says "issue 7", "issue #7", "(#7)" or the like.
fn names_a_ticket(line: &str) -> bool {
    let lower = line.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let after_issue = words.windows(2).any(|pair| {
        let issue = pair[0].trim_start_matches(|c: char| !c.is_alphanumeric());
        matches!(issue, "issue" | "issues" | "ticket") && is_number(pair[1].trim_start_matches('#'))
    });
    after_issue
        || words
            .iter()
            .any(|word| word.trim_start_matches(['(', '[']).strip_prefix('#').is_some_and(is_number))
}

/// Whether the text is a number, but for what a sentence puts behind it. A colour such as `#808080;` is none.
fn is_number(text: &str) -> bool {
    let text = text.trim_end_matches(|c: char| c.is_ascii_punctuation());
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn the_project_names_no_ticket_and_no_place_of_ours() {
    // Cargo and Go write their lock files, not we.
    let locks = |path: &str| path.ends_with("Cargo.lock") || path.ends_with("go.sum");
    let texts = tracked_texts("").into_iter().filter(|(path, _)| path != THIS && !locks(path));
    assert_none(texts.flat_map(|(path, text)| violations(&path, &text)).collect());
}

#[test]
fn tickets_and_places_are_found() {
    for bad in
        ["see issue 3.", "Issue #12: x", "fixed (#4)", "#7", "cd /root/x", "in ../shared/x", "issues 1, 2"]
    {
        assert_eq!(violations("x", bad).len(), 1, "{bad}");
    }
}

#[test]
fn what_only_looks_like_a_ticket_is_left_alone() {
    for good in
        ["an issue of 3 kinds", "colour: #808080;", "{:#010x}", "# 1. Title", "r#\"1\"#", "#[test]", "#1st"]
    {
        assert_eq!(violations("x", good), [""; 0], "{good}");
    }
}
