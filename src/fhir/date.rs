//! FHIR's dates, as the stretch of time they cover.
//!
//! **Does** read `date`, `dateTime` and `instant`, whole or partial, and Periods made of them.
//! **Never** guesses: what is not a date of this calendar covers nothing.
//! **Format** FHIR R4 date, dateTime and instant; years 0001 to 9999.

use jiff::civil::Date;

use crate::time::Timestamp;

/// A start, and an end that no longer belongs to it; both are the same for an instant.
pub(super) type Interval = (Timestamp, Timestamp);

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The first microsecond of the year 1, where a Period without a start begins.
const CALENDAR_START: Timestamp = Timestamp::from_micros(-719_162 * DAY);
/// The first microsecond of the year 10000, where a Period without an end stops.
const CALENDAR_END: Timestamp = Timestamp::from_micros(2_932_897 * DAY);

/// What a date covers: `2020` a year, `2020-05` a month, `2020-05-17` a day, with hours and
/// minutes only a minute, with seconds an instant. Without a zone it is read as UTC. A leap second
/// is the second after it; the hour 24 does not exist.
pub(super) fn interval(text: &str) -> Option<Interval> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4).filter(|year| *year > 0)?;
    let month = parts.next().map(|month| number(month, 2));
    let day = parts.next().map(|day| number(day, 2));
    if parts.next().is_some() {
        return None;
    }
    let first = Date::new(year, narrow(month)?.unwrap_or(1), narrow(day)?.unwrap_or(1)).ok()?;
    let last = match (month, day) {
        (None, _) => first.last_of_year(),
        (_, None) => first.last_of_month(),
        _ => first,
    };
    let (from, to) = match (time, day) {
        (None, _) => (0, DAY),
        (Some(time), Some(_)) => time_of_day(time)?,
        (Some(_), None) => return None,
    };
    let start = Timestamp::from_micros(midnight(first) + from);
    Some((start, Timestamp::from_micros(midnight(last) + to)))
}

/// What a Period covers. Its end is inclusive, so a partial end is covered to its last moment; a
/// side that is missing reaches to the end of the calendar. A Period that ends before it starts,
/// has neither side, or has one that is no date covers nothing.
pub(super) fn period(start: Option<&str>, end: Option<&str>) -> Option<Interval> {
    if start.is_none() && end.is_none() {
        return None;
    }
    let start = start.map_or(Some(CALENDAR_START), |start| Some(interval(start)?.0))?;
    let end = end.map_or(Some(CALENDAR_END), |end| Some(interval(end)?.1))?;
    (start <= end).then_some((start, end))
}

/// Microseconds from midnight UTC of the written day: when it begins, and when it ends.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let (clock, zone) = match text.find(['Z', '+', '-']) {
        Some(at) => text.split_at_checked(at)?,
        None => (text, "Z"),
    };
    let (whole, fraction) = match clock.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (clock, None),
    };
    let mut parts = whole.split(':');
    let hour = below(24, parts.next()?)?;
    let minute = below(60, parts.next()?)?;
    let second = match parts.next() {
        Some(second) => Some(below(61, second)?),
        None => None,
    };
    if parts.next().is_some() || (second.is_none() && fraction.is_some()) {
        return None;
    }
    let from = hour * HOUR + minute * MINUTE - offset(zone)?;
    match second {
        None => Some((from, from + MINUTE)),
        Some(second) => {
            let at = from + second * SECOND + fraction.map_or(Some(0), micros)?;
            Some((at, at))
        }
    }
}

/// What a zone adds to UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, text) = match zone.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hour, minute) = text.split_once(':')?;
    let offset = below(15, hour)? * HOUR + below(60, minute)? * MINUTE;
    (offset <= 14 * HOUR).then_some(sign * offset)
}

/// The first six digits of a second's fraction; the rest is cut off.
fn micros(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.chars().chain(std::iter::repeat('0')).take(6);
    digits.collect::<String>().parse().ok()
}

fn below(limit: i64, text: &str) -> Option<i64> {
    number(text, 2)
        .map(i64::from)
        .filter(|number| *number < limit)
}

/// A number of exactly this many digits.
fn number(text: &str, digits: usize) -> Option<i16> {
    let strict = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    strict.then(|| text.parse().ok())?
}

