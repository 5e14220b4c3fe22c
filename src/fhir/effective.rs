//! When a resource applies.
//!
//! **Does** know where each type keeps its dates, and which of several tells of the event itself.
//! **Never** fails over a date that cannot be used: the next one is tried.
//! **Format** FHIR R4 dates, Periods and Timings.

use super::date::{self, Interval};
use super::object::{Members, Step, Trail, text};
use super::search::outer_limits;

/// The first of the resource's dates that can be used.
pub(super) fn effective(
    kind: &str,
    members: &Head<'_>,
    trail: &mut Trail,
) -> Parsed<Option<Interval>> {
    let first = match kind {
        "Patient" => return Ok(None),
        // Its `period` is how long the event took; it belongs where it was noted.
        "AuditEvent" => "recorded",
        _ => FIRST_DATE,
    };
    for (name, value) in members.iter().skip_while(|(name, _)| *name != first) {
        let Some(value) = value else { continue };
        let interval = match name {
            "start" => text(value)
                .and_then(|start| date::period(Some(&start), members.text("end").as_deref())),
            _ => trail.down(Step::Field(name), |trail| covered(name, value, trail))?,
        };
        if interval.is_some() {
            return Ok(interval);
        }
    }
    Ok(None)
}

/// What a date, a Period, a Timing from its first to its last moment or a Specimen's collection covers.
fn covered(name: &str, value: &str, trail: &mut Trail) -> Parsed<Option<Interval>> {
    if !value.starts_with('{') {
        return Ok(text(value).and_then(|date| date::interval(&date)));
    }
    if name == "collection" {
        let collection = Members::read(value, COLLECTION, trail)?;
        if let Some(date) = collection.text("collectedDateTime") {
            return Ok(date::interval(&date));
        }
        return match collection.value("collectedPeriod") {
            Some(period) => trail.down(Step::Field("collectedPeriod"), |trail| {
                covered("collectedPeriod", period, trail)
            }),
            None => Ok(None),
        };
    }
    let members = Members::read(value, &["start", "end", "event", "repeat"], trail)?;
    if ["event", "repeat"]
        .iter()
        .any(|name| members.value(name).is_some())
    {
        return Ok(outer_limits(value));
    }
    let (start, end) = (members.text("start"), members.text("end"));
    Ok(date::period(start.as_deref(), end.as_deref()))
}

/// The members of a resource that are read.
pub(super) type Head<'a> = Members<'a, { MEMBERS.len() }>;

/// What reading a part of a resource gives; the trail tells which part.
pub(super) type Parsed<T> = Result<T, serde_json::Error>;

/// The first name in [`MEMBERS`] that is a date.
const FIRST_DATE: &str = "effectiveDateTime";

/// What is read of a resource. From [`FIRST_DATE`] on, the dates of all types in the order in
/// which they are tried: the event itself, then when it was ordered, written or sent. No R4 type
/// has two of them that this order would put the wrong way round, but for those `effective` names.
pub(super) const MEMBERS: &[&str; 62] = &[
    "resourceType",
    "id",
    "meta",
    "subject",
    "patient",
    "actor",
    "beneficiary",
    "candidate",
    "deliverTo",
    "for",
    "individual",
    "end",
    "effectiveDateTime",
    "effectivePeriod",
    "effectiveInstant",
    "effectiveTiming",
    "onsetDateTime",
    "onsetPeriod",
    "performedDateTime",
    "performedPeriod",
    "occurrenceDateTime",
    "occurrencePeriod",
    "occurrenceTiming",
    "occurredDateTime",
    "occurredPeriod",
    "collection",
    "started",
    "executionPeriod",
    "servicedDate",
    "servicedPeriod",
    "billablePeriod",
    "servicePeriod",
    "planningHorizon",
    "timingDateTime",
    "timingPeriod",
    "timingTiming",
    "startDate",
    "start",
    "period",
    "identifiedDateTime",
    "identifiedPeriod",
    "whenHandedOver",
    "whenPrepared",
    "createdDateTime",
    "createdPeriod",
    "authoredOn",
    "authored",
    "dateWritten",
    "dateTime",
    "sent",
    "received",
    "receivedTime",
    "date",
    "recordedDate",
    "dateAsserted",
    "recorded",
    "recordedOn",
    "issued",
    "created",
    "enteredDate",
    "timestamp",
    "lastModified",
];

const COLLECTION: &[&str; 2] = &["collectedDateTime", "collectedPeriod"];

#[cfg(test)]
mod tests {
    use super::*;

    fn date_of(kind: &str, members: &str) -> Option<Interval> {
        let json = format!(r#"{{"resourceType":"{kind}",{members}}}"#);
        let mut trail = Trail::default();
        let members = Members::read(&json, MEMBERS, &mut trail).expect("an object");
        effective(kind, &members, &mut trail).expect("a resource")
    }

    #[test]
    fn the_event_goes_before_the_paperwork() {
        let event = date::interval("2020-01-02");
        let time = r#""2020-01-02""#;
        let period = r#"{"start":"2020-01-02","end":"2020-01-02"}"#;
        for (kind, member, value) in [
            ("Observation", "effectiveDateTime", time),
            ("Observation", "effectivePeriod", period),
            (
                "Observation",
                "effectiveTiming",
                r#"{"event": [ "2020-01-02"]}"#,
            ),
            ("Condition", "onsetPeriod", period),
            ("Procedure", "performedDateTime", time),
            ("Immunization", "occurrenceDateTime", time),
            ("Claim", "billablePeriod", period),
            ("ImagingStudy", "started", time),
            ("Task", "executionPeriod", period),
            (
                "Specimen",
                "collection",
                r#"{"collectedDateTime":"2020-01-02"}"#,
            ),
            ("AuditEvent", "recorded", time),
        ] {
            let paperwork = r#""issued":"2021","date":"2021","created":"2021""#;
            let members = format!(r#"{paperwork},"{member}":{value}"#);
            assert_eq!(date_of(kind, &members), event, "{kind}.{member}");
        }
        let collected = format!(r#""collection":{{"collectedPeriod":{period}}}"#);
        assert_eq!(date_of("Specimen", &collected), event);
        let slot = r#""start":"2020-01-02","end":"2020-01-02""#;
        assert_eq!(date_of("Slot", slot), event);
        let audit = format!(r#""period":{{"start":"1999"}},"recorded":{time}"#);
        assert_eq!(date_of("AuditEvent", &audit), event);
    }

    #[test]
    fn an_unusable_date_gives_way_to_the_next_and_never_costs_the_resource() {
        let issued = date::interval("2021");
        for unusable in [
            r#""2020-02-30""#,
            "2020",
            "null",
            "[]",
            "{}",
            r#"{"event":[]}"#,
        ] {
            let alone = format!(r#""effectiveDateTime":{unusable}"#);
            assert_eq!(date_of("Observation", &alone), None, "{unusable}");
            let members = format!(r#"{alone},"issued":"2021""#);
            assert_eq!(date_of("Observation", &members), issued, "{unusable}");
        }
    }
}
