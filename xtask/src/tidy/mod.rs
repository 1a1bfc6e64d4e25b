//! The house rules, as ordinary tests: whoever breaks one learns it from the test run, with the place and the
//! remedy, not from a reviewer.
//!
//! One rule per file. Each rule is a function from a text to the list of what is wrong in it, tried on small
//! examples, and then applied to all files that git tracks.

mod imports;
mod links;
mod manifests;
mod sources;
mod tests;
mod words;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{generate, workspace};

/// Where generated Rust code lies; rules about how code is written do not apply there.
const GENERATED: &str = "proto/src/generated/";

/// The files that git tracks (and that are there), relative to the root of the workspace.
fn tracked_files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(workspace::root())
        .output()
        .expect("git runs, in a clone of the repository");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    names
        .split_terminator('\0')
        .filter(|name| workspace::root().join(name).is_file())
        .map(str::to_owned)
        .collect()
}

/// The tracked files that are text and whose name ends in `suffix`, with what stands in them.
fn tracked_texts(suffix: &str) -> Vec<(String, String)> {
    tracked_files()
        .into_iter()
        .filter(|name| name.ends_with(suffix))
        .filter_map(|name| {
            let content = fs::read(workspace::root().join(&name)).expect("a tracked file can be read");
            Some((name, String::from_utf8(content).ok()?))
        })
        .collect()
}

/// Fails with one line per violation.
#[track_caller]
fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn generated_files_are_fresh() {
    let stale: Vec<PathBuf> = generate::stale_files(workspace::root()).unwrap();
    assert!(stale.is_empty(), "run `cargo xtask generate`, stale are: {stale:?}");
}