/// `None` for a part that is there and no number; jiff refuses a month or day out of range.
fn narrow(part: Option<Option<i16>>) -> Option<Option<i8>> {
    match part {
        None => Some(None),
        Some(number) => i8::try_from(number?).ok().map(Some),
    }
}

/// Microseconds from 1970-01-01 to this day's midnight in UTC.
fn midnight(date: Date) -> i64 {
    const EPOCH: Date = jiff::civil::date(1970, 1, 1);
    date.duration_since(EPOCH).as_secs() * SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros_of(text: &str) -> Option<(i64, i64)> {
        interval(text).map(|(start, end)| (start.to_micros(), end.to_micros()))
    }

    /// 2020-05-17T00:00:00Z.
    const MIDNIGHT: i64 = 1_589_673_600 * SECOND;

    #[test]
    fn a_partial_date_covers_all_of_what_it_names() {
        let year = (1_577_836_800 * SECOND, 1_609_459_200 * SECOND);
        let month = (1_588_291_200 * SECOND, 1_590_969_600 * SECOND);
        assert_eq!(micros_of("2020"), Some(year));
        assert_eq!(micros_of("2020-05"), Some(month));
        assert_eq!(micros_of("2020-05-17"), Some((MIDNIGHT, MIDNIGHT + DAY)));
        let minute = MIDNIGHT + 10 * HOUR;
        assert_eq!(
            micros_of("2020-05-17T10:00Z"),
            Some((minute, minute + MINUTE))
        );
    }

    #[test]
    fn a_full_date_is_an_instant_in_utc() {
        let noon = MIDNIGHT + 12 * HOUR;
        for (text, at) in [
            ("2020-05-17T12:00:00Z", noon),
            ("2020-05-17T12:00:00", noon),
            ("2020-05-17T14:00:00+02:00", noon),
            ("2020-05-16T22:00:00-14:00", noon),
            ("2020-05-17T12:00:00.5Z", noon + 500_000),
            ("2020-05-17T12:00:00.123456789Z", noon + 123_456),
            ("2020-05-17T11:59:60Z", noon),
            ("1969-12-31T23:59:59.999999Z", -1),
        ] {
            assert_eq!(micros_of(text), Some((at, at)), "{text}");
        }
    }

    #[test]
    fn the_calendar_runs_from_year_1_to_year_9999() {
        assert_eq!(interval("0001").expect("year 1").0, CALENDAR_START);
        assert_eq!(interval("9999").expect("year 9999").1, CALENDAR_END);
        assert_eq!(interval("9999-12-31").expect("a day").1, CALENDAR_END);
        assert!(interval("0001-01-01T00:00:00+14:00").is_some());
        assert!(interval("9999-12-31T23:59:60-14:00").is_some());
    }

    #[test]
    fn what_is_no_date_covers_nothing() {
        for text in [
            "",
            "T",
            "0000",
            "20",
            "20200",
            "+2020",
            "2020-",
            "2020-5",
            "2020-13",
            "2020-00",
            "2020-02-30",
            "2021-02-29",
            "2020-05-17-01",
            "2020-05T10:00:00Z",
            "2020-05-17T",
            "2020-05-17T24:00:00Z",
            "2020-05-17T10:60:00Z",
            "2020-05-17T10:00:61Z",
            "2020-05-17T10:00:00.Z",
            "2020-05-17T10:00.5Z",
            "2020-05-17T10:00:00:00Z",
            "2020-05-17T10:00:00+14:01",
            "2020-05-17T10:00:00+0200",
            "2020-05-17T10:00:00ZZ",
            "2020-05-17t10:00:00z",
            "2020-05-17 10:00:00",
            " 2020",
            "２０２０",
        ] {
            assert_eq!(micros_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_period_is_covered_to_the_last_moment_of_its_end() {
        let micros = |start, end| period(start, end).map(|(a, b)| (a.to_micros(), b.to_micros()));
        let day = Some("2020-05-17");
        assert_eq!(micros(day, day), Some((MIDNIGHT, MIDNIGHT + DAY)));
        let open = micros(day, None).expect("a start is enough");
        assert_eq!(open, (MIDNIGHT, CALENDAR_END.to_micros()));
        let open = micros(None, day).expect("an end is enough");
        assert_eq!(open, (CALENDAR_START.to_micros(), MIDNIGHT + DAY));
        assert_eq!(micros(None, None), None);
        assert_eq!(micros(day, Some("2019")), None);
        assert_eq!(micros(day, Some("soon")), None);
    }
}
