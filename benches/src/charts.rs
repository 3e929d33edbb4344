//! Charts of outcomes, as SVG.

use std::path::Path;

use helios_benches::Error;
use plotters::chart::SeriesLabelPosition;
use plotters::coord::types::RangedCoordf64;
use plotters::coord::{CoordTranslate, Shift};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Outcome, Row, digits};
use crate::scenarios::{Kind, SCENARIOS};

/// In pixels.
const WIDTH: u32 = 900;
const LINES_HEIGHT: u32 = 420;
const BAR: u32 = 18;
const MARGIN: u32 = 15;
const TEXT: u32 = 15;
const AXIS: u32 = 50;
const NAMES: u32 = 190;

const FONT: &str = "sans-serif";

/// The space before and after a text.
const SPACE: &str = "\u{a0}\u{a0}";

/// Colours that the colour-blind can tell apart too.
const COLOURS: [RGBColor; 3] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
];

type Label = Text<'static, (f64, f64), String>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws an outcome into a folder, if its kind has a chart, and returns the file's name.
pub(crate) fn draw(outcome: &Outcome, folder: &Path) -> Result<Option<String>, Error> {
    let scenario = SCENARIOS.iter().find(|one| one.name == outcome.name);
    let name = format!("{}.svg", outcome.name);
    let file = folder.join(&name);
    match scenario.map(|scenario| &scenario.kind) {
        None | Some(Kind::Figures { drawn: 0, .. }) => return Ok(None),
        Some(Kind::Figures { drawn, .. }) => bars(outcome, *drawn, &file)?,
        Some(Kind::Growth { axis, points, .. }) => lines(outcome, axis, points, &file)?,
    }
    Ok(Some(name))
}

/// Draws a group of bars for each subject, with one bar for each of the figures drawn.
fn bars(outcome: &Outcome, drawn: usize, file: &Path) -> Result<(), Error> {
    let rows = &outcome.subjects;
    let bars = u32::try_from(rows.len() * (drawn + 1))?;
    let area = canvas(file, bars * BAR + AXIS + 4 * MARGIN)?;
    let medians = rows.iter().flat_map(|row| &row.ranges[..drawn]);
    let most = medians.map(|range| range.median).fold(0.0, f64::max);
    let mut chart = builder(&area, outcome)
        .y_label_area_size(NAMES)
        .build_cartesian_2d(0.0..most * 1.12, 0.0..f64::from(bars))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&|_| String::new())
        .set_tick_mark_size(LabelAreaPosition::Left, 0)
        .x_label_formatter(&|value| grouped(*value))
        .x_desc(outcome.figures[..drawn].join(", "))
        .label_style((FONT, TEXT))
        .draw()?;
    // From the top down, with room for one bar between two groups.
    let groups = rows.iter().enumerate().map(|(place, row)| {
        let top = ((rows.len() - place) * (drawn + 1)) as f64 - 0.5;
        (row, top)
    });
    let name =
        |(row, top): (&Row, f64)| text((0.0, top - drawn as f64 / 2.0), &row.subject, HPos::Right);
    chart.draw_series(groups.clone().map(name))?;
    for (place, name) in outcome.figures[..drawn].iter().enumerate() {
        let ends = groups.clone();
        let ends = ends.map(|(row, top)| (row.ranges[place].median, top - place as f64));
        draw_bars(&mut chart, ends, name, COLOURS[place % COLOURS.len()])?;
    }
    match drawn {
        1 => Ok(area.present()?),
        _ => legend(&mut chart, SeriesLabelPosition::UpperRight),
    }
}

/// Draws bars that end at these values, with their upper edges at these heights.
fn draw_bars<'a, 'b: 'a>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    ends: impl Iterator<Item = (f64, f64)> + Clone,
    name: &str,
    colour: RGBColor,
) -> Result<(), Error> {
    let colour = colour.filled();
    let bar = |(value, top)| Rectangle::new([(0.0, top), (value, top - 0.9)], colour);
    let value = |(value, top)| text((value, top - 0.45), &grouped(value), HPos::Left);
    chart
        .draw_series(ends.clone().map(bar))?
        .label(name)
        .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 15, y + 5)], colour));
    chart.draw_series(ends.map(value))?;
    Ok(())
}

/// Draws a line for each subject.
fn lines(outcome: &Outcome, axis: &str, points: &[u32], file: &Path) -> Result<(), Error> {
    let area = canvas(file, LINES_HEIGHT)?;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Ok(());
    };
    let ranges = outcome.subjects.iter().flat_map(|row| &row.ranges);
    let most = ranges.map(|range| range.median).fold(0.0, f64::max);
    let along = (*first..*last + 1)
        .log_scale()
        .with_key_points(points.to_vec());
    let mut chart = builder(&area, outcome)
        .y_label_area_size(AXIS + MARGIN)
        .build_cartesian_2d(along, 0.0..most * 1.1)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|point| grouped(f64::from(*point)))
        .y_label_formatter(&|value| grouped(*value))
        .x_desc(axis)
        .y_desc("CPU \u{b5}s per event")
        .label_style((FONT, TEXT))
        .draw()?;
    for (place, row) in outcome.subjects.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()].stroke_width(2);
        let medians = row.ranges.iter().map(|range| range.median);
        let line = LineSeries::new(points.iter().copied().zip(medians), colour).point_size(4);
        chart
            .draw_series(line)?
            .label(&row.subject)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    legend(&mut chart, SeriesLabelPosition::UpperMiddle)
}

fn canvas(file: &Path, height: u32) -> Result<Area<'_>, Error> {
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    Ok(area)
}

fn builder<'a, 'b>(area: &'a Area<'b>, outcome: &Outcome) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(&outcome.title, (FONT, TEXT + 1))
        .margin(MARGIN)
        .margin_right(3 * MARGIN)
        .x_label_area_size(AXIS);
    builder
}

/// Returns a text on one side of a point.
fn text(at: (f64, f64), text: &str, anchor: HPos) -> Label {
    let style = TextStyle::from((FONT, TEXT - 2)).pos(Pos::new(anchor, VPos::Center));
    Text::new(format!("{SPACE}{text}{SPACE}"), at, style)
}

/// Draws the legend of the lines or bars.
fn legend<'a, 'b: 'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, C>,
    position: SeriesLabelPosition,
) -> Result<(), Error> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font((FONT, TEXT))
        .draw()?;
    Ok(())
}

/// Formats a number with a comma between thousands.
fn grouped(value: f64) -> String {
    if value.fract() != 0.0 && value < 100.0 {
        return digits(value);
    }
    let plain = format!("{value:.0}");
    let digits = plain.char_indices();
    let mut text = String::new();
    for (place, digit) in digits {
        if place > 0 && (plain.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0.0, 7.25, 100.0, 19_000.0, 1_234_567.0].map(grouped);
        assert_eq!(texts, ["0", "7.25", "100", "19,000", "1,234,567"]);
    }
}
