//! Imports between our crates go one way: core ← store, cluster ← gateway ← node ← edge.
//!
//! The rule keeps what is pure pure and lets each crate be built and tested without those above it. It looks at
//! normal dependencies only: a test may use more.

use std::collections::BTreeMap;

use cargo_metadata::{Dependency, DependencyKind, MetadataCommand};

use super::assert_none;
use crate::workspace;

struct Row {
    package: &'static str,
    imports: &'static [&'static str],
    because: &'static str,
}

const fn row(package: &'static str, imports: &'static [&'static str], because: &'static str) -> Row {
    Row { package, imports, because }
}

/// Every package of the workspace, what of ours it may import, and why no more.
const TABLE: &[Row] = &[
    row("greenroom-crds", &[], "types only: whoever reads a cluster's YAML must not pull in the runtime"),
    row(
        "greenroom-proto",
        &["greenroom-core"],
        "wire types, and their one conversion to the types of the core: mesh, gateway and client all need it",
    ),
    row(
        "greenroom-core",
        &["greenroom-macros"],
        "the words that all the others speak; it knows no network, disk or Kubernetes, and writes its own actors as users do",
    ),
    row("greenroom-macros", &[], "it writes code that names core, but runs in the compiler"),
    row("greenroom-store", &["greenroom-core"], "it persists records of core and does not know who asks"),
    row(
        "greenroom-cluster",
        &["greenroom-core", "greenroom-proto", "greenroom-tls"],
        "ownership and the mesh work over any store, so they must not know one",
    ),
    row(
        "greenroom-gateway",
        &["greenroom-core", "greenroom-proto"],
        "it hands calls to core's router, wherever that sends them",
    ),
    row(
        "greenroom-client",
        &["greenroom-core", "greenroom-proto"],
        "a program that only calls actors must not carry the runtime",
    ),
    row(
        "greenroom",
        &[
            "greenroom-client",
            "greenroom-cluster",
            "greenroom-coordination-kube",
            "greenroom-core",
            "greenroom-crds",
            "greenroom-gateway",
            "greenroom-macros",
            "greenroom-proto",
            "greenroom-store",
            "greenroom-testing",
            "greenroom-tls",
        ],
        "the node puts the parts together; nothing but the edge stands above it",
    ),
    row(
        "greenroom-testing",
        &["greenroom-cluster", "greenroom-core"],
        "it drives the parts itself, with its own clock, network and disk, under the node and beside its store",
    ),
    row(
        "greenroom-sim",
        &["greenroom-cluster", "greenroom-core", "greenroom-macros", "greenroom-testing"],
        "it checks the parts in a simulated cluster; the node stands above them",
    ),
    row("greenroom-tls", &[], "whoever speaks to a node needs it, and nothing else of the runtime"),
    row(
        "greenroom-coordination-kube",
        &["greenroom-cluster", "greenroom-core", "greenroom-crds"],
        "a back end of Coordination, in a crate of its own so that only those who want Kubernetes pay for it",
    ),
    row(
        "greenroom-operator-plan",
        &["greenroom-crds"],
        "pure: it knows neither a client nor an async runtime",
    ),
    row(
        "greenroom-operator",
        &["greenroom-crds", "greenroom-operator-plan", "greenroom-proto", "greenroom-tls"],
        "it talks to the API server and to nodes, and carries no runtime",
    ),
    row(
        "greenroom-placement-api",
        &["greenroom-crds", "greenroom-proto", "greenroom-tls"],
        "it shows what nodes tell it, and carries no runtime",
    ),
    row("greenroom-e2e-cluster", &[], "any Kubernetes will do, and any product may be tested on this one"),
    row("greenroom-e2e-scenarios", &["greenroom-client", "greenroom-core"], "scenarios see what a user sees"),
    row(
        "greenroom-cli",
        &[
            "greenroom",
            "greenroom-client",
            "greenroom-cluster",
            "greenroom-core",
            "greenroom-crds",
            "greenroom-proto",
            "greenroom-tls",
        ],
        "edge: the command line contains the stock node, and talks to nodes as a client",
    ),
    row(
        "greenroom-bench",
        &[
            "greenroom",
            "greenroom-bench-rig",
            "greenroom-client",
            "greenroom-cluster",
            "greenroom-core",
            "greenroom-store",
        ],
        "edge: measures the parts and the whole",
    ),
    row("greenroom-bench-rig", &[], "other frameworks are measured with it, in programs without any of ours"),
    row("greenroom-counters", &[], "it holds tests only, of what the stock node serves"),
    row(
        "greenroom-wordcount",
        &["greenroom"],
        "edge: an example shows what a user does, with what a user has",
    ),
    row("greenroom-ticking", &["greenroom"], "edge: an example shows what a user does, with what a user has"),
    row("greenroom-chat", &["greenroom"], "edge: an example shows what a user does, with what a user has"),
    row(
        "greenroom-ping-ring",
        &["greenroom"],
        "edge: an example shows what a user does, with what a user has",
    ),
    row(
        "greenroom-presence",
        &["greenroom"],
        "edge: an example shows what a user does, with what a user has",
    ),
    row(
        "greenroom-workflow",
        &["greenroom"],
        "edge: an example shows what a user does, with what a user has",
    ),
    row("greenroom-bank", &["greenroom"], "edge: an example shows what a user does, with what a user has"),
    row(
        "greenroom-fuzz",
        &[
            "greenroom-cluster",
            "greenroom-core",
            "greenroom-gateway",
            "greenroom-placement-api",
            "greenroom-proto",
        ],
        "it reads bytes as those do who get them from outside",
    ),
    row("greenroom-models", &[], "it compiles single files of the runtime for itself, with other locks"),
    row("greenroom-charts-tests", &[], "it holds tests only"),
    row("xtask", &["greenroom-crds"], "chores run while other crates do not compile, generation above all"),
];

fn violations<'a>(packages: &BTreeMap<&'a str, Vec<&'a str>>) -> Vec<String> {
    let mut violations = Vec::new();
    for (package, imports) in packages {
        let Some(row) = TABLE.iter().find(|row| row.package == *package) else {
            violations
                .push(format!("{package} has no row in the table of {}: add one, with its reason", file!()));
            continue;
        };
        for import in imports.iter().filter(|import| packages.contains_key(**import)) {
            if !row.imports.contains(import) {
                violations.push(format!("{package} must not import {import}: {}", row.because));
            }
        }
    }
    violations
}

