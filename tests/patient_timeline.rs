//! The example `patient_timeline`, run as a person runs it: what it draws and exports is what the data
//! has, and what it keeps says nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[path = "support/data.rs"]
mod data;
#[path = "../examples/support/device_share.rs"]
mod device_share;
#[path = "../examples/support/look.rs"]
mod look;
#[path = "../examples/support/traces.rs"]
mod traces;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use device_share::FileShare;
use look::Search;
use serde_json::Value;
use serde_json::value::RawValue;
use vitalock::{Credentials, Kdf, KdfParameters, Options, Passphrase, Vault};

const EDDA: &str = include_str!("../examples/data/edda.ndjson");
const WORDS: &[u8] = b"four quiet herons wade";
/// What is drawn, and as what.
const CHARTS: [(&str, &str); 3] = [
    ("4548-4", "hba1c.svg"),
    ("18262-6", "ldl-cholesterol.svg"),
    ("29463-7", "body-weight.svg"),
];

/// Builds the example, as cargo does before all tests but not before this one alone.
fn example() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "patient_timeline"]);
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success());
    let test = env::current_exe().unwrap();
    let target = test.ancestors().nth(2).unwrap();
    target.join("examples/patient_timeline")
}

/// Runs it where every file that it may make is below `place`.
fn run(place: &Path, arguments: &[&Path]) -> Output {
    let temporary = place.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(example());
    command.env_clear().env("TMPDIR", &temporary);
    let output = command.args(arguments).current_dir(place).output().unwrap();
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0);
    output
}

fn told(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The points of a picture: how far to the right and how far down.
fn points(svg: &str) -> Vec<(f64, f64)> {
    let number = |circle: &str, name: &str| {
        let (_, rest) = circle.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    };
    let circles = svg.split("<circle").skip(1);
    let place = |circle| (number(circle, "cx"), number(circle, "cy"));
    circles.map(place).collect()
}

/// What should be drawn of a code: instants and values, oldest first.
fn measured(resources: &[Value], code: &str) -> Vec<(i64, f64)> {
    let mut values = Vec::new();
    for resource in resources {
        let codings = resource["code"]["coding"].as_array();
        let meant = codings.is_some_and(|codings| codings.iter().any(|held| held["code"] == code));
        let stands = ["final", "amended", "corrected"]
            .contains(&resource["status"].as_str().unwrap_or_default());
        if resource["resourceType"] == "Observation" && meant && stands {
            let time: jiff::Timestamp = resource["effectiveDateTime"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let value = resource["valueQuantity"]["value"].as_f64().unwrap();
            values.push((time.as_microsecond(), value));
        }
    }
    values.sort_by_key(|(time, _)| *time);
    values
}

/// Whether what is drawn grows with what was measured, in a straight line and within a pixel.
fn is_in_line(drawn: &[f64], measured: &[f64]) -> bool {
    let least = (0..measured.len())
        .min_by(|a, b| measured[*a].total_cmp(&measured[*b]))
        .unwrap();
    let most = (0..measured.len())
        .max_by(|a, b| measured[*a].total_cmp(&measured[*b]))
        .unwrap();
    let scale = (drawn[most] - drawn[least]) / (measured[most] - measured[least]);
    let mut both = drawn.iter().zip(measured);
    both.all(|(drawn_at, value)| {
        (drawn[least] + (value - measured[least]) * scale - drawn_at).abs() <= 1.5
    })
}

/// The pictures hold a point for each value, where it belongs. How many points each has.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "to a pixel"
)]
fn assert_drawn(out: &Path, resources: &[Value]) -> Vec<usize> {
    let mut counts = Vec::new();
    for (code, name) in CHARTS {
        let measured = measured(resources, code);
        let svg = fs::read_to_string(out.join(name)).unwrap();
        let drawn = points(&svg);
        assert_eq!(drawn.len(), measured.len(), "{name}");
        let (across, down): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
        let (times, values): (Vec<_>, Vec<_>) = measured
            .iter()
            .map(|(time, value)| (*time as f64, *value))
            .unzip();
        assert!(
            is_in_line(&across, &times) && is_in_line(&down, &values),
            "{name}"
        );
        // Upwards is more.
        let (first, last) = (values.first() < values.last(), down.first() > down.last());
        assert_eq!(first, last, "{name}");
        counts.push(values.len());
    }
    counts
}

