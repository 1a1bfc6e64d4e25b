//! The right counts, from programs that know nothing of actors.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Command;

pub(crate) type Counts = BTreeMap<String, u64>;

const PIPELINE: &str = r"LC_ALL=C tr -cs A-Za-z '\n' | sed '/^$/d' | sort | uniq -c";

pub(crate) fn counts_of(text: &Path) -> Counts {
    let output = Command::new("sh").args(["-c", PIPELINE]).stdin(File::open(text).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts: Counts = String::from_utf8(output.stdout).unwrap().lines().map(count).collect();
    assert!(counts.len() > 100, "the text is too small to show anything");
    counts
}

/// Says which words differ, not all that there are.
pub(crate) fn assert_same(counts: &Counts, expected: &Counts) {
    let words = counts.keys().chain(expected.keys());
    let wrong: BTreeMap<_, _> = words
        .map(|word| (word, (counts.get(word), expected.get(word))))
        .filter(|(_, (counted, expected))| counted != expected)
        .collect();
    assert!(wrong.is_empty(), "words with (their count, the right one): {wrong:?}");
}

fn count(line: &str) -> (String, u64) {
    let (number, word) = line.trim_start().split_once(' ').unwrap();
    (word.to_owned(), number.parse().unwrap())
}
