//! How results are shown: tables for people, JSON and YAML for programs, and a spinner while they take their time.
//!
//! The JSON form is the stable one: camelCase names, a list is `{"items": […]}`. Results go to stdout and nothing else
//! does; remarks go to stderr.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::failure::{Failure, OrFail, Result};

/// The forms of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// The columns that are asked for most.
    Table,
    /// Every column.
    Wide,
    /// `{"items": […]}`.
    Json,
    /// The same as YAML.
    Yaml,
}

/// The forms of everything that is not a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A column of a table.
pub(crate) struct Column<R> {
    title: &'static str,
    cell: fn(&R) -> String,
    wide: bool,
    right: bool,
}

impl<R> Column<R> {
    /// A column of text.
    pub(crate) const fn text(title: &'static str, cell: fn(&R) -> String) -> Self {
        Self { title, cell, wide: false, right: false }
    }

    /// A column of numbers, which are aligned at their last digit.
    pub(crate) const fn number(title: &'static str, cell: fn(&R) -> String) -> Self {
        Self { title, cell, wide: false, right: true }
    }

    /// The same column, shown with `-o wide` only.
    pub(crate) const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }
}

/// Something that lists are made of.
pub(crate) trait Row: Serialize + Sized + 'static {
    /// What a list without rows says instead of an empty table.
    const NONE: &'static str;
    /// The columns, in order.
    const COLUMNS: &'static [Column<Self>];
}

#[derive(Serialize)]
struct List<'a, R> {
    items: &'a [R],
}

/// Prints a list to stdout.
pub(crate) fn print_list<R: Row>(rows: &[R], format: ListFormat) -> Result {
    if rows.is_empty() && matches!(format, ListFormat::Table | ListFormat::Wide) {
        remark(R::NONE);
        return Ok(());
    }
    print(&render_list(rows, format)?)
}

/// A list in one of its forms.
pub(crate) fn render_list<R: Row>(rows: &[R], format: ListFormat) -> Result<String> {
    match format {
        ListFormat::Table => Ok(table(rows, false)),
        ListFormat::Wide => Ok(table(rows, true)),
        ListFormat::Json => render_data(&List { items: rows }, DataFormat::Json),
        ListFormat::Yaml => render_data(&List { items: rows }, DataFormat::Yaml),
    }
}

/// Prints a value to stdout.
pub(crate) fn print_data<T: Serialize>(value: &T, format: DataFormat) -> Result {
    print(&render_data(value, format)?)
}

/// A value in one of its forms.
pub(crate) fn render_data<T: Serialize>(value: &T, format: DataFormat) -> Result<String> {
    match format {
        DataFormat::Json => serde_json::to_string_pretty(value).or_fail("cannot write JSON"),
        DataFormat::Yaml => serde_saphyr::to_string(value).or_fail("cannot write YAML"),
    }
}

/// Rows under titles, without lines, so that it can be cut and searched like the tables of kubectl.
pub(crate) fn table<R: Row>(rows: &[R], wide: bool) -> String {
    let columns: Vec<_> = R::COLUMNS.iter().filter(|column| wide || !column.wide).collect();
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns.iter().map(|column| column.title));
    for row in rows {
        table.add_row(columns.iter().map(|column| Cell::new((column.cell)(row))));
    }
    for (column, made) in columns.iter().zip(table.column_iter_mut()) {
        made.set_padding((0, 3));
        if column.right {
            made.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Writes lines to stdout. A reader that has gone away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says something beside the result, dimmed.
pub(crate) fn remark(text: impl std::fmt::Display) {
    let dim = Style::new().dimmed();
    anstream::eprintln!("{dim}{text}{dim:#}");
}

/// Says that the result is not whole.
pub(crate) fn warn(text: impl std::fmt::Display) {
    let warning = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    anstream::eprintln!("{warning}warning:{warning:#} {text}");
}

/// Awaits `work`; if that takes longer than a second and stderr is a terminal, a spinner says what is going on.
pub(crate) async fn with_spinner<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => return result,
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    let result = work.await;
    spinner.finish_and_clear();
    result
}

/// A span of time as people say it: `42s`, `3m12s`, `5h07m`, `2d03h`.
pub(crate) fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (192, "3m12s"), (18_420, "5h07m"), (183_600, "2d03h")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }
}
