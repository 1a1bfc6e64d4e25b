//! The live view of a dev cluster in a terminal: nodes, activations, rates and the last log lines.
//!
//! [`draw`] is a pure function of the [`Model`], so tests draw into memory.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::snapshot::{NodeSnapshot, Snapshot};
use super::supervisor::State;
use crate::output::age;

/// How many log lines are kept to be shown; more than any terminal is high.
const KEPT_LINES: usize = 300;
/// How many types are shown.
const SHOWN_TYPES: usize = 6;

/// Everything that is shown.
pub(crate) struct Model {
    /// The cluster.
    pub(crate) snapshot: Snapshot,
    /// How long it has been up.
    pub(crate) uptime: Duration,
    /// Where its state is.
    pub(crate) directory: PathBuf,
    /// A command that the user may try first.
    pub(crate) first_step: &'static str,
    /// The last lines of its events and of its nodes' logs.
    pub(crate) log: VecDeque<String>,
    /// Whether colours are wanted.
    pub(crate) colours: bool,
}

impl Model {
    /// Adds lines to the log.
    pub(crate) fn log(&mut self, lines: impl IntoIterator<Item = String>) {
        self.log.extend(lines);
        self.log.drain(..self.log.len().saturating_sub(KEPT_LINES));
    }

    fn coloured(&self, style: Style) -> Style {
        if self.colours { style } else { Style::new() }
    }
}

/// Draws the whole view.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let types = model.snapshot.activations_by_type();
    let type_lines = types.len().clamp(1, SHOWN_TYPES + 1) as u16;
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(model.snapshot.nodes.len() as u16 + 3),
        Constraint::Length(type_lines + 2),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .split(frame.area());
    header(frame, areas[0], model);
    nodes(frame, areas[1], model);
    activations(frame, areas[2], model, &types);
    log(frame, areas[3], model);
    footer(frame, areas[4], model);
}

fn header(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let snapshot = &model.snapshot;
    let (state, colour) = match snapshot.is_ready() {
        true => ("ready".to_owned(), Color::Green),
        false => (format!("{} of {} shards served", snapshot.serving(), snapshot.shards), Color::Yellow),
    };
    let (calls, commits) = snapshot.rates();
    let line = Line::from(vec![
        Span::styled(format!(" {} ", snapshot.cluster), model.coloured(Style::new().bold())),
        Span::styled(state, model.coloured(Style::new().fg(colour))),
        Span::raw(format!(
            "  up {}  {} calls/s  {} commits/s",
            age(model.uptime),
            rate(calls),
            rate(commits)
        )),
    ]);
    frame.render_widget(line, area);
}

fn nodes(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let titles = ["NODE", "PHASE", "PID", "SHARDS", "ACTIVATIONS", "CALLS/S", "COMMITS/S", "RESTARTS"];
    let widths = [18, 11, 8, 11, 12, 9, 10, 8].map(Constraint::Length);
    let header = Row::new(titles).style(model.coloured(Style::new().bold()));
    let rows = model.snapshot.nodes.iter().map(|node| node_row(node, model));
    frame.render_widget(Table::new(rows, widths).header(header).block(block("nodes")), area);
}

fn node_row(node: &NodeSnapshot, model: &Model) -> Row<'static> {
    let colour = match (&node.state, node.phase()) {
        (State::Running { .. }, "Active") => Color::Green,
        (State::Stopped, _) => Color::DarkGray,
        (State::Restarting, _) if node.restarts > 0 => Color::Red,
        _ => Color::Yellow,
    };
    let pid = match node.state {
        State::Running { pid } => pid.to_string(),
        _ => "-".into(),
    };
    let figure = |figure: fn(&greenroom_proto::v1::NodeStatus) -> String| {
        node.status.as_ref().map_or_else(|| "-".to_owned(), figure)
    };
    Row::new([
        Cell::from(node.name.clone()),
        Cell::from(node.phase().to_owned()).style(model.coloured(Style::new().fg(colour))),
        Cell::from(pid),
        Cell::from(figure(|status| format!("{}/{}", status.shards_serving, status.shards_owned))),
        Cell::from(figure(|status| status.activations.to_string())),
        Cell::from(rate(node.calls_per_second)),
        Cell::from(rate(node.commits_per_second)),
        Cell::from(node.restarts.to_string()),
    ])
}

