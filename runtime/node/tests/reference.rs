//! The reference pages that are made from the code: errors, metrics, configuration.
//!
//! `cargo xtask generate` runs this with `UPDATE_DOCS=1`, which writes the pages; without it a stale page fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;

use clap::Args;
use greenroom::config::NodeArgs;
use greenroom::{CallError, METRICS};

const HEAD: &str = "<!-- Made from the code by `cargo xtask generate`; do not edit. -->\n\n";

#[test]
fn the_reference_pages_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, body) in
        [("errors.md", errors()), ("metrics.md", metrics()), ("configuration.md", configuration())]
    {
        let (path, page) = (folder.join(name), format!("{HEAD}{body}"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &page).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, page, "docs/reference/{name} is stale: run `cargo xtask generate`");
    }
}

/// Where each kind of error is shown to reach a caller.
const SHOWN_BY: [(&str, &str, &str); 9] = [
    ("timeout", TURNS, "a_turn_past_its_deadline_did_not_happen"),
    ("deadlock", "runtime/core/tests/deadlock.rs", "two_actors_that_call_each_other"),
    ("overloaded", TURNS, "a_full_mailbox_is_a_named_error"),
    ("not_found", TURNS, "every_method_can_be_called_with_json_by_name"),
    ("invalid", TURNS, "i4_a_repeated_call_gets_the_stored_reply_and_is_applied_once"),
    ("unavailable", TURNS, "a_shard_that_has_moved_away_says_nothing_more"),
    ("panicked", SUPERVISION, "who_waits_behind_the_last_panic_is_refused_too"),
    ("refused", SUPERVISION, "an_actor_is_parked_after_its_panics_until_it_is_deactivated"),
    ("app", TURNS, "a_failed_turn_leaves_nothing_behind"),
];
const TURNS: &str = "runtime/core/tests/turns.rs";
const SUPERVISION: &str = "runtime/core/tests/supervision.rs";

fn errors() -> String {
    let mut page = String::from(
        "# Errors of calls\n\nWhat a caller can be told. The kind is the same in Rust (`CallError::kind`), in JSON, over \
         gRPC (in the\ndetails of the status, as `greenroom.v1.CallError`) and in metrics.\n\n| kind | meaning | shown by |\n|---|---|---|\n",
    );
    for (kind, meaning) in CallError::<()>::KINDS {
        let shown = SHOWN_BY.iter().find(|(shown, ..)| shown == kind);
        let (_, file, test) = shown.expect("each kind of error needs a test that a caller is told it");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        let source = std::fs::read_to_string(source).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "there is no test {test} in {file} any more");
        writeln!(page, "| `{kind}` | {meaning} | `{file}`: `{test}` |").unwrap();
    }
    page
}

fn metrics() -> String {
    let mut page = String::from(
        "# Metrics of a node\n\nServed at `/metrics` of the health port, for Prometheus. No metric has a label per \
         actor.\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels, help) = (metric.name, metric.kind, labels.join(", "), metric.help);
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    page
}

fn configuration() -> String {
    let mut page = String::from(
        "# Configuration of a node\n\nA flag wins over the environment, the environment over the file that `--config` \
         names, the file over the default.\nIn the file the settings have their flag's name in camel case, e.g. \
         `dataDir`. `--print-config` shows what results.\n\n| flag | environment | meaning |\n|---|---|---|\n",
    );
    let command = NodeArgs::augment_args(clap::Command::new("node"));
    for argument in command.get_arguments() {
        let flag = argument.get_long().unwrap_or_default();
        let environment =
            argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "| `--{flag}` | {environment} | {help} |").unwrap();
    }
    page
}
