//! Links between our pages lead somewhere.

use std::path::Path;

use super::{assert_none, tracked_texts};
use crate::workspace;

/// The targets of the links in a page: `[text](target)` outside of code.
fn targets(page: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut targets = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            // Every second piece between backticks is code.
            for text in line.split('`').step_by(2) {
                targets.extend(text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()));
            }
        }
    }
    targets
}

/// The path that a link from `page` leads to, if it leads to a file of the project at all.
fn file_of(page: &str, target: &str) -> Option<std::path::PathBuf> {
    let path = target.split('#').next().filter(|path| !path.is_empty())?;
    let elsewhere = path.contains("://") || path.starts_with("mailto:");
    let folder = Path::new(page).parent().expect("a page lies in a folder");
    (!elsewhere).then(|| folder.join(path))
}

#[test]
fn links_to_files_resolve() {
    let mut broken = Vec::new();
    for (page, text) in tracked_texts(".md") {
        for target in targets(&text) {
            if file_of(&page, target).is_some_and(|file| !workspace::root().join(file).exists()) {
                broken.push(format!("{page}: there is no {target}"));
            }
        }
    }
    assert_none(broken);
}

#[test]
fn links_are_found_but_not_in_code() {
    let page =
        "See [a](a.md#part) and [`b`](../b.md \"title\").\n```\n[c](c.md)\n```\nnot `[d](d.md)`, [e](#e)";
    assert_eq!(targets(page), ["a.md#part", "../b.md", "#e"]);
}

#[test]
fn only_links_to_files_are_followed() {
    assert_eq!(file_of("docs/x.md", "a.md#part"), Some("docs/a.md".into()));
    assert_eq!(file_of("docs/x.md", "#part"), None);
    assert_eq!(file_of("docs/x.md", "https://example.org"), None);
}
