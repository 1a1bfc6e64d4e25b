//! `greenroom top`: what each node does right now.
//!
//! Rates come from two samples of a node's own counters over its own uptime, so that neither the network nor this
//! machine's clock is in them. A node that was started again in between has no rate yet.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use greenroom_proto::v1::{HotActor, NodeStatus};
use ratatui::Frame;
use ratatui::widgets::Paragraph;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::failure::{Failure, Result};
use crate::output::{self, Column, ListFormat, Row, age, table};
use crate::screen::{Key, Screen};
use crate::signals::Quit;
use crate::target::TargetArgs;

/// The time between two samples.
const PERIOD: Duration = Duration::from_secs(1);

/// Show what the nodes do, every second
///
/// Prints one sample over a second instead if the output is no terminal, or with an output format.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one sample over a second
    #[arg(long)]
    once: bool,
    /// Show the actors that answer the most calls instead of the nodes
    #[arg(long)]
    actors: bool,
    /// The form of one sample
    #[arg(short, long, value_enum)]
    output: Option<ListFormat>,
    #[command(flatten)]
    target: TargetArgs,
}

/// What a node does.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct TopRow {
    name: String,
    /// `Silent` if it does not answer, `Absent` if it should be there and is not.
    phase: String,
    shards_serving: u32,
    shards_owned: u32,
    activations: u64,
    calls_per_second: Option<f64>,
    calls_failed_per_second: Option<f64>,
    commits_per_second: Option<f64>,
    uptime_ms: u64,
}

impl Row for TopRow {
    const NONE: &'static str = "the cluster has no nodes";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text("NODE", |row| row.name.clone()),
        Column::text("PHASE", |row| row.phase.clone()),
        Column::number("CALLS/S", |row| rate(row.calls_per_second)),
        Column::number("FAILED/S", |row| rate(row.calls_failed_per_second)),
        Column::number("COMMITS/S", |row| rate(row.commits_per_second)),
        Column::number("ACTIVATIONS", |row| row.there(row.activations)),
        Column::number("SHARDS", |row| row.there(format!("{}/{}", row.shards_serving, row.shards_owned))),
        Column::number("UPTIME", |row| row.there(age(Duration::from_millis(row.uptime_ms)))),
    ];
}

impl TopRow {
    fn missing(name: &str, phase: &str) -> Self {
        Self { name: name.to_owned(), phase: phase.to_owned(), ..Self::default() }
    }

    fn of(before: Option<&NodeStatus>, now: &NodeStatus) -> Self {
        let same_run = before.filter(|before| before.pid == now.pid && before.uptime_ms < now.uptime_ms);
        let per_second = |counter: fn(&NodeStatus) -> u64| {
            let before = same_run?;
            let seconds = (now.uptime_ms - before.uptime_ms) as f64 / 1000.0;
            Some(counter(now).saturating_sub(counter(before)) as f64 / seconds)
        };
        Self {
            name: now.name.clone(),
            phase: now.phase.clone(),
            shards_serving: now.shards_serving,
            shards_owned: now.shards_owned,
            activations: now.activations,
            calls_per_second: per_second(|status| status.calls_total),
            calls_failed_per_second: per_second(|status| status.calls_failed_total),
            commits_per_second: per_second(|status| status.commits_total),
            uptime_ms: now.uptime_ms,
        }
    }

    fn there(&self, value: impl ToString) -> String {
        if matches!(self.phase.as_str(), "Silent" | "Absent") { "-".into() } else { value.to_string() }
    }
}

fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => "-".to_owned(),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// The samples of the nodes, the last one of each.
#[derive(Default)]
struct Sampler {
    last: BTreeMap<String, NodeStatus>,
}

impl Sampler {
    /// Takes a sample: a row for each node, with rates for those that were in the sample before.
    async fn sample(&mut self, cluster: &mut Cluster) -> Result<Vec<TopRow>> {
        cluster.look_again().await?;
        let statuses = cluster.status_of_each().await;
        Ok(self.rows(statuses, cluster.absent()))
    }

    fn rows(
        &mut self,
        statuses: Vec<(String, Result<NodeStatus, String>)>,
        absent: &[String],
    ) -> Vec<TopRow> {
        let mut rows: Vec<_> = absent.iter().map(|name| TopRow::missing(name, "Absent")).collect();
        let mut last = BTreeMap::new();
        for (name, status) in statuses {
            let Ok(status) = status else {
                rows.push(TopRow::missing(&name, "Silent"));
                continue;
            };
            rows.push(TopRow::of(self.last.get(&name), &status));
            last.insert(name, status);
        }
        self.last = last;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }
}

/// How many actors are shown.
const ACTORS: usize = 20;

/// An actor that is busy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct HotRow {
    actor: String,
    node: String,
    calls_per_second: f64,
}

