//! Prefixes and precision: between what a date or a number has to lie.
//!
//! **Does** read `eq`, `ne`, `gt`, `lt`, `ge`, `le`, `sa`, `eb` and `ap`, and take a value for the
//! range that its last digit leaves open.
//! **Never** compares anything.
//! **Format** FHIR R4, "Search" (3.1.1.4.3, 3.1.1.4.5, 3.1.1.4.6).

use super::super::date;
use super::ask::{INVALID, Parsed};
use crate::storage::Bounds;
use crate::time::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    StartsAfter,
    EndsBefore,
    About,
}

fn prefix(value: &str) -> (Prefix, &str) {
    let known = [
        ("eq", Prefix::Equal),
        ("ne", Prefix::NotEqual),
        ("gt", Prefix::Greater),
        ("lt", Prefix::Less),
        ("ge", Prefix::GreaterOrEqual),
        ("le", Prefix::LessOrEqual),
        ("sa", Prefix::StartsAfter),
        ("eb", Prefix::EndsBefore),
        ("ap", Prefix::About),
    ];
    let found = known
        .into_iter()
        .find_map(|(word, prefix)| Some((prefix, value.strip_prefix(word)?)));
    found.unwrap_or((Prefix::Equal, value))
}

/// The bounds of a stretch, of which one set has to hold.
pub(super) fn stretch(value: &str) -> Parsed<Vec<Bounds<i64>>> {
    let (prefix, text) = prefix(value);
    // An offset whose plus sign was not escaped arrives as a space.
    let spaced = text
        .rsplit_once(' ')
        .map(|(time, offset)| format!("{time}+{offset}"));
    let text = spaced.as_deref().unwrap_or(text);
    let (start, end) = date::interval(text).ok_or(INVALID)?;
    let (start, end) = (start.to_micros(), end.to_micros());
    let end = match end > start {
        true => end,
        false => start.saturating_add(precision(text)),
    };
    let none = Bounds::NONE;
    let within = Bounds {
        from: Some(start),
        until: Some(end),
        ..none
    };
    let later = Bounds {
        beyond: Some(end),
        ..none
    };
    let earlier = Bounds {
        below: Some(start),
        ..none
    };
    Ok(match prefix {
        Prefix::Equal => vec![within],
        Prefix::NotEqual => vec![Bounds {
            outside: true,
            ..within
        }],
        Prefix::Greater => vec![later],
        Prefix::Less => vec![earlier],
        Prefix::GreaterOrEqual => vec![later, within],
        Prefix::LessOrEqual => vec![earlier, within],
        Prefix::StartsAfter => vec![Bounds {
            from: Some(end),
            ..none
        }],
        Prefix::EndsBefore => vec![Bounds {
            until: Some(start),
            ..none
        }],
        Prefix::About => {
            let gap = Timestamp::now()
                .to_micros()
                .saturating_sub(start)
                .saturating_abs()
                / 10;
            vec![Bounds {
                beyond: Some(start.saturating_sub(gap)),
                below: Some(end.saturating_add(gap)),
                ..none
            }]
        }
    })
}

/// How long the last digit of a whole time lasts, in microseconds.
fn precision(text: &str) -> i64 {
    let time = text.split_once('T').map_or("", |(_, time)| time);
    let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let digits = u32::try_from(digits.min(6)).unwrap_or(0);
    1_000_000 / 10_i64.pow(digits)
}

/// The bounds of a number, which has the precision that it is written with.
pub(super) fn amount(value: &str) -> Parsed<Bounds<f64>> {
    let (prefix, text) = prefix(value);
    let (exact, low, high) = decimal(text).ok_or(INVALID)?;
    let none = Bounds::NONE;
    // Neighbours make a bound that counts out of one that does not, and the other way round.
    let within = Bounds {
        from: Some(low),
        until: Some(high.next_down()),
        ..none
    };
    Ok(match prefix {
        Prefix::Equal => within,
        Prefix::NotEqual => Bounds {
            outside: true,
            ..within
        },
        Prefix::Greater => Bounds {
            beyond: Some(exact),
            ..none
        },
        Prefix::Less => Bounds {
            below: Some(exact),
            ..none
        },
        Prefix::GreaterOrEqual => Bounds {
            beyond: Some(exact.next_down()),
            ..none
        },
        Prefix::LessOrEqual => Bounds {
            below: Some(exact.next_up()),
            ..none
        },
        Prefix::StartsAfter => Bounds {
            from: Some(exact.next_up()),
            ..none
        },
        Prefix::EndsBefore => Bounds {
            until: Some(exact.next_down()),
            ..none
        },
        Prefix::About => {
            let gap = (exact / 10.0).abs();
            Bounds {
                beyond: Some((exact - gap).next_down()),
                below: Some((exact + gap).next_up()),
                ..none
            }
        }
    })
}

/// A number, and the range that its last digit leaves open: half a unit below and above. One with an
/// exponent counts as written with one digit more, as in FHIR's example, where `1e2` is 95 to 105.
fn decimal(text: &str) -> Option<(f64, f64, f64)> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.parse::<i32>().ok()?)),
        None => (text, None),
    };
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let only_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !only_digits(whole) || !only_digits(fraction) || digits.len() > 30 {
        return None;
    }
    let fraction = digits.split_once('.').map_or("", |(_, fraction)| fraction);
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let unscaled = if number.starts_with('-') {
        -unscaled
    } else {
        unscaled
    };
    let scale = exponent
        .unwrap_or(0)
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let (steps, more) = if exponent.is_some() {
        (2, 100)
    } else {
        (1, 10)
    };
    let scale = scale.checked_sub(steps)?;
    let near = |offset: i128| {
        let value: f64 = format!(
            "{}e{scale}",
            unscaled.checked_mul(more)?.checked_add(offset)?
        )
        .parse()
        .ok()?;
        value.is_finite().then_some(value)
    };
    Some((near(0)?, near(-5)?, near(5)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_precision_it_is_written_with() {
        // The examples of FHIR R4, 3.1.1.4.6.
        assert_eq!(decimal("100"), Some((100.0, 99.5, 100.5)));
        assert_eq!(decimal("100.00"), Some((100.0, 99.995, 100.005)));
        assert_eq!(decimal("1e2"), Some((100.0, 95.0, 105.0)));
        assert_eq!(decimal("5.40e-3"), Some((0.0054, 0.005_399_5, 0.005_400_5)));
        assert_eq!(decimal("-2"), Some((-2.0, -2.5, -1.5)));
        for text in [
            "", "-", "1.", ".5", "+1", "1e", "1e999", "0x1", "inf", "NaN", "1 ",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
        let huge = "9".repeat(1000);
        assert_eq!(decimal(&huge), None);
        assert_eq!(decimal("1e-2147483648"), None);
    }

    #[test]
    fn a_time_lasts_as_long_as_its_last_digit() {
        assert_eq!(precision("2020-01-01T00:00:00Z"), 1_000_000);
        assert_eq!(precision("2020-01-01T00:00:00.12+01:00"), 10_000);
        assert_eq!(precision("2020-01-01T00:00:00.123456789Z"), 1);
    }
}
