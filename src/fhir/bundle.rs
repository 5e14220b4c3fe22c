//! The entries of a Bundle, and what they call each other.
//!
//! **Does** lift each entry's resource out as it stands, counting as it goes, and turn references
//! to another entry's `fullUrl` into that entry's type and id.
//! **Never** holds more entries than the limit, or follows a name that two resources share.
//! **Format** FHIR R4 Bundle.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::limits::Limits;
use super::object::{KnownName, ReadMembers, Step, Trail, no_plain_value, text};
use super::resource::{Resource, is_absolute};
use super::text::Text;
use crate::error::ErrorKind;

/// A resource with the name that other entries may call it by.
struct Entry<'a> {
    full_url: Option<Text<'a>>,
    resource: Resource<'a>,
}

/// Reads the resources of the Bundle that `json` consists of.
pub(super) fn read<'a>(
    json: &'a str,
    limits: Limits,
    trail: &mut Trail,
) -> Result<Vec<Resource<'a>>, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(json);
    let entries = ReadBundle { limits, trail }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(resolve(entries))
}

struct ReadBundle<'t> {
    limits: Limits,
    trail: &'t mut Trail,
}

impl<'a> DeserializeSeed<'a> for ReadBundle<'_> {
    type Value = Vec<Entry<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ReadBundle<'_> {
    type Value = Vec<Entry<'a>>;

    no_plain_value!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Bundle")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { limits, trail } = self;
        let (mut kind, mut entries) = (None, None);
        while let Some(known) = map.next_key_seed(KnownName(&["resourceType", "entry"]))? {
            match known {
                Some(0) => trail.down(Step::Field("resourceType"), |_| {
                    let value = map.next_value::<&RawValue>()?.get();
                    match kind.replace(()) {
                        None if text(value).as_deref() == Some("Bundle") => Ok(()),
                        _ => Err(A::Error::custom("not one Bundle")),
                    }
                })?,
                Some(_) => trail.down(Step::Field("entry"), |trail| {
                    let read = map.next_value_seed(ReadEntries { limits, trail })?;
                    match entries.replace(read) {
                        None => Ok(()),
                        Some(_) => Err(A::Error::custom("a member is there twice")),
                    }
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match kind {
            Some(()) => Ok(entries.unwrap_or_default()),
            None => trail.down(Step::Field("resourceType"), |_| {
                Err(A::Error::custom("not a Bundle"))
            }),
        }
    }
}

struct ReadEntries<'t> {
    limits: Limits,
    trail: &'t mut Trail,
}

impl<'a> DeserializeSeed<'a> for ReadEntries<'_> {
    type Value = Vec<Entry<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ReadEntries<'_> {
    type Value = Vec<Entry<'a>>;

    no_plain_value!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entries of a Bundle")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Self { limits, trail } = self;
        let mut entries = Vec::new();
        for index in 0.. {
            let more = trail.down(Step::Index(index), |trail| {
                let names = &["fullUrl", "resource", "request", "response"];
                let seed = ReadMembers { names, trail };
                let Some(entry) = seq.next_element_seed(seed)? else {
                    return Ok(false);
                };
                if index >= limits.resources {
                    return Err(trail.beyond(ErrorKind::FhirTooMany));
                }
                let Some(json) = entry.value("resource") else {
                    let asks = entry.value("request").or_else(|| entry.value("response"));
                    return match asks {
                        Some(_) => Ok(true),
                        None => Err(A::Error::custom("no resource")),
                    };
                };
                let resource = trail.down(Step::Field("resource"), |trail| {
                    Resource::read(json, limits, trail).map_err(A::Error::custom)
                })?;
                entries.push(Entry {
                    full_url: entry.text("fullUrl"),
                    resource,
                });
                Ok(true)
            })?;
            if !more {
                break;
            }
        }
        Ok(entries)
    }
}

/// Puts the type and id of the resource meant in the place of each subject that is its `fullUrl`.
/// A Patient without an id goes by its own, so that it and what refers to it agree.
fn resolve<'a>(entries: Vec<Entry<'a>>) -> Vec<Resource<'a>> {
    // `None`: two different resources go by this name, so it means neither.
    let mut named: BTreeMap<&str, Option<&Resource<'a>>> = BTreeMap::new();
    for Entry { full_url, resource } in &entries {
        let Some(full_url) = full_url else { continue };
        let meant = named.entry(full_url).or_insert(Some(resource));
        *meant = meant.filter(|other| is_same(other, resource));
    }
    let meant = |name: &str| named.get(name).copied().flatten();
    let subject_of = |Entry { full_url, resource }: &Entry<'a>| match &resource.subject {
        Some(name) => match meant(name).filter(|target| target.id().is_some()) {
            Some(target) => target.as_subject(),
            None => Some(name.clone()),
        },
        None if resource.kind() == "Patient" => full_url
            .clone()
            .filter(|url| is_absolute(url) && meant(url).is_some()),
        None => None,
    };
    let subjects: Vec<_> = entries.iter().map(subject_of).collect();
    let resources = entries.into_iter().map(|entry| entry.resource);
    let renamed = resources.zip(subjects);
    renamed
        .map(|(mut resource, subject)| {
            resource.subject = subject;
            resource
        })
        .collect()
}