impl Row for HotRow {
    const NONE: &'static str = "no actor has answered many calls in the last ten seconds";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text("ACTOR", |row| row.actor.clone()),
        Column::text("NODE", |row| row.node.clone()),
        Column::number("CALLS/S", |row| rate(Some(row.calls_per_second))),
    ];
}

/// The actors that answer the most calls.
async fn hot_rows(cluster: &Cluster) -> Result<Vec<HotRow>> {
    let hot = cluster.hot_actors(ACTORS).await?.into_iter();
    let row = |(node, hot): (String, HotActor)| HotRow {
        actor: format!("{}/{}", hot.r#type, hot.key),
        node,
        calls_per_second: hot.calls_per_second,
    };
    Ok(hot.map(row).collect())
}

pub(crate) async fn run(args: Args) -> Result {
    let mut cluster = Cluster::of(args.target.choose().await?).await?;
    if args.actors {
        let rows = hot_rows(&cluster).await?;
        return output::print_list(&rows, args.output.unwrap_or(ListFormat::Table));
    }
    let mut sampler = Sampler::default();
    // Asked in vain, the first question tells why; afterwards a silent node is only a line of the table.
    cluster.statuses().await?;
    sampler.sample(&mut cluster).await?;
    if args.once || args.output.is_some() || !std::io::stdout().is_terminal() {
        tokio::time::sleep(PERIOD).await;
        let rows = sampler.sample(&mut cluster).await?;
        return output::print_list(&rows, args.output.unwrap_or(ListFormat::Table));
    }
    live(&mut cluster, &mut sampler).await
}

/// Shows a sample each second until the user quits.
async fn live(cluster: &mut Cluster, sampler: &mut Sampler) -> Result {
    let mut quit = Quit::listen()?;
    let mut screen = Screen::open("--once")?;
    let title = cluster.target().to_string();
    let mut rows = Vec::new();
    let mut trouble: Option<Failure> = None;
    loop {
        screen.draw(|frame| draw(frame, &title, &rows, trouble.as_ref()))?;
        let sample = async {
            tokio::time::sleep(PERIOD).await;
            sampler.sample(cluster).await
        };
        tokio::select! {
            () = quit.asked() => return Ok(()),
            Key::Quit = screen.key() => return Ok(()),
            sample = sample => match sample {
                Ok(sample) => (rows, trouble) = (sample, None),
                Err(failure) => trouble = Some(failure),
            },
        }
    }
}

fn draw(frame: &mut Frame<'_>, title: &str, rows: &[TopRow], trouble: Option<&Failure>) {
    let total = |figure: fn(&TopRow) -> Option<f64>| rate(Some(rows.iter().filter_map(figure).sum()));
    let mut text = format!(
        "{title}: {} calls/s, {} commits/s\n\n{}\n\nq or Ctrl-C ends",
        total(|row| row.calls_per_second),
        total(|row| row.commits_per_second),
        table(rows, false),
    );
    if let Some(trouble) = trouble {
        text = format!("{text}\n\nthe last good sample is shown; {}", trouble.text());
    }
    frame.render_widget(Paragraph::new(text), frame.area());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get::tests::status;
    use crate::output::render_list;

    fn later(status: &NodeStatus, calls: u64) -> NodeStatus {
        let status = status.clone();
        NodeStatus { uptime_ms: status.uptime_ms + 2_000, calls_total: status.calls_total + calls, ..status }
    }

    #[test]
    fn rates_are_over_the_time_that_the_node_says_has_passed() {
        let mut sampler = Sampler::default();
        let (first, second) = (status(0), status(1));
        let answers = |a: &NodeStatus, b: Result<NodeStatus, String>| {
            vec![("demo-0".to_owned(), Ok(a.clone())), ("demo-1".to_owned(), b)]
        };
        sampler.rows(answers(&first, Ok(second.clone())), &[]);
        let started_again = NodeStatus { pid: 7, uptime_ms: 500, ..second };
        let rows = sampler.rows(answers(&later(&first, 9), Ok(started_again)), &["demo-2".into()]);
        insta::assert_snapshot!(render_list(&rows, ListFormat::Table).unwrap(), @r"
        NODE     PHASE    CALLS/S   FAILED/S   COMMITS/S   ACTIVATIONS    SHARDS   UPTIME
        demo-0   Active       4.5          0           0            12   341/342    1m03s
        demo-1   Active         -          -           -            12   341/342       0s
        demo-2   Absent         -          -           -             -         -        -
        ");
        let rows = sampler.rows(answers(&later(&first, 9), Err("gone".into())), &[]);
        insta::assert_snapshot!(render_list(&rows, ListFormat::Table).unwrap(), @r"
        NODE     PHASE    CALLS/S   FAILED/S   COMMITS/S   ACTIVATIONS    SHARDS   UPTIME
        demo-0   Active         -          -           -            12   341/342    1m03s
        demo-1   Silent         -          -           -             -         -        -
        ");
    }
}
