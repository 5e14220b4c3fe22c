//! What a vault's files tell to whoever has them and no key.
//!
//! **Does** look at bytes: how long files are, how even their bytes, which blocks repeat, and which
//! units are others than in an older copy.
//! **Never** asks Vitalock, or opens anything with a key.
//! **Format** that of the files: docs/spec/06-page-seal.md.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::{fs, io};

/// Everything in a directory: names and contents.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) fn read(dir: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, fs::read(entry.path())?);
    }
    Ok(files)
}

/// Of what a file is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Units {
    Pages,
    Frames,
    /// Text whose form the specification shows, or nothing at all.
    Clear,
}

impl Units {
    pub(crate) fn of(name: &str) -> Self {
        let extension = Path::new(name).extension();
        match extension.and_then(|extension| extension.to_str()) {
            Some("db") => Self::Pages,
            Some("db-wal") => Self::Frames,
            _ => Self::Clear,
        }
    }

    /// The units of a file, each as it lies on the medium.
    pub(crate) fn split(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Pages => bytes.chunks(PAGE).collect(),
            Self::Frames => {
                let frames = bytes.get(LOG_HEADER..).unwrap_or_default();
                frames.chunks(FRAME).collect()
            }
            Self::Clear => Vec::new(),
        }
    }
}

const PAGE: usize = 4096;
const FRAME: usize = 24 + PAGE;
const LOG_HEADER: usize = 72;

/// How even the bytes are, in bits: 8 where every value is equally frequent, and what random bytes
/// [have](chance) where they are few.
#[allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a share of bytes needs no more than 52 bits"
)]
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u64; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = bytes.len() as f64;
    let share = |count: &u64| *count as f64 / all;
    let shares = counts.iter().filter(|count| **count > 0).map(share);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

/// How even so many random bytes are on average, and how far from that they typically are. Of 256
/// shares that are counted in few bytes 255 are off by chance: what is missing to 8 bits, times
/// `2 n ln 2`, is distributed as chi-square with 255 degrees of freedom. So 7.99 takes some twenty
/// thousand bytes.
#[allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "as above"
)]
pub(crate) fn chance(length: usize) -> (f64, f64) {
    let scale = 2.0 * length as f64 * std::f64::consts::LN_2;
    (8.0 - 255.0 / scale, 510.0_f64.sqrt() / scale)
}

/// How many blocks of sixteen bytes stand more than once in these files together, of those that
/// begin at a multiple of eight: pages, frames and what lies in them begin there.
pub(crate) fn repeated_blocks<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> usize {
    let (mut seen, mut repeated) = (HashSet::new(), 0);
    for file in files {
        let blocks = file.windows(16).step_by(8);
        repeated += blocks.filter(|block| !seen.insert(*block)).count();
    }
    repeated
}

/// The numbers, from 1 on, of the units that are not those of the older copy, in runs.
pub(crate) fn changed_runs(units: Units, older: &[u8], newer: &[u8]) -> Vec<(usize, usize)> {
    let older = units.split(older);
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (index, unit) in units.split(newer).into_iter().enumerate() {
        if older.get(index) == Some(&unit) {
            continue;
        }
        match runs.last_mut() {
            Some((_, last)) if *last == index => *last = index + 1,
            _ => runs.push((index + 1, index + 1)),
        }
    }
    runs
}

/// What can be said of these files, and of an older copy beside them, line by line.
pub(crate) fn report(files: &Files, older: Option<&Files>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, bytes) in files {
        let units = Units::of(name);
        let count = units.split(bytes).len();
        let made_of = match units {
            Units::Pages => format!(", {count} pages, sealed"),
            Units::Frames => format!(", {count} frames, sealed"),
            Units::Clear if bytes.is_empty() => String::new(),
            Units::Clear if name == "attempts" => ", clear numbers".to_owned(),
            Units::Clear => ", clear text: the form of the key slots, and sealed keys".to_owned(),
        };
        lines.push(format!("{name}: {} bytes{made_of}", bytes.len()));
        if !bytes.is_empty() {
            lines.push(format!(
                "    {:.4} bits in a byte; as many random bytes have {:.4}",
                entropy(bytes),
                chance(bytes.len()).0.max(0.0)
            ));
        }
        let Some(before) = older.map(|older| older.get(name)) else {
            continue;
        };
        let Some(before) = before else {
            lines.push("    not in the older copy".to_owned());
            continue;
        };
        if before == bytes {
            lines.push("    as in the older copy".to_owned());
            continue;
        }
        if before.len() != bytes.len() {
            lines.push(format!("    {} bytes in the older copy", before.len()));
        }
        if units == Units::Clear {
            lines.push("    rewritten".to_owned());
            continue;
        }
        let runs = changed_runs(units, before, bytes);
        let changed: usize = runs.iter().map(|(first, last)| last - first + 1).sum();
        lines.push(format!("    {changed} written since: {}", shown(&runs)));
    }
    let gone = older.into_iter().flatten().map(|(name, _)| name);
    for name in gone.filter(|name| !files.contains_key(*name)) {
        lines.push(format!("{name}: only in the older copy"));
    }
    let sealed = files
        .iter()
        .filter(|(name, _)| Units::of(name) != Units::Clear);
    let repeated = repeated_blocks(sealed.map(|(_, bytes)| bytes.as_slice()));
    lines.push(format!("blocks of sealed bytes that repeat: {repeated}"));
    lines
}

/// The first of many runs.
fn shown(runs: &[(usize, usize)]) -> String {
    let mut words: Vec<String> = runs.iter().take(SHOWN).map(words_of).collect();
    if runs.len() > SHOWN {
        words.push(format!("and {} more", runs.len() - SHOWN));
    }
    words.join(", ")
}

fn words_of((first, last): &(usize, usize)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    }
}

const SHOWN: usize = 12;
