//! One resource: what it is, whom it is about, when it applies.
//!
//! **Does** read the few members that say so, and lend the resource's bytes as they stand.
//! **Never** refuses a resource over a reference or a date, or shows its content in `Debug`.
//! **Format** FHIR R4 JSON.

use std::fmt;

use serde::de::Error as _;

use super::date::{self, Interval};
use super::effective::{Head, MEMBERS, Parsed, effective};
use super::limits::Limits;
use super::object::{Members, Step, Trail};
use super::text::Text;
use crate::error::ErrorKind;
use crate::records::Record;
use crate::time::Timestamp;

/// The content type of records that are FHIR R4 resources, and so are found by
/// [`FhirStore::search`](crate::FhirStore::search). The body of such a record is a resource of the
/// record's kind: see [`Resource::to_record`]. Any other content type, `application/fhir+json` by itself too, says nothing of a body.
pub const CONTENT_TYPE: &str = "application/fhir+json; fhirVersion=4.0";

/// A FHIR resource, borrowed from the document it came in.
///
/// # Examples
///
/// ```
/// use vitalock::fhir::Reader;
///
/// let json = br#"{"resourceType": "Observation", "id": "hr-1", "status": "final",
///     "subject": {"reference": "Patient/p1/_history/2"},
///     "effectiveDateTime": "2026-03-01T07:30:00+01:00",
///     "valueQuantity": {"value": 61.00, "unit": "/min"}}"#;
/// let observation = Reader::new().resource(json)?;
/// assert_eq!(observation.kind(), "Observation");
/// assert_eq!(observation.id(), Some("hr-1"));
/// assert_eq!(observation.subject(), Some("Patient/p1"));
/// let (start, end) = observation.effective().expect("it has a date");
/// assert_eq!((start.to_micros(), start), (1_772_346_600_000_000, end));
/// assert_eq!(observation.json(), json);
/// # Ok::<(), vitalock::Error>(())
/// ```
#[derive(Clone)]
pub struct Resource<'a> {
    kind: Text<'a>,
    id: Option<Text<'a>>,
    pub(super) subject: Option<Text<'a>>,
    effective: Option<Interval>,
    version: Option<u64>,
    json: &'a str,
}

impl<'a> Resource<'a> {
    /// The resource's type, such as `Observation`: a capital letter and up to 63 more letters.
    /// Whether R4 has such a type is not checked.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The resource's logical id; `None` if it has none or one that FHIR does not allow.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whom or what the resource is about.
    ///
    /// - For a Patient, `Patient/<id>` of its own.
    /// - For other types the one reference that puts it in a patient's compartment: `subject` or
    ///   `patient`, or what stands in for them, such as a Coverage's `beneficiary`.
    /// - A relative reference to a Patient, Group, Device or Location, without the version it may
    ///   name. Any other relative reference, one to a contained resource, a search and a list of
    ///   references give `None`.
    /// - An absolute reference (a URL or `urn:uuid:`) as it stands, without its version; from a
    ///   Bundle, if it is the `fullUrl` of exactly one resource there, that resource's type and id.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The resource as a record to put: its bytes as they stand, its kind, subject and effective
    /// time. Put again, it is stored again; see [`to_record_from`](Self::to_record_from).
    pub fn to_record(&self) -> Record {
        let mut record = Record::new(&self.kind, self.json.as_bytes()).content_type(CONTENT_TYPE);
        if let Some(subject) = self.subject() {
            record = record.subject(subject);
        }
        if let Some((start, end)) = self.effective {
            record = record.effective_during(start, end);
        }
        record.read = true;
        record
    }

    /// The resource as a record of this source, such as the address of a server, where resource ids
    /// are unique. The client identity is the source and `Type/id`, with the resource's version, so
    /// that importing the same document twice stores it once, and what another source calls by the
    /// same id is another record. A resource without an id has no client identity.
    ///
    /// A resource without a version counts as version 0: put again with the same content it
    /// changes nothing, with other content it is a [`Conflict`](crate::ErrorKind::Conflict).
    pub fn to_record_from(&self, source: &str) -> Record {
        let record = self.to_record();
        let Some(id) = self.id() else { return record };
        let client = Text::joined(&[source, " ", &self.kind, "/", id]);
        record.client(&client, self.version.unwrap_or(0))
    }