#[test]
fn imports_go_one_way() {
    let manifest = workspace::root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let packages = metadata.packages.iter().map(|package| {
        let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        (package.name.as_str(), normal.map(|d| d.name.as_str()).collect())
    });
    assert_none(violations(&packages.collect()));
}

/// What a node carries would differ from what its tests were run with, and tokio's clock could be stopped in it.
#[test]
fn the_feature_testing_is_for_tests_only() {
    let manifest = workspace::root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let mut violations = Vec::new();
    for package in &metadata.packages {
        let not_of_tests = |d: &&Dependency| d.kind != DependencyKind::Development;
        for dependency in package.dependencies.iter().filter(not_of_tests) {
            if dependency.name.starts_with("greenroom") && dependency.features.iter().any(|f| f == "testing")
            {
                violations.push(format!(
                    "{} must not turn on the feature `testing` of {}: move it to [dev-dependencies]",
                    package.name, dependency.name
                ));
            }
        }
        if package.features.get("default").is_some_and(|default| default.iter().any(|f| f == "testing")) {
            violations.push(format!("{} must not have `testing` among its default features", package.name));
        }
    }
    assert_none(violations);
}

#[test]
fn an_import_against_the_direction_is_found() {
    let packages =
        [("greenroom-core", vec!["bytes", "greenroom-store"]), ("greenroom-store", vec!["greenroom-core"])];
    let found = violations(&packages.into());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("greenroom-core must not import greenroom-store: "), "{found:?}");
}

#[test]
fn a_package_without_a_row_is_found() {
    assert_eq!(violations(&[("greenroom-new", vec![])].into()).len(), 1);
}
