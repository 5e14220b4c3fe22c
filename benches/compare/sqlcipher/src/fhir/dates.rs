//! Dates of FHIR as the SDK's tables have them: from and to, in milliseconds or in days.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// The first and the last millisecond of a date of any precision. Without a zone it is UTC.
pub(crate) fn millis(text: &str) -> Option<(i64, i64)> {
    let (from, length) = match text.split_once('T') {
        None => {
            let (from, length) = day(text)?;
            (from.to_datetime(jiff::civil::Time::midnight()), length)
        }
        Some((_, time)) => {
            let length = match time.contains('.') {
                true => 1.millisecond(),
                false => 1.second(),
            };
            let from: Timestamp = text.parse().ok()?;
            (TimeZone::UTC.to_datetime(from), length)
        }
    };
    let to = from.checked_add(length).ok()?;
    Some((of_civil(from)?, of_civil(to)? - 1))
}

/// The first and the last day of a date of any precision, counted from 1970.
pub(crate) fn days(text: &str) -> Option<(i64, i64)> {
    let (from, length) = day(text)?;
    let to = from.checked_add(length).ok()?;
    let since = |day: Date| of_civil(day.to_datetime(jiff::civil::Time::midnight()));
    Some((since(from)? / DAY, since(to)? / DAY - 1))
}

const DAY: i64 = 24 * 60 * 60 * 1000;

fn day(text: &str) -> Option<(Date, Span)> {
    match text.len() {
        4 => Some((format!("{text}-01-01").parse().ok()?, 1.year())),
        7 => Some((format!("{text}-01").parse().ok()?, 1.month())),
        _ => Some((text.parse().ok()?, 1.day())),
    }
}

fn of_civil(time: DateTime) -> Option<i64> {
    Some(TimeZone::UTC.to_timestamp(time).ok()?.as_millisecond())
}