/// Whether both are one resource, if perhaps in two versions of it.
fn is_same(one: &Resource<'_>, other: &Resource<'_>) -> bool {
    std::ptr::eq(one, other)
        || (one.id().is_some() && one.id() == other.id() && one.kind() == other.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(entries: &str) -> Vec<Option<String>> {
        let json = format!(r#"{{"entry":[{entries}],"resourceType":"Bundle"}}"#);
        let resources = read(&json, Limits::default(), &mut Trail::default());
        let resources = resources.expect("a Bundle");
        let subjects = resources.iter().map(Resource::subject);
        subjects.map(|subject| subject.map(str::to_owned)).collect()
    }

    fn about(reference: &str) -> String {
        format!(
            r#"{{"resource":{{"resourceType":"Basic","subject":{{"reference":"{reference}"}}}}}}"#
        )
    }

    fn named(full_url: &str, kind: &str, id: &str) -> String {
        let resource = format!(r#"{{"resourceType":"{kind}"{id}}}"#);
        format!(r#"{{"fullUrl":"{full_url}","resource":{resource}}}"#)
    }

    #[test]
    fn a_full_url_leads_to_the_entry_wherever_it_stands() {
        let patient = named("urn:uuid:1", "Patient", r#","id":"p""#);
        let entries = [about("urn:uuid:1"), patient, about("urn:uuid:1/_history/3")];
        let patient = Some("Patient/p".to_owned());
        assert_eq!(subjects(&entries.join(",")), vec![patient; 3]);
    }

    #[test]
    fn a_name_from_elsewhere_stays_as_it_is() {
        let patient = named("http://a.org/Patient/p", "Patient", r#","id":"p""#);
        let entries = [patient, about("http://b.org/Patient/p")].join(",");
        let elsewhere = Some("http://b.org/Patient/p");
        assert_eq!(
            subjects(&entries).last().expect("two").as_deref(),
            elsewhere
        );
    }

    #[test]
    fn a_name_that_two_patients_share_leads_to_neither() {
        let two = [
            named("urn:uuid:1", "Patient", r#","id":"a""#),
            named("urn:uuid:1", "Patient", r#","id":"b""#),
            about("urn:uuid:1"),
        ];
        let found = subjects(&two.join(","));
        assert_eq!(found.last().expect("three").as_deref(), Some("urn:uuid:1"));
        let nameless = [
            named("urn:uuid:1", "Patient", ""),
            named("urn:uuid:1", "Patient", ""),
        ];
        assert_eq!(subjects(&nameless.join(",")), [None, None]);
    }

    #[test]
    fn two_versions_of_a_patient_share_a_name() {
        let patient = named("urn:uuid:1", "Patient", r#","id":"a""#);
        let entries = [patient.clone(), patient, about("urn:uuid:1")].join(",");
        assert_eq!(subjects(&entries), vec![Some("Patient/a".to_owned()); 3]);
    }

    #[test]
    fn a_patient_without_an_id_goes_by_its_full_url() {
        let entries = [named("urn:uuid:1", "Patient", ""), about("urn:uuid:1")].join(",");
        assert_eq!(subjects(&entries), vec![Some("urn:uuid:1".to_owned()); 2]);
    }

    #[test]
    fn what_cannot_be_a_subject_is_none() {
        let organization = named("urn:uuid:1", "Organization", r#","id":"o""#);
        let entries = [organization, about("urn:uuid:1")].join(",");
        assert_eq!(subjects(&entries), [None, None]);
    }

    #[test]
    fn an_entry_that_only_asks_or_answers_is_passed_over() {
        let entries = [
            r#"{"request":{"method":"DELETE","url":"Basic/1"}}"#.to_owned(),
            r#"{"response":{"status":"204"}}"#.to_owned(),
            about("Patient/p"),
        ];
        assert_eq!(subjects(&entries.join(",")).len(), 1);
    }
}