fn activations(frame: &mut Frame<'_>, area: Rect, model: &Model, types: &[(String, u64)]) {
    let mut lines: Vec<_> = types
        .iter()
        .take(SHOWN_TYPES)
        .map(|(name, count)| Line::from(format!("{name:<30} {count:>9}")))
        .collect();
    if types.len() > SHOWN_TYPES {
        lines.push(Line::from(format!("and {} more types", types.len() - SHOWN_TYPES)));
    }
    if types.is_empty() {
        let hint = format!("none yet; in another terminal: {}", model.first_step);
        lines.push(Line::styled(hint, model.coloured(Style::new().dim())));
    }
    frame.render_widget(Paragraph::new(lines).block(block("activations by type")), area);
}

fn log(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let height = usize::from(area.height.saturating_sub(2));
    let skipped = model.log.len().saturating_sub(height);
    let lines: Vec<_> = model.log.iter().skip(skipped).map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(block("log")), area);
}

fn footer(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let text = format!(" q or Ctrl-C stops the cluster; its state stays in {}", model.directory.display());
    frame.render_widget(Line::styled(text, model.coloured(Style::new().dim())), area);
}

fn block(title: &'static str) -> Block<'static> {
    Block::new().borders(Borders::ALL).title(format!(" {title} "))
}

fn rate(per_second: f64) -> String {
    match per_second {
        r if r > 0.0 && r < 10.0 => format!("{r:.1}"),
        r => format!("{r:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use tokio::time::Instant;

    use super::super::supervisor::Supervised;
    use super::*;
    use crate::get::tests::status;

    fn model() -> Model {
        let mut snapshot = Snapshot::new("demo", 342, (0..2).map(|i| format!("demo-{i}")));
        let running = Supervised { node: "demo-0".into(), state: State::Running { pid: 100 }, restarts: 2 };
        snapshot.nodes[0].take_state(&running);
        snapshot.nodes[0].take_status(Some(status(0)), Instant::now());
        let mut model = Model {
            snapshot,
            uptime: Duration::from_secs(75),
            directory: ".greenroom/demo".into(),
            first_step: "greenroom get types",
            log: VecDeque::new(),
            colours: false,
        };
        model.log((0..400).map(|i| format!("demo-0: line {i}")));
        model
    }

    #[test]
    fn the_view_shows_nodes_types_and_the_last_log_lines() {
        let mut terminal = Terminal::new(TestBackend::new(94, 16)).unwrap();
        terminal.draw(|frame| draw(frame, &model())).unwrap();
        insta::assert_snapshot!(terminal.backend(), @r#"
        " demo 341 of 342 shards served  up 1m15s  0 calls/s  0 commits/s                              "
        "┌ nodes ─────────────────────────────────────────────────────────────────────────────────────┐"
        "│NODE               PHASE       PID      SHARDS      ACTIVATIONS CALLS/S   COMMITS/S RESTARTS│"
        "│demo-0             Active      100      341/342     12          0         0         2       │"
        "│demo-1             Restarting  -        -           -           0         0         0       │"
        "└────────────────────────────────────────────────────────────────────────────────────────────┘"
        "┌ activations by type ───────────────────────────────────────────────────────────────────────┐"
        "│Counter                               12                                                    │"
        "└────────────────────────────────────────────────────────────────────────────────────────────┘"
        "┌ log ───────────────────────────────────────────────────────────────────────────────────────┐"
        "│demo-0: line 396                                                                            │"
        "│demo-0: line 397                                                                            │"
        "│demo-0: line 398                                                                            │"
        "│demo-0: line 399                                                                            │"
        "└────────────────────────────────────────────────────────────────────────────────────────────┘"
        " q or Ctrl-C stops the cluster; its state stays in .greenroom/demo                            "
        "#);
    }

    #[test]
    fn a_terminal_that_is_far_too_small_is_no_trouble() {
        let mut terminal = Terminal::new(TestBackend::new(8, 3)).unwrap();
        terminal.draw(|frame| draw(frame, &model())).unwrap();
    }
}