    /// When what the resource tells was so: the start, and the end that no longer belongs to it.
    /// For an instant both are the same.
    ///
    /// It is the first usable one of the resource's dates, those about the event (`effective[x]`,
    /// `onset[x]`, `performed[x]`, `occurrence[x]`, `period`, ...) before those about the paperwork
    /// (`authoredOn`, `date`, `recordedDate`, `issued`, ...). A partial date covers its year, month
    /// or day; without a zone it is read as UTC. A Period without a start or an end reaches to
    /// year 1 or to the end of year 9999. A date that cannot be used never costs the resource: if
    /// none can, this is `None`. A birth date is not an effective time.
    pub fn effective(&self) -> Option<(Timestamp, Timestamp)> {
        self.effective
    }

    /// A number that grows with each version on the server it came from: `meta.versionId` if that
    /// is a decimal number, else `meta.lastUpdated` in microseconds since 1970.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// The resource exactly as it stood in the document, from its opening to its closing brace.
    pub fn json(&self) -> &'a [u8] {
        self.json.as_bytes()
    }

    /// Reads the resource that `json` consists of.
    pub(super) fn read(json: &'a str, limits: Limits, trail: &mut Trail) -> Parsed<Self> {
        let json = json.trim_matches([' ', '\t', '\n', '\r']);
        if json.len() > limits.resource_bytes {
            return Err(trail.beyond(ErrorKind::FhirTooLarge));
        }
        let members = Members::read(json, MEMBERS, trail)?;
        let kind = members.text("resourceType").filter(|kind| is_kind(kind));
        let kind = trail.down(Step::Field("resourceType"), |_| {
            kind.ok_or_else(|| serde_json::Error::custom("not a resource"))
        })?;
        let id = members.text("id").filter(|id| is_id(id));
        let subject = match (&*kind, &id) {
            ("Patient", Some(id)) => Some(Text::joined(&["Patient/", id])),
            ("Patient", None) => None,
            _ => referred_to(&kind, &members, trail)?,
        };
        Ok(Self {
            effective: effective(&kind, &members, trail)?,
            version: version(&members, trail)?,
            kind,
            id,
            subject,
            json,
        })
    }

    /// What others refer to this resource by; `None` if it has no id or cannot be a subject.
    pub(super) fn as_subject(&self) -> Option<Text<'a>> {
        let id = self.id.as_ref()?;
        is_subject_kind(&self.kind).then(|| Text::joined(&[&self.kind, "/", id]))
    }
}

impl fmt::Debug for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resource(..)")
    }
}

/// What a resource can be about, besides an absolute reference.
pub(super) fn is_subject_kind(kind: &str) -> bool {
    matches!(kind, "Device" | "Group" | "Location" | "Patient")
}

/// Whether this is a URI with a scheme, and nothing that a URI cannot hold.
pub(super) fn is_absolute(reference: &str) -> bool {
    let Some((scheme, rest)) = reference.split_once(':') else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The one reference that puts a resource of this type in a patient's compartment.
fn referred_to<'a>(kind: &str, members: &Head<'a>, trail: &mut Trail) -> Parsed<Option<Text<'a>>> {
    let names: &[&'static str] = match kind {
        "AppointmentResponse" => &["actor"],
        "Coverage" => &["beneficiary"],
        "EnrollmentRequest" => &["candidate"],
        "ResearchSubject" => &["individual"],
        "SupplyRequest" => &["deliverTo"],
        "Task" => &["for"],
        _ => &["subject", "patient"],
    };
    for name in names {
        let Some(value) = members.value(name).filter(|value| value.starts_with('{')) else {
            continue;
        };
        let reference = trail.down(Step::Field(name), |trail| {
            Members::read(value, &["reference"], trail)
        })?;
        if let Some(reference) = reference.text("reference") {
            return Ok(standing(reference));
        }
    }
    Ok(None)
}

/// The reference without its version, if it is one that a subject can have.
fn standing(reference: Text<'_>) -> Option<Text<'_>> {
    let reference = match reference {
        Text::Lent(whole) => Text::Lent(without_version(whole)),
        Text::Made(whole) => Text::joined(&[without_version(whole.expose())]),
    };
    let stands = is_absolute(&reference)
        || reference
            .split_once('/')
            .is_some_and(|(kind, id)| is_subject_kind(kind) && is_id(id));
    stands.then_some(reference)
}

fn without_version(reference: &str) -> &str {
    reference
        .split_once("/_history/")
        .map_or(reference, |(thing, _)| thing)
}

fn version(members: &Head<'_>, trail: &mut Trail) -> Parsed<Option<u64>> {
    let Some(meta) = members.value("meta").filter(|meta| meta.starts_with('{')) else {
        return Ok(None);
    };
    let meta = trail.down(Step::Field("meta"), |trail| {
        Members::read(meta, &["versionId", "lastUpdated"], trail)
    })?;
    let counted = meta
        .text("versionId")
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|id| id.parse().ok());
    let dated = || {
        let (updated, _) = date::interval(&meta.text("lastUpdated")?)?;
        u64::try_from(updated.to_micros()).ok()
    };
    Ok(counted.or_else(dated))
}

