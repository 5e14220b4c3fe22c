//! The quickstart, run as a person runs it, on a bundle whose every string is a canary.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::canary::Canaries;
use crate::device_share::FileShare;
use crate::keys;
use crate::place::Place;
use crate::support::data::tell;

const BUNDLE: &[u8] = include_bytes!("../../examples/data/patient-bundle.json");
/// As in the quickstart.
const WORDS: &str = "four quiet herons wade";

/// Builds the example, as cargo does before all tests but not before this one alone.
fn quickstart() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "quickstart"]);
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success());
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/quickstart")
}

/// The bundle with a canary in the place of each string that a person or a server chose: the same
/// for the same string, so that references still lead where they led.
fn canary_bundle(canaries: &mut Canaries) -> Vec<u8> {
    let mut bundle = serde_json::from_slice(BUNDLE).unwrap();
    let mut planted = BTreeMap::new();
    replace(&mut bundle, "", &mut |member, text| {
        let year = text.split('-').next().unwrap();
        let is_date = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
        if member == "resourceType" || is_date {
            return text.to_owned();
        }
        let canary = planted.entry(text.to_owned());
        let canary = canary.or_insert_with(|| canaries.plant(&format!("{member} {text}")));
        match text.strip_prefix("urn:uuid:") {
            Some(_) => format!("urn:uuid:{canary}"),
            None => canary.clone(),
        }
    });
    serde_json::to_vec_pretty(&bundle).unwrap()
}

fn replace(value: &mut Value, member: &str, with: &mut dyn FnMut(&str, &str) -> String) {
    match value {
        Value::String(text) => *text = with(member, text),
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| replace(value, member, with)),
        Value::Object(members) => {
            for (name, value) in members {
                replace(value, name, with);
            }
        }
        _ => {}
    }
}

fn run(program: &Path, place: &Place, bundle: &Path) -> Output {
    let mut command = place.command(program);
    command
        .arg("--vault")
        .arg(place.vault())
        .arg(bundle)
        .output()
        .unwrap()
}

#[test]
fn the_quickstart_leaves_no_trace_of_a_bundle() {
    let program = quickstart();
    let (place, mut canaries) = (Place::new(), Canaries::default());
    let json = canary_bundle(&mut canaries);
    let bundle = place.path().join("bundle.json");
    fs::write(&bundle, &json).unwrap();

    // The control: every canary is found in the file that is not sealed.
    let control = canaries.search().bytes("the bundle", &json);
    let planted = canaries.len();
    let found: std::collections::BTreeSet<_> = control.iter().map(|found| &found.name).collect();
    assert!(
        planted > 100 && found.len() == planted,
        "{planted}, {}",
        found.len()
    );

    canaries.know("the passphrase", WORDS.as_bytes());
    for (nth, new) in [(1, "28 of them new"), (2, "0 of them new")] {
        let output = run(&program, &place, &bundle);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            told.contains(new) && told.contains("found: 0 of "),
            "{told}"
        );
        // The time line shows the owner what the files show to nobody.
        assert!(
            !canaries
                .search()
                .bytes("the time line", told.as_bytes())
                .is_empty()
        );
        assert!(output.stderr.is_empty());

        let mut canaries = canaries.clone();
        let header = fs::read_to_string(place.vault().join("header")).unwrap();
        let keystore = FileShare::at(place.path().join("work/vault.device-share"));
        assert_eq!(keys::know_all(&mut canaries, &header, WORDS, &keystore), 3);
        let found = place.search(&canaries.search(), &format!("run {nth}"));
        assert_eq!(found, []);
    }
    // What it made beside the vault is gone.
    assert_eq!(fs::read_dir(place.path().join("tmp")).unwrap().count(), 0);
    tell(&format!(
        "{planted} canaries and the keys: 0 traces after the quickstart"
    ));
}

#[test]
fn a_refused_bundle_is_not_quoted() {
    let program = quickstart();
    let (place, mut canaries) = (Place::new(), Canaries::default());
    let json = canary_bundle(&mut canaries);
    let path = place.path().join("bundle.json");
    fs::write(&path, &json).unwrap();
    assert!(run(&program, &place, &path).status.success());

    let text = String::from_utf8(json.clone()).unwrap();
    let nobody = text.replace("\"Patient\"", "\"Basic\"");
    for (why, bundle) in [
        ("is not a FHIR R4 bundle", &json[..json.len() / 2]),
        (
            "is not a FHIR R4 bundle",
            text.replace("\"Bundle\"", "\"Bungle\"").as_bytes(),
        ),
        ("is not a FHIR R4 bundle", &json[1..]),
        ("has no Patient", nobody.as_bytes()),
        // The same resources in the same versions, with another content.
        (
            "changed by someone else",
            text.replace("2021", "2011").as_bytes(),
        ),
    ] {
        fs::write(&path, bundle).unwrap();
        let output = run(&program, &place, &path);
        let told = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&told).contains(why));
        assert_eq!(canaries.search().bytes(why, &told), []);
    }
    assert_eq!(place.search(&canaries.search(), "refused"), []);
}

#[test]
fn arguments_that_make_no_sense_are_answered_with_the_usage() {
    let program = quickstart();
    let place = Place::new();
    for arguments in [
        &["--help"][..],
        &["--vault"],
        &["a", "b"],
        &["--vault", "a", "--vault", "b"],
    ] {
        let output = place.command(&program).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
    }
    assert_eq!(fs::read_dir(place.path().join("cwd")).unwrap().count(), 0);
}
