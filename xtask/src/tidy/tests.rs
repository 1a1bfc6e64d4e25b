//! The tests that our pages name are there: a promise without its test is none.

use std::collections::BTreeSet;

use super::{assert_none, tracked_texts};

/// So many words make the name of a test, and of nothing else but these.
const WORDS: usize = 4;
/// Metrics, which have as many.
const METRICS: &str = "greenroom_";
/// Names of other systems, and an example.
const NO_TESTS: [&str; 3] =
    ["a_stale_owner_cannot_commit", "queue_message_to_actor", "queue_message_to_group"];

/// The names of tests in a page, with their lines: what is between backticks. One that ends in `…` stands for all that begin so.
fn names(page: &str) -> Vec<(usize, &str)> {
    let is_name = |text: &&str| {
        let words = text.strip_suffix('…').unwrap_or(text).split('_');
        let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_short = text.ends_with("_…");
        text.trim_end_matches('…').chars().all(is_lower) && (is_short || words.count() >= WORDS)
    };
    let pieces = |line| <str>::split(line, '`').skip(1).step_by(2);
    let names =
        (1..).zip(page.lines()).flat_map(|(number, line)| pieces(line).map(move |text| (number, text)));
    names
        .filter(|(_, text)| is_name(text) && !text.starts_with(METRICS) && !NO_TESTS.contains(text))
        .collect()
}

/// What may be such a test: functions, and what programs check by name.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let functions = source.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
    functions.chain(source.split('"').skip(1))
}

fn violations(path: &str, page: &str, tests: &BTreeSet<&str>) -> Vec<String> {
    let is_there = |name: &str| match name.strip_suffix('…') {
        Some(begin) => tests.range(begin..).next().is_some_and(|test| test.starts_with(begin)),
        None => tests.contains(name),
    };
    let missing = names(page).into_iter().filter(|(_, name)| !is_there(name));
    missing.map(|(line, name)| format!("{path}:{line}: there is no test `{name}`")).collect()
}

#[test]
fn pages_name_tests_that_are_there() {
    let sources = tracked_texts(".rs");
    let tests = sources.iter().flat_map(|(_, source)| tests(source)).collect();
    let pages = tracked_texts(".md");
    assert!(pages.iter().any(|(_, page)| !names(page).is_empty()));
    assert_none(pages.iter().flat_map(|(path, page)| violations(path, page, &tests)).collect());
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let tests = tests("fn i4_it_is_applied_once() {} let name = \"it_is_always_so\";").collect();
    let good = "`i4_it_is_applied_once`, `it_is_always_so`, `i4_…`, `node_id`, `greenroom_calls_failed_total` it_is_no_code";
    assert_eq!(violations("x", good, &tests), [""; 0]);
    let bad = "good\n`i4_it_is_applied_twice`, `it_is_always_so_…` and `i5_…`";
    assert_eq!(violations("x", bad, &tests).len(), 3);
    assert!(violations("x", bad, &tests)[0].starts_with("x:2: "));
}