fn is_kind(kind: &str) -> bool {
    kind.len() <= 64
        && kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.bytes().all(|byte| byte.is_ascii_alphabetic())
}

pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Resource<'_> {
        let read = Resource::read(json, Limits::default(), &mut Trail::default());
        read.expect("a resource")
    }

    fn subject_of(kind: &str, member: &str, reference: &str) -> Option<String> {
        let json =
            format!(r#"{{"resourceType":"{kind}","{member}":{{"reference":"{reference}"}}}}"#);
        read(&json).subject().map(str::to_owned)
    }

    #[test]
    fn each_type_names_its_subject_in_its_own_way() {
        for (kind, member) in [
            ("Observation", "subject"),
            ("Immunization", "patient"),
            ("Coverage", "beneficiary"),
            ("ResearchSubject", "individual"),
            ("Task", "for"),
            ("EnrollmentRequest", "candidate"),
            ("AppointmentResponse", "actor"),
            ("SupplyRequest", "deliverTo"),
        ] {
            let subject = subject_of(kind, member, "Patient/1");
            assert_eq!(subject.as_deref(), Some("Patient/1"), "{kind}");
        }
        assert_eq!(subject_of("Observation", "individual", "Patient/1"), None);
        assert_eq!(subject_of("Coverage", "subject", "Patient/1"), None);
    }

    #[test]
    fn a_reference_stands_if_a_subject_can_have_it() {
        for (reference, subject) in [
            ("Patient/a-1.b", Some("Patient/a-1.b")),
            ("Patient/1/_history/2", Some("Patient/1")),
            (r"Patient\/1", Some("Patient/1")),
            (r"Patient\/1/_history/2", Some("Patient/1")),
            ("Group/g", Some("Group/g")),
            ("urn:uuid:1", Some("urn:uuid:1")),
            ("http://x.org/Patient/1", Some("http://x.org/Patient/1")),
            (
                "https://x.org/Patient/1/_history/9",
                Some("https://x.org/Patient/1"),
            ),
            ("#contained", None),
            ("Practitioner/1", None),
            ("Patient", None),
            ("Patient/", None),
            ("Patient/a_b", None),
            ("Patient/1/2", None),
            ("Patient?identifier=1", None),
            ("urn:uuid:a b", None),
            ("urn:", None),
            (":a", None),
            ("", None),
        ] {
            let found = subject_of("Observation", "subject", reference);
            assert_eq!(found.as_deref(), subject, "{reference}");
        }
        let long = format!("urn:x:{}", "x".repeat(5000));
        assert_eq!(subject_of("Observation", "subject", &long), None);
    }

    #[test]
    fn a_patient_is_about_itself_and_has_no_effective_time() {
        let json = r#"{"resourceType":"Patient","id":"p","birthDate":"1970","date":"2020"}"#;
        let patient = read(json);
        assert_eq!(patient.subject(), Some("Patient/p"));
        assert_eq!(patient.effective(), None);
        assert_eq!(
            read(r#"{"resourceType":"Patient","id":"p_1"}"#).subject(),
            None
        );
    }

    #[test]
    fn the_version_is_the_servers_number_or_else_its_clock() {
        let version =
            |meta: &str| read(&format!(r#"{{"resourceType":"Basic","meta":{meta}}}"#)).version();
        let updated = r#""lastUpdated":"1970-01-01T00:00:01Z""#;
        assert_eq!(
            version(&format!(r#"{{"versionId":"7",{updated}}}"#)),
            Some(7)
        );
        for id in ["W/7", "", "-7", "+7", "18446744073709551616"] {
            let meta = format!(r#"{{"versionId":"{id}",{updated}}}"#);
            assert_eq!(version(&meta), Some(1_000_000), "{id}");
        }
        assert_eq!(version(r#"{"lastUpdated":"1969"}"#), None);
        assert_eq!(version("[]"), None);
    }

    #[test]
    fn an_escaped_type_or_id_is_read_as_what_it_says() {
        let json = " {\"resourceType\":\"\\u0042asic\",\"id\":\"\\u0061\"}\r\n";
        let basic = read(json);
        assert_eq!((basic.kind(), basic.id()), ("Basic", Some("a")));
        assert_eq!(basic.json(), json.trim().as_bytes());
    }
}
