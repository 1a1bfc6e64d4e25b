//! The figures as a picture: a panel per program, a bar per rig; shorter is better in all of them.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::rigs::{GREENROOM, PLAIN, RIGS};
use super::table::PROGRAMS;
use crate::report::{Figure, Report};

const COLUMNS: usize = 2;
const PANEL: (u32, u32) = (520, 220);
/// Where bars begin; left of it stand the names.
const BARS: i32 = 170;
/// How long the longest is; right of it stands its value.
const LONGEST: i32 = 250;
const LINE: i32 = 19;
const TITLE: i32 = 30;

const OURS: RGBColor = RGBColor(38, 128, 96);
const OTHERS: RGBColor = RGBColor(150, 160, 170);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws the panels of the programs that were measured.
pub(crate) fn draw(report: &Report, file: &Path) -> Result<()> {
    let panels: Vec<_> = PROGRAMS
        .iter()
        .map(|program| {
            let metric = program.headline();
            let bars = RIGS
                .iter()
                .filter_map(|rig| Some((rig.name, report.figure(program.title, rig.name, metric)?)));
            (format!("{} ({metric})", program.title), bars.collect::<Vec<_>>())
        })
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * rows.max(1) as u32);
    let picture = SVGBackend::new(file, size).into_drawing_area();
    picture.fill(&WHITE)?;
    for ((title, bars), area) in panels.iter().zip(picture.split_evenly((rows, COLUMNS))) {
        panel(&area, title, bars)?;
    }
    picture.present().with_context(|| format!("cannot write {}", file.display()))
}

fn panel(area: &Area<'_>, title: &str, bars: &[(&str, Figure)]) -> Result<()> {
    let text = |size: i32| TextStyle::from(("sans-serif", size).into_font());
    area.draw(&Text::new(title, (10, 8), text(14)))?;
    let longest = bars.iter().map(|(_, figure)| figure.median).fold(f64::MIN_POSITIVE, f64::max);
    for ((name, figure), line) in bars.iter().zip(0..) {
        let (top, middle) = (TITLE + line * LINE, TITLE + line * LINE + LINE / 2);
        let end = BARS + (figure.median / longest * f64::from(LONGEST)) as i32;
        let color = if [GREENROOM, PLAIN].contains(name) { OURS } else { OTHERS };
        // The floor has its explanation in its name.
        let name = name.split(':').next().unwrap_or(name);
        let name_style = text(12).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(name, (BARS - 8, middle), name_style))?;
        area.draw(&Rectangle::new([(BARS, top + 2), (end.max(BARS + 1), top + LINE - 2)], color.filled()))?;
        let value_style = text(12).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(figure.unit.show(figure.median), (end + 6, middle), value_style))?;
    }
    Ok(())
}
