//! The FHIR reader on real data.

#[path = "support/data.rs"]
mod data;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use vitalock::fhir::{Reader, Resource};

/// How many resources of a type there are, and how many of them have what is asked for.
#[derive(Default)]
struct Tally {
    all: usize,
    with_subject: usize,
    with_effective: usize,
}

#[derive(Default)]
struct Tallies(BTreeMap<String, Tally>);

impl Tallies {
    fn count(&mut self, resource: &Resource<'_>) {
        let tally = self.0.entry(resource.kind().to_owned()).or_default();
        tally.all += 1;
        tally.with_subject += usize::from(resource.subject().is_some());
        tally.with_effective += usize::from(resource.effective().is_some());
    }

    fn total(&self) -> usize {
        self.0.values().map(|tally| tally.all).sum()
    }

    fn tell(&self, title: &str) {
        data::tell(&format!(
            "{title}: {} resources of {} types",
            self.total(),
            self.0.len()
        ));
        for (
            kind,
            Tally {
                all,
                with_subject,
                with_effective,
            },
        ) in &self.0
        {
            if *with_subject + *with_effective > 0 {
                data::tell(&format!(
                    "  {kind}: {all}, with subject {with_subject}, with effective time {with_effective}"
                ));
            }
        }
    }
}

#[test]
fn all_synthea_bundles_are_read_whole() {
    let Some(folder) = data::unpacked("fhir/synthea-r4-500-patients.tar.xz") else {
        return;
    };
    let files = data::json_files(&folder);
    assert_eq!(files.len(), 500);
    let mut tallies = Tallies::default();
    for (at, file) in files.iter().enumerate() {
        let json = fs::read(file).unwrap();
        let resources = Reader::new().bundle(&json).unwrap();
        let patient: Vec<_> = resources.iter().filter(|r| r.kind() == "Patient").collect();
        assert_eq!(patient.len(), 1);
        for resource in &resources {
            tallies.count(resource);
            assert!(lies_in(resource.json(), &json) && resource.id().is_some());
            // Every reference to the person leads to the one Patient of the Bundle.
            let about = resource.subject();
            assert!(
                about.is_none() || about == patient[0].subject(),
                "{}",
                resource.kind()
            );
            if let Some((start, end)) = resource.effective() {
                assert!(start <= end);
            }
        }
        // Another parser agrees on what the resources are: in every tenth file, for time's sake.
        if at % 10 == 0 {
            let document: Value = serde_json::from_slice(&json).unwrap();
            let expected = document["entry"].as_array().unwrap().iter();
            assert!(
                expected.map(|entry| entry["resource"].clone()).eq(resources
                    .iter()
                    .map(|resource| serde_json::from_slice::<Value>(resource.json()).unwrap()))
            );
        }
    }
    tallies.tell("Synthea");
    assert_eq!(tallies.total(), SYNTHEA_RESOURCES);
    assert_eq!(tallies.0.len(), 16);
    for (
        kind,
        Tally {
            all,
            with_subject,
            with_effective,
        },
    ) in &tallies.0
    {
        let (subject, effective) = match kind.as_str() {
            "Organization" | "Practitioner" => (0, 0),
            // This generator writes no date on a Goal.
            "Patient" | "Goal" => (*all, 0),
            _ => (*all, *all),
        };
        assert_eq!(
            (*with_subject, *with_effective),
            (subject, effective),
            "{kind}"
        );
    }
}

#[test]
fn all_official_examples_are_read() {
    let Some(folder) = data::unpacked("fhir/hl7-r4-examples-4.0.1.tar.xz") else {
        return;
    };
    let mut tallies = Tallies::default();
    let mut in_bundles = 0;
    for file in data::json_files(&folder) {
        if file.file_name().is_some_and(|name| name == "package.json") {
            continue;
        }
        let json = fs::read(&file).unwrap();
        let resource = Reader::new()
            .resource(&json)
            .unwrap_or_else(|error| panic!("{}: {error}", name(&file)));
        assert_eq!(resource.json(), json.trim_ascii(), "{}", name(&file));
        let document: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(document["resourceType"], resource.kind());
        // One example has an id longer than the standard allows.
        assert!(document["id"].as_str() == resource.id() || resource.id().is_none());
        tallies.count(&resource);
        if resource.kind() == "Bundle" {
            let entries = Reader::new().bundle(&json).unwrap();
            assert!(entries.iter().all(|entry| lies_in(entry.json(), &json)));
            let listed = document["entry"].as_array().map_or(0, |entries| {
                entries
                    .iter()
                    .filter(|entry| entry.get("resource").is_some())
                    .count()
            });
            assert_eq!(entries.len(), listed, "{}", name(&file));
            in_bundles += listed;
        }
    }
    tallies.tell("HL7 examples");
    assert_eq!((tallies.total(), tallies.0.len()), (5298, 140));
    assert_eq!(in_bundles, EXAMPLES_IN_BUNDLES);
    let tally = |kind: &str| {
        let Tally {
            all,
            with_subject,
            with_effective,
        } = &tallies.0[kind];
        (*all, *with_subject, *with_effective)
    };
    // Five are about a contained newborn and two about nobody; three have no date at all.
    assert_eq!(tally("Observation"), (64, 57, 61));
    assert_eq!(tally("Patient"), (22, 22, 0));
    for kind in [
        "Coverage",
        "Encounter",
        "Immunization",
        "MedicationRequest",
        "NutritionOrder",
    ] {
        let (all, subject, _) = tally(kind);
        assert_eq!(subject, all, "{kind}");
    }
    for kind in [
        "AuditEvent",
        "Claim",
        "Consent",
        "DiagnosticReport",
        "Provenance",
        "Slot",
        "Task",
    ] {
        let (all, _, effective) = tally(kind);
        assert_eq!(effective, all, "{kind}");
    }
}

#[test]
fn the_example_bundle_is_one_person_and_reads_as_it_stands() {
    let resources = Reader::new().bundle(EXAMPLE).unwrap();
    let kinds: BTreeSet<_> = resources.iter().map(Resource::kind).collect();
    assert_eq!((resources.len(), kinds.len()), (28, 9));
    for resource in &resources {
        assert_eq!(resource.subject(), Some("Patient/zofia"));
        assert_eq!(resource.effective().is_none(), resource.kind() == "Patient");
        assert!(lies_in(resource.json(), EXAMPLE));
    }
    let by_id = |id| {
        resources
            .iter()
            .find(|resource| resource.id() == Some(id))
            .unwrap()
    };
    let text = |id| str::from_utf8(by_id(id).json()).unwrap();
    assert!(text("zofia").contains("Ångström-Nguyễn"));
    assert!(text("creatinine-2025").contains(r#""value": 1.00,"#));
    let (start, end) = by_id("hypertension").effective().unwrap();
    assert_eq!(
        (end.to_micros() - start.to_micros()) / 86_400_000_000,
        366,
        "the year 2016"
    );
}

/// Whether `part` is a stretch of `whole` itself, so that not one byte was re-written.
fn lies_in(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole): (Range<_>, Range<_>) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}

fn name(file: &Path) -> String {
    file.file_name()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned()
}

/// Resources in the 500 bundles, and in the Bundles among the examples.
const SYNTHEA_RESOURCES: usize = 154_188;
const EXAMPLES_IN_BUNDLES: usize = 2_967;

const EXAMPLE: &[u8] = include_bytes!("../examples/data/patient-bundle.json");
