//! A value over the years, drawn as SVG.
//!
//! **Does** draw what it is given: a point for each value, the reference range as a band.
//! **Never** touches a file, or knows a range that the laboratory did not state.
//! **Format** SVG 1.1, with the fonts of whoever looks at it.

use std::error::Error;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::Offset;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::reading::Reading;

const SIZE: (u32, u32) = (960, 480);
const HEADER: u32 = 92;
/// Colours that differ in lightness too, so that they differ for everybody.
const INK: RGBColor = RGBColor(0x1f, 0x29, 0x33);
const QUIET: RGBColor = RGBColor(0x52, 0x60, 0x6d);
const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
const BAND: RGBColor = RGBColor(0xc6, 0xe8, 0xcf);
const WITHIN: RGBColor = RGBColor(0x1d, 0x5f, 0xa6);
const OUTSIDE: RGBColor = RGBColor(0xb4, 0x23, 0x18);

/// Draws readings of one unit, oldest first; there is at least one. The band is the range of the
/// newest.
pub(crate) fn draw(
    title: &str,
    person: &str,
    readings: &[Reading],
) -> Result<String, Box<dyn Error>> {
    let (Some(first), Some(newest)) = (readings.first(), readings.last()) else {
        return Err("there is nothing to draw".into());
    };
    let (unit, range) = (&newest.unit, &newest.range);
    let (ticks, form) = ticks(first.time, newest.time)?;
    let (Some(start), Some(end)) = (ticks.first(), ticks.last()) else {
        return Err("there is no time to draw over".into());
    };
    let shown = readings.iter().map(|reading| reading.value);
    let shown = shown.chain(range.low()).chain(range.high());
    let (least, most) = shown.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    let room = ((most - least) * 0.08).max(most.abs() * 0.01).max(0.1);
    let (bottom, top) = (least - room, most + room);

    let decimals = if top - bottom < 15.0 { 1 } else { 0 };

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (header, below) = root.split_vertically(HEADER);
        header.draw(&line(24, 14, title, 24, &INK))?;
        let latest = format!(
            "{person} \u{b7} latest: {} {unit} on {}",
            newest.written, newest.date
        );
        header.draw(&line(24, 44, &latest, 15, &QUIET))?;
        let legend = match range.words(unit) {
            Some(words) => {
                header.draw(&Rectangle::new([(24, 72), (46, 84)], BAND.filled()))?;
                header.draw(&line(54, 70, &words, 15, &INK))?;
                header.draw(&line(364, 70, "\u{25cf} within", 15, &WITHIN))?;
                "\u{25cf} outside"
            }
            None => "No reference range is stated.",
        };
        let (at, colour) = match range.words(unit) {
            Some(_) => (454, &OUTSIDE),
            None => (24, &QUIET),
        };
        header.draw(&line(at, 70, legend, 15, colour))?;

        let mut chart = ChartBuilder::on(&below)
            .margin_top(22)
            .margin_right(36)
            .margin_bottom(12)
            .x_label_area_size(30)
            .y_label_area_size(64)
            .build_cartesian_2d((*start..*end).with_key_points(ticks.clone()), bottom..top)?;
        if range.words(unit).is_some() {
            let low = range.low().unwrap_or(bottom);
            let high = range.high().unwrap_or(top);
            let band = Rectangle::new([(*start, low), (*end, high)], BAND.filled());
            chart.draw_series([band])?;
        }
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(QUIET)
            .label_style(("sans-serif", 15).into_font().color(&INK))
            .x_labels(ticks.len())
            .x_label_formatter(&|time| written(*time, form))
            .y_labels(8)
            .y_label_formatter(&|value| format!("{value:.decimals$}"))
            .draw()?;
        let points = || readings.iter().map(|reading| (reading.time, reading.value));
        chart.draw_series(LineSeries::new(points(), QUIET.stroke_width(2)))?;
        chart.draw_series(readings.iter().map(|reading| {
            let colour = match range.holds(reading.value) {
                true => WITHIN,
                false => OUTSIDE,
            };
            Circle::new((reading.time, reading.value), 5, colour.filled())
        }))?;
        // The unit stands where the axis ends, and not on its side.
        let right = Pos::new(HPos::Right, VPos::Top);
        let style = ("sans-serif", 15).into_font().color(&INK).pos(right);
        below.draw(&Text::new(unit.clone(), (58, 0), style))?;
        root.present()?;
    }
    Ok(svg)
}

fn line<'a>(
    x: i32,
    y: i32,
    words: &'a str,
    size: u32,
    colour: &'a RGBColor,
) -> Text<'a, (i32, i32), &'a str> {
    let style = ("sans-serif", size).into_font().color(colour);
    Text::new(words, (x, y), style)
}

/// The least that a year takes, in microseconds.
const YEAR: i64 = 365 * 86_400 * 1_000_000;

/// From the start of a year or month before the first instant to one after the last, in steps that
/// leave room for what is written under them; and how that is written.
fn ticks(first: i64, last: i64) -> Result<(Vec<i64>, &'static str), Box<dyn Error>> {
    const STEPS: [i64; 9] = [1, 3, 6, 12, 24, 60, 120, 240, 600];
    let from = Offset::UTC.to_datetime(Timestamp::from_microsecond(first)?);
    let months = (last - first) / (YEAR / 12);
    let step = STEPS.into_iter().find(|step| months / step <= 12);
    let step = step.unwrap_or(600);
    let month = i64::from(from.year()) * 12 + i64::from(from.month()) - 1;
    let mut month = month - month.rem_euclid(step);
    let mut ticks = Vec::new();
    while ticks.last().is_none_or(|tick| *tick <= last) {
        let year = i16::try_from(month.div_euclid(12))?;
        let date = civil::Date::new(year, i8::try_from(month.rem_euclid(12))? + 1, 1)?;
        let midnight = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0))?;
        ticks.push(midnight.as_microsecond());
        month += step;
    }
    Ok((ticks, if step < 12 { "%Y-%m" } else { "%Y" }))
}

fn written(time: i64, form: &str) -> String {
    let time = Timestamp::from_microsecond(time);
    time.map_or_else(|_| String::new(), |time| time.strftime(form).to_string())
}
