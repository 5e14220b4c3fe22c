//! A measured value, as an Observation has it.
//!
//! **Does** pick out what a time line and a chart show.
//! **Never** converts a unit, or quotes a resource that it does not understand.
//! **Format** FHIR R4 JSON.

use serde::Deserialize;
use serde_json::value::RawValue;
use vitalock::Record;

/// A value at a time.
pub(crate) struct Reading {
    /// When it was measured, in microseconds.
    pub(crate) time: i64,
    /// The same as it is written: 8 o'clock here may be yesterday in UTC.
    pub(crate) date: String,
    pub(crate) value: f64,
    /// The number for a person to read, as it was written, since `7.0` says more than `7`.
    pub(crate) written: String,
    pub(crate) unit: String,
    pub(crate) range: Range,
    pub(crate) name: String,
}

/// What the laboratory calls normal, as it wrote it.
#[derive(Default)]
pub(crate) struct Range {
    low: Option<String>,
    high: Option<String>,
}

impl Reading {
    /// The value of an Observation; `None` where it has no number, such as one that says why not.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let observation: Observation<'_> = serde_json::from_slice(record.body()).ok()?;
        let (time, _) = record.effective_time()?;
        let quantity = observation.value_quantity?;
        let written = quantity.value.get();
        let range = observation.reference_range.first();
        let bound = |bound: &Option<Quantity<'_>>| Some(bound.as_ref()?.value.get().to_owned());
        let coding = observation.code.coding.into_iter().next();
        Some(Self {
            time: time.to_micros(),
            date: observation.effective_date_time.get(..10)?.to_owned(),
            value: written.parse().ok()?,
            written: legible(written)?,
            unit: quantity.unit,
            range: range.map_or_else(Range::default, |range| Range {
                low: bound(&range.low),
                high: bound(&range.high),
            }),
            name: observation.code.text.or(coding?.display)?,
        })
    }
}

impl Range {
    pub(crate) fn low(&self) -> Option<f64> {
        self.low.as_ref()?.parse().ok()
    }

    pub(crate) fn high(&self) -> Option<f64> {
        self.high.as_ref()?.parse().ok()
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        let low = self.low().is_none_or(|low| low <= value);
        low && self.high().is_none_or(|high| value <= high)
    }

    /// The range for a person to read; `None` where none is stated.
    pub(crate) fn words(&self, unit: &str) -> Option<String> {
        Some(match (&self.low, &self.high) {
            (Some(low), Some(high)) => format!("reference range {low} to {high} {unit}"),
            (Some(low), None) => format!("reference range from {low} {unit}"),
            (None, Some(high)) => format!("reference range up to {high} {unit}"),
            (None, None) => return None,
        })
    }
}

/// A number as it is written, but for more digits than anybody measures.
fn legible(written: &str) -> Option<String> {
    let decimals = written
        .split_once('.')
        .map_or(0, |(_, digits)| digits.len());
    match decimals {
        0..=3 => Some(written.to_owned()),
        _ => Some(format!("{:.2}", written.parse::<f64>().ok()?)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation<'a> {
    code: Concept,
    effective_date_time: String,
    #[serde(borrow)]
    value_quantity: Option<Quantity<'a>>,
    #[serde(borrow, default)]
    reference_range: Vec<Bounds<'a>>,
}

#[derive(Deserialize)]
struct Concept {
    text: Option<String>,
    #[serde(default)]
    coding: Vec<Coding>,
}

#[derive(Deserialize)]
struct Coding {
    display: Option<String>,
}

#[derive(Deserialize)]
struct Quantity<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    unit: String,
}

#[derive(Deserialize)]
struct Bounds<'a> {
    #[serde(borrow)]
    low: Option<Quantity<'a>>,
    #[serde(borrow)]
    high: Option<Quantity<'a>>,
}
