//! What the files of a vault give away to whoever has them.
//!
//! **Does** read every file and search it for every string of a bundle.
//! **Never** runs while the vault is open: to open and close a database's file takes its locks away.
//! **Format** none.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fs, io};

use serde_json::Value;

use crate::traces::{SHORTEST, Scanner};

/// A file: its name, its mode, its content.
pub(crate) type Seen = (String, u32, Vec<u8>);

/// The files in a directory.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<Seen>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode() & 0o7777;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, mode, fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}

/// The strings of a document, and where they are met.
pub(crate) struct Search {
    strings: Vec<String>,
    scanner: Scanner,
}

impl Search {
    /// A search for every string value of a JSON document that is long enough to be looked for.
    pub(crate) fn of(json: &[u8]) -> serde_json::Result<Self> {
        let mut strings = BTreeSet::new();
        collect(&serde_json::from_slice(json)?, &mut strings);
        let scanner = Scanner::new(strings.iter().map(String::as_bytes));
        Ok(Self {
            strings: strings.into_iter().collect(),
            scanner,
        })
    }

    /// How many strings there are.
    pub(crate) fn len(&self) -> usize {
        self.strings.len()
    }

    /// The strings that are in these bytes or names, in any spelling.
    pub(crate) fn found<'a>(&self, places: impl IntoIterator<Item = &'a [u8]>) -> BTreeSet<&str> {
        let traces = places
            .into_iter()
            .flat_map(|bytes| self.scanner.scan(bytes));
        let strings = traces.filter_map(|trace| self.strings.get(trace.string));
        strings.map(String::as_str).collect()
    }

    /// The strings that are in these files or in their names.
    pub(crate) fn found_in(&self, files: &[Seen]) -> BTreeSet<&str> {
        let places = files
            .iter()
            .flat_map(|(name, _, bytes)| [name.as_bytes(), bytes]);
        self.found(places)
    }
}

fn collect(value: &Value, strings: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() >= SHORTEST => drop(strings.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| collect(value, strings)),
        Value::Object(members) => members.values().for_each(|value| collect(value, strings)),
        _ => {}
    }
}