/// The lines of the export, by type and id.
fn exported(out: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(out.join("person.ndjson")).unwrap();
    let lines: BTreeMap<_, _> = text
        .lines()
        .map(|line| (named(line), line.to_owned()))
        .collect();
    assert_eq!(lines.len(), text.lines().count(), "none comes twice");
    lines
}

fn named(json: &str) -> String {
    let resource: Value = serde_json::from_str(json).unwrap();
    let part = |name: &str| resource[name].as_str().unwrap().to_owned();
    format!("{}/{}", part("resourceType"), part("id"))
}

/// A document without the white space between its parts.
fn in_one_line(json: &str) -> String {
    let (mut within, mut escaped) = (false, false);
    let keep = |sign: &char| {
        let kept = within || !sign.is_ascii_whitespace();
        within ^= *sign == '"' && !escaped;
        escaped = within && *sign == '\\' && !escaped;
        kept
    };
    json.chars().filter(keep).collect()
}

/// The files that stay closed to others, and those of the vault, which hold no word of the export.
fn assert_kept_private(out: &Path) {
    for (name, mode, _) in look::files(&out.join("vault")).unwrap() {
        assert_eq!(mode, 0o600, "{name}");
    }
    let mut clear = vec!["person.ndjson"];
    clear.extend(CHARTS.map(|(_, name)| name));
    for name in clear {
        let mode = fs::metadata(out.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    let export = fs::read(out.join("person.ndjson")).unwrap();
    let lines: Vec<&RawValue> = serde_json::Deserializer::from_slice(&export)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let search = Search::of(&serde_json::to_vec(&lines).unwrap()).unwrap();
    // The control: every word is found where it is in clear.
    assert_eq!(search.found([export.as_slice()]).len(), search.len());
    // A word that an empty vault holds as well is the format's own, such as `primary`.
    let fixed = search.found_in(&an_empty_vault());
    let found = search.found_in(&look::files(&out.join("vault")).unwrap());
    let found: Vec<_> = found.difference(&fixed).collect();
    assert!(found.is_empty() && search.len() > 200, "{found:?}");
    assert!(fixed.len() < 3, "{fixed:?}");
}

/// A quickly made vault, and what opens it.
fn quick_vault(dir: &Path, factors: Credentials<'_>) -> Vault {
    let quick = Options::new().kdf(Kdf::Fixed(KdfParameters::FLOOR));
    let setup = Vault::create(dir, quick, factors).unwrap();
    let code = setup.recovery_code();
    code.reveal(|code| setup.confirm_recovery(code.as_bytes()))
        .unwrap()
}

/// The files of a vault that nothing was put into.
fn an_empty_vault() -> Vec<look::Seen> {
    let place = tempfile::tempdir().unwrap();
    let words = Passphrase::new(WORDS).unwrap();
    let keystore = FileShare::at(place.path().join("empty.device-share"));
    let factors = Credentials::passphrase(&words).and(&keystore);
    let dir = place.path().join("empty");
    drop(quick_vault(&dir, factors));
    look::files(&dir).unwrap()
}

#[test]
fn a_made_up_person_is_told_drawn_and_exported() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let first = told(&run(place.path(), &[&out]));
    let resources: Vec<Value> = EDDA
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        first.contains(&format!("Imported: {} new, 0 changed", resources.len())),
        "{first}"
    );
    assert!(
        first.contains("Edda Holmgård, born 1958-05-21\n\n2014\n"),
        "{first}"
    );
    // By way of an include, since the request itself names a Medication only.
    assert!(
        first.contains("\n  05-18  MedicationRequest   Empagliflozin 10 mg tablet\n"),
        "{first}"
    );
    assert!(first.contains("HbA1c  8.2, 8.4, 7.6, 7.1 %\n"), "{first}");
    // What the laboratory took back.
    assert!(EDDA.contains("12.3") && !first.contains("12.3"), "{first}");

    assert_eq!(assert_drawn(&out, &resources), [30, 17, 30]);
    let svg = fs::read_to_string(out.join("hba1c.svg")).unwrap();
    for words in [
        "reference range 4.0 to 5.6 %",
        "HbA1c (LOINC 4548-4)",
        "\n2014\n",
        "\n%\n",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    let given: BTreeMap<_, _> = EDDA
        .lines()
        .map(|line| (named(line), line.to_owned()))
        .collect();
    assert_eq!(exported(&out), given);
    assert_kept_private(&out);

    // Again, into the same vault: nothing changes.
    let again = told(&run(place.path(), &[&out]));
    assert!(again.contains("Imported: 0 new, 0 changed"), "{again}");
    assert_eq!(exported(&out), given);
}

#[test]
fn a_patient_of_synthea_is_told_drawn_and_exported() {
    let Some(folder) = data::unpacked("fhir/synthea-r4-500-patients.tar.xz") else {
        return;
    };
    let files = data::json_files(&folder);
    let bundle = files
        .iter()
        .find(|file| file.to_string_lossy().contains("Avril_Hane_"))
        .unwrap();
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    told(&run(place.path(), &[bundle, &out]));

    let json = fs::read_to_string(bundle).unwrap();
    let whole: Value = serde_json::from_str(&json).unwrap();
    let entries = whole["entry"].as_array().unwrap();
    let resources: Vec<_> = entries
        .iter()
        .map(|entry| entry["resource"].clone())
        .collect();
    assert_eq!(assert_drawn(&out, &resources), [10, 13, 10]);

    // What is meant by each `urn:uuid:` stands in its place, and no other byte is another.
    #[derive(serde::Deserialize)]
    struct Bundle<'a> {
        #[serde(borrow)]
        entry: Vec<Entry<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Entry<'a> {
        #[serde(borrow, rename = "fullUrl")]
        full_url: &'a str,
        #[serde(borrow)]
        resource: &'a RawValue,
    }
    let bundle: Bundle<'_> = serde_json::from_str(&json).unwrap();
    let names: BTreeMap<_, _> = bundle
        .entry
        .iter()
        .map(|entry| (entry.full_url, named(entry.resource.get())))
        .collect();
    let mut given = BTreeMap::new();
    for entry in &bundle.entry {
        let mut line = in_one_line(entry.resource.get());
        for (url, name) in &names {
            line = line.replace(&format!("\"{url}\""), &format!("\"{name}\""));
        }
        given.insert(named(&line), line);
    }
    let exported = exported(&out);
    assert_eq!(
        exported.keys().collect::<Vec<_>>(),
        given.keys().collect::<Vec<_>>()
    );
    for (name, line) in &given {
        assert!(exported[name] == *line, "{name} is another");
    }
    assert_kept_private(&out);
}

