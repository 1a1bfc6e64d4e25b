//! How fast is fast enough: the bar of each program, and whether it is met.

use std::fmt::{self, Display, Formatter};

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use super::rigs::{GREENROOM, PROTOACTOR, RIGS};
use super::table::*;
use crate::report::{Report, Unit};

/// What a figure of ours has to be, at least or at most.
struct Bar {
    program: &'static str,
    says: &'static str,
    unit: Unit,
    ours: Option<f64>,
    limit: Option<f64>,
    at_least: bool,
}

impl Bar {
    /// `None` if something of it was not measured.
    fn is_met(&self) -> Option<bool> {
        let (ours, limit) = (self.ours?, self.limit?);
        Some(if self.at_least { ours >= limit } else { ours <= limit })
    }
}

/// The bars with what was measured; those of programs that were not are not shown.
pub(crate) struct Bars(Vec<Bar>);

/// Compares a report with the bars.
pub(crate) fn bars(report: &Report) -> Bars {
    let median = |program, rig, metric| report.figure(program, rig, metric).map(|figure| figure.median);
    let best_rust = |program, metric| {
        let peers = RIGS.iter().filter(|rig| rig.is_rust_peer);
        peers.filter_map(|rig| median(program, rig.name, metric)).min_by(f64::total_cmp)
    };
    let most = |program, says, unit, metric, limit| {
        let ours = median(program, GREENROOM, metric);
        Bar { program, says, unit, ours, limit, at_least: false }
    };
    let least = |program, says, metric, limit| Bar {
        at_least: true,
        ..most(program, says, Unit::PerSecond, metric, Some(limit))
    };
    use Unit::{Bytes, Count, Nanoseconds, Ratio, Share};
    let quarter = best_rust(PING, CPU).map(|cpu| cpu / 4.0);
    let tick = Some(1e9 / 30.0);
    let skynet_of_go = median(SKYNET, PROTOACTOR, WALL);
    // No round may break it.
    let overtaken = report.figure(HOT, GREENROOM, OVERTAKEN).map(|figure| figure.max);
    Bars(vec![
        most(PING, "CPU ≤ half of the floor's", Ratio, CPU_TO_FLOOR, Some(0.5)),
        most(PING, "CPU ≤ a quarter of the best Rust framework's", Nanoseconds, CPU, quarter),
        least(PING, "≥ 1.5 million asks per second", PER_SECOND, 1.5e6),
        Bar {
            ours: overtaken,
            ..most(HOT, "no call is overtaken by more than 256 later ones", Count, OVERTAKEN, Some(256.0))
        },
        most(RANDOM, "CPU ≤ twice the bare look-up's", Ratio, CPU_TO_MAP, Some(2.0)),
        most(ONE_WAY, "as fast as the best Rust framework", Nanoseconds, WALL, best_rust(ONE_WAY, WALL)),
        most(FAN_OUT_1000, "time ≤ 1.5 times the floor's", Ratio, WALL_TO_FLOOR, Some(1.5)),
        most(SKYNET, "faster than protoactor-go", Nanoseconds, WALL, skynet_of_go),
        least(ACTIVATION, "≥ 500,000 new actors per second", PER_SECOND, 5e5),
        most(IDLE, "≤ 400 bytes beyond the state", Bytes, RESIDENT, Some(400.0)),
        most(TICKS, "≤ a quarter of a core for empty ticks", Share, SHARE, Some(0.25)),
        most(TICKS, "p99 jitter < a tick", Nanoseconds, JITTER, tick),
    ])
}

impl Display for Bars {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["program", "bar", "limit", "greenroom", "met"]);
        for bar in self.0.iter().filter(|bar| bar.ours.is_some()) {
            let name = bar.program.split(':').next().unwrap_or_default();
            let cell = |value: Option<f64>| value.map_or("not measured".into(), |v| bar.unit.show(v));
            let met = match bar.is_met() {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "–",
            };
            table.add_row([name, bar.says, &cell(bar.limit), &cell(bar.ours), met]);
        }
        writeln!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_or_not_or_was_not_measured() {
        let mut report = Report::default();
        report.add(PING, GREENROOM, CPU_TO_FLOOR, Unit::Ratio, 0.6);
        report.add(PING, GREENROOM, PER_SECOND, Unit::PerSecond, 2e6);
        report.add(PING, GREENROOM, CPU, Unit::Nanoseconds, 100.0);
        report.add(PING, "kameo", CPU, Unit::Nanoseconds, 1_000.0);
        report.add(PING, "ractor", CPU, Unit::Nanoseconds, 800.0);
        let bars = bars(&report).0;
        let ping: Vec<_> = bars.iter().filter(|bar| bar.program == PING).map(Bar::is_met).collect();
        assert_eq!(ping, [Some(false), Some(true), Some(true)]);
        assert!(bars.iter().filter(|bar| bar.program != PING).all(|bar| bar.is_met().is_none()));
        assert_eq!(bars[1].limit, Some(200.0));
    }
}
