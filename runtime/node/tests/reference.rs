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

fn errors() -> String {
    let mut page = String::from(
        "# Errors of calls\n\nWhat a caller can be told. The kind is the same in Rust (`CallError::kind`), in JSON, over \
         gRPC (in the\ndetails of the status, as `greenroom.v1.CallError`) and in metrics.\n\n| kind | meaning |\n|---|---|\n",
    );
    for (kind, meaning) in CallError::<()>::KINDS {
        writeln!(page, "| `{kind}` | {meaning} |").unwrap();
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
