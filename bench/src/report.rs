//! What was measured: every sample, and medians of them as a table for people and as JSON.

use std::fmt::{self, Display, Formatter};

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "bytes")]
    Bytes,
    /// How many times as much as the floor of the same round.
    #[serde(rename = "ratio")]
    Ratio,
}

/// One line of the JSON.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    program: &'static str,
    rig: &'static str,
    metric: &'static str,
    unit: Unit,
    median: f64,
    min: f64,
    max: f64,
    n: usize,
}

/// Samples, in the order in which their series began.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Series>);

#[derive(Debug)]
struct Series {
    program: &'static str,
    rig: &'static str,
    metric: &'static str,
    unit: Unit,
    samples: Vec<f64>,
}

impl Report {
    /// Adds a sample to its series.
    pub(crate) fn add(
        &mut self,
        program: &'static str,
        rig: &'static str,
        metric: &'static str,
        unit: Unit,
        sample: f64,
    ) {
        let same =
            |series: &&mut Series| (series.program, series.rig, series.metric) == (program, rig, metric);
        match self.0.iter_mut().find(same) {
            Some(series) => series.samples.push(sample),
            None => self.0.push(Series { program, rig, metric, unit, samples: vec![sample] }),
        }
    }

    /// The median, the least and the greatest sample of each series.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        self.0.iter().map(Series::figure).collect()
    }
}

impl Series {
    fn figure(&self) -> Figure {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
        let &Self { program, rig, metric, unit, .. } = self;
        Figure { program, rig, metric, unit, median, min: sorted[0], max: sorted[n - 1], n }
    }
}

/// A table per program: a row per rig, a column per metric.
impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figures = self.figures();
        for program in distinct(figures.iter().map(|figure| figure.program)) {
            let of_program = || figures.iter().filter(|figure| figure.program == program);
            let metrics = distinct(of_program().map(|figure| figure.metric));
            let n = of_program().map(|figure| figure.n).max().unwrap_or_default();
            let mut table = Table::new();
            table.load_style(ASCII_MARKDOWN);
            table.set_header([&[program], &metrics[..]].concat());
            for rig in distinct(of_program().map(|figure| figure.rig)) {
                let cell = |metric| of_program().find(|figure| (figure.rig, figure.metric) == (rig, metric));
                let cells =
                    metrics.iter().map(|&metric| cell(metric).map(Figure::to_string).unwrap_or_default());
                table.add_row(std::iter::once(rig.to_owned()).chain(cells));
            }
            table.column_iter_mut().skip(1).for_each(|column| {
                column.set_cell_alignment(CellAlignment::Right);
            });
            writeln!(f, "{table}\n\nMedians of {n} rounds (least–greatest).\n")?;
        }
        Ok(())
    }
}

/// The median, and in brackets the range, all in the unit that makes the median readable.
impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (one, suffix) = match self.unit {
            Unit::Nanoseconds if self.median < 1e3 => (1.0, " ns"),
            Unit::Nanoseconds if self.median < 1e6 => (1e3, " µs"),
            Unit::Nanoseconds => (1e6, " ms"),
            Unit::Bytes if self.median < 1e4 => (1.0, " B"),
            Unit::Bytes => (f64::from(1 << 20), " MiB"),
            Unit::Ratio => (1.0, "×"),
        };
        let [median, min, max] = [self.median, self.min, self.max].map(|value| three_digits(value / one));
        write!(f, "{median}{suffix} ({min}–{max})")
    }
}

fn three_digits(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}

/// Every value once, in the order in which they first came.
fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    values.fold(Vec::new(), |mut seen, value| {
        if !seen.contains(&value) {
            seen.push(value);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_samples_with_their_range() {
        let mut report = Report::default();
        for sample in [9.0, 1.0, 3.0, 4.0] {
            report.add("ask", "floor", "wall", Unit::Nanoseconds, sample);
        }
        report.add("ask", "by identity", "wall", Unit::Nanoseconds, 2_500.0);
        let figure = &report.figures()[0];
        assert_eq!((figure.median, figure.min, figure.max, figure.n), (3.5, 1.0, 9.0, 4));
        assert_eq!(figure.to_string(), "3.50 ns (1.00–9.00)");
        assert!(report.to_string().contains("2.50 µs"), "{report}");
    }
}
