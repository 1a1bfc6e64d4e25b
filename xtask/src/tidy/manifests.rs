//! Lints and dependency versions stand once, in the root manifest; members refer to them.
//!
//! The manifests are read line by line, not as TOML: a dependency that does not fit on one line
//! (`name.workspace = true` or `name = { workspace = true, … }`) does not stand in a member anyway.

use super::{assert_none, tracked_texts};

/// Workspaces of their own, with their own versions: what stands there is never built with us.
const NOT_OURS: [&str; 2] = ["bench/peers/", "fuzz/libfuzzer/"];

fn violations(path: &str, manifest: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let mut section = "";
    let mut lints = false;
    for (number, line) in (1..).zip(manifest.lines()) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if line.is_empty() || line.starts_with('#') {
            continue;
        } else if section == "lints" {
            lints |= line == "workspace = true";
        } else if section.contains("dependencies") && !line.contains("workspace = true") {
            violations.push(format!(
                "{path}:{number}: put the version into [workspace.dependencies] and write `NAME.workspace = true` here"
            ));
        }
    }
    if !lints {
        violations.push(format!("{path}: add `[lints]` with `workspace = true`"));
    }
    violations
}

#[test]
fn members_take_lints_and_versions_from_the_workspace() {
    let mut members = tracked_texts("/Cargo.toml");
    members.retain(|(path, _)| !NOT_OURS.iter().any(|folder| path.starts_with(folder)));
    assert!(!members.is_empty());
    assert_none(members.iter().flat_map(|(path, text)| violations(path, text)).collect());
}

#[test]
fn a_version_in_a_member_and_missing_lints_are_found() {
    let good = "[package]\nname = \"x\"\n[lints]\nworkspace = true\n[dependencies]\n";
    assert_eq!(
        violations("x", &format!("{good}a.workspace = true\n# why\nb = {{ workspace = true }}")),
        [""; 0]
    );
    assert_eq!(violations("x", &format!("{good}serde = \"1\"")).len(), 1);
    assert_eq!(violations("x", &format!("{good}[dev-dependencies.serde]\nversion = \"1\"")).len(), 1);
    assert_eq!(violations("x", "[package]\nname = \"x\"").len(), 1);
}
