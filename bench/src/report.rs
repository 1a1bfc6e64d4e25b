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
    #[serde(rename = "per second")]
    PerSecond,
    /// Of one core's time; 1 is all of it.
    #[serde(rename = "share")]
    Share,
    #[serde(rename = "count")]
    Count,
}

/// One line of the JSON.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    program: &'static str,
    rig: &'static str,
    metric: &'static str,
    pub(crate) unit: Unit,
    pub(crate) median: f64,
    min: f64,
    pub(crate) max: f64,
    n: usize,
}

/// Samples, in the order in which their series began; and remarks.
#[derive(Debug, Default)]
pub(crate) struct Report {
    series: Vec<Series>,
    remarks: Vec<Remark>,
}

/// What there is to say about a rig instead of figures.
#[derive(Debug)]
struct Remark {
    program: &'static str,
    rig: &'static str,
    text: String,
}

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
        match self.series.iter_mut().find(same) {
            Some(series) => series.samples.push(sample),
            None => self.series.push(Series { program, rig, metric, unit, samples: vec![sample] }),
        }
    }

    /// Says something of a rig instead of a figure.
    pub(crate) fn remark(&mut self, program: &'static str, rig: &'static str, text: String) {
        if !self.remarks.iter().any(|known| (known.program, known.rig) == (program, rig)) {
            self.remarks.push(Remark { program, rig, text });
        }
    }

    /// The figure of a series, if it was measured.
    pub(crate) fn figure(&self, program: &str, rig: &str, metric: &str) -> Option<Figure> {
        let asked = |series: &&Series| (series.program, series.rig, series.metric) == (program, rig, metric);
        self.series.iter().find(asked).map(Series::figure)
    }

    /// The median, the least and the greatest sample of each series.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        self.series.iter().map(Series::figure).collect()
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
            for remark in self.remarks.iter().filter(|remark| remark.program == program) {
                table.add_row([remark.rig, &remark.text]);
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
        let (one, suffix) = self.unit.scale(self.median);
        let [median, min, max] = [self.median, self.min, self.max].map(|value| three_digits(value / one));
        write!(f, "{median}{suffix} ({min}–{max})")
    }
}

impl Unit {
    /// A value in the unit that makes it readable.
    pub(crate) fn show(self, value: f64) -> String {
        let (one, suffix) = self.scale(value);
        three_digits(value / one) + suffix
    }

    /// The unit that makes the value readable, and how it is written.
    fn scale(self, value: f64) -> (f64, &'static str) {
        match self {
            Self::Nanoseconds if value < 1e3 => (1.0, " ns"),
            Self::Nanoseconds if value < 1e6 => (1e3, " µs"),
            Self::Nanoseconds if value < 1e9 => (1e6, " ms"),
            Self::Nanoseconds => (1e9, " s"),
            Self::Bytes if value < 1e4 => (1.0, " B"),
            Self::Bytes => (f64::from(1 << 20), " MiB"),
            Self::Ratio => (1.0, "×"),
            Self::PerSecond if value < 1e3 => (1.0, " /s"),
            Self::PerSecond if value < 1e6 => (1e3, " k/s"),
            Self::PerSecond => (1e6, " M/s"),
            Self::Share => (0.01, " %"),
            Self::Count => (1.0, ""),
        }
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
