//! The reference page of the operator, made from the code.
//!
//! `cargo xtask generate` runs this with `UPDATE_DOCS=1`, which writes the page; without it a stale page fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;
use greenroom_operator::{Args, Category, METRICS};
use greenroom_operator_plan::reasons::reasons_markdown;

#[test]
fn the_reference_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/operator.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page, "docs/reference/operator.md is stale: run `cargo xtask generate`");
}

fn page() -> String {
    let mut page = String::from(
        "<!-- Made from the code by `cargo xtask generate`; do not edit. -->\n\n# The operator: settings, metrics, reasons\n\n\
         What it does when, and what to do about failures: [operations](../operations.md).\n\n## Settings\n\n\
         A flag wins over the environment, the environment over the default. The chart sets them from its values.\n\n\
         | flag | environment | default | meaning |\n|---|---|---|---|\n",
    );
    for argument in Args::command().get_arguments() {
        let Some(environment) = argument.get_env() else { continue };
        let default: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = Some(default.join(",")).filter(|default| !default.is_empty());
        writeln!(
            page,
            "| `--{}` | `{}` | {} | {} |",
            argument.get_long().unwrap(),
            environment.to_string_lossy(),
            default.map_or(String::new(), |default| format!("`{default}`")),
            argument.get_help().unwrap()
        )
        .unwrap();
    }
    page.push_str(
        "\n## Metrics\n\nServed at `/metrics`, for Prometheus.\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{}` | {} | {} | {} |", metric.name, metric.kind, labels.join(", "), metric.help)
            .unwrap();
    }
    page.push_str("\n## Reasons of conditions and events\n\n");
    page.push_str(&reasons_markdown());
    page.push_str(
        "\n## Categories of failures\n\nOf the metric `greenroom_operator_reconcile_failures_total`, and the reason of the \
         event that tells a failure.\n\n| category | meaning |\n|---|---|\n",
    );
    for (category, meaning) in Category::ALL {
        writeln!(page, "| `{category}` | {meaning} |").unwrap();
    }
    page
}