#[test]
fn without_a_place_for_them_no_file_is_left() {
    let place = tempfile::tempdir().unwrap();
    let output = told(&run(place.path(), &[]));
    assert!(
        output.contains("Edda Holmgård") && !output.contains("in clear"),
        "{output}"
    );
    // Only the folder for temporary files, which is empty.
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn the_picture_of_the_readme_is_the_one_that_is_drawn() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    told(&run(place.path(), &[&out]));
    let drawn = fs::read_to_string(out.join("hba1c.svg")).unwrap();
    assert!(
        drawn == include_str!("../docs/images/hba1c.svg"),
        "draw docs/images/hba1c.svg anew"
    );
}

#[test]
fn each_search_of_the_readme_finds_something_in_the_data() {
    let place = tempfile::tempdir().unwrap();
    let words = Passphrase::new(WORDS).unwrap();
    let keystore = FileShare::at(place.path().join("device-share"));
    let factors = Credentials::passphrase(&words).and(&keystore);
    let vault = quick_vault(&place.path().join("vault"), factors);
    let session = vault.unlock(&factors).unwrap();
    let fhir = session.fhir();
    let imported = fhir.import_ndjson(&mut EDDA.as_bytes(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(imported.unwrap().created, 178);

    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("## FHIR").unwrap();
    let shown = section.split("```").nth(1).unwrap();
    let strings = shown.split('"').skip(1).step_by(2);
    let searches: Vec<_> = strings.filter(|text| text.contains('?')).collect();
    for (search, finds) in searches.iter().zip([3, 5, 5]) {
        // As the compiler joins lines.
        let lines: Vec<_> = search.split("\\\n").map(str::trim_start).collect();
        assert_eq!(
            fhir.search_count(&lines.concat()).unwrap(),
            finds,
            "{search}"
        );
    }
    assert_eq!(searches.len(), 3);
}

#[test]
fn the_data_is_what_its_generator_writes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-person");
    let Ok(made) = Command::new("python3").arg(script).output() else {
        return data::tell("SKIPPED: the example's data: python3 is missing");
    };
    assert!(made.status.success() && made.stdout == EDDA.as_bytes());
}

#[test]
fn arguments_that_make_no_sense_are_answered_with_the_usage() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("bundle.json");
    fs::write(&file, "{}").unwrap();
    for arguments in [&[Path::new("--help")][..], &[&file], &[&file, &file, &file]] {
        let output = run(place.path(), arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
    }
}
