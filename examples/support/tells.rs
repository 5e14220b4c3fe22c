//! What a vault's files tell, in plain words: one copy of them, and two beside one another.
//!
//! **Does** say what follows from lengths, from units that changed, and from the header's text.
//! **Never** asks Vitalock, or opens anything with a key.
//! **Format** that of the files: docs/spec/01-header.md, 04-files.md, 06-page-seal.md.

use crate::footprint::{Files, Units, changed_runs};

/// What of a page SQLite can use.
const USED: usize = 4096 - 40;

/// What the files of one copy tell.
pub(crate) fn alone(files: &Files) -> Vec<String> {
    let mut told = Vec::new();
    for (name, bytes) in files {
        let units = Units::of(name);
        let many = units.split(bytes).len();
        match units {
            Units::Pages => told.push(format!(
                "{name}: this class holds at most {} bytes of rows and indexes",
                many * USED
            )),
            Units::Frames if many == 0 => told.push(format!(
                "{name}: this class is open or was not closed; nothing waits in its log"
            )),
            Units::Frames => told.push(format!(
                "{name}: this class is open or was not closed; 1 to {many} transactions since its \
                 log was begun"
            )),
            Units::Clear if name == "header" => {
                told.extend(String::from_utf8_lossy(bytes).lines().filter_map(of_header));
            }
            Units::Clear if name == "attempts" => {
                told.push(
                    "attempts: how often each key slot failed since it last opened, and when"
                        .to_owned(),
                );
            }
            Units::Clear => {}
        }
    }
    told
}

/// What a line of the header says in clear.
fn of_header(line: &str) -> Option<String> {
    let words: Vec<_> = line.split(' ').collect();
    Some(match words.as_slice() {
        ["vault", id] => format!("header: this is vault {id}, as in every copy of it"),
        ["generation", number] => {
            format!("header: generation {number}; each change of slots or policy is one more")
        }
        ["session", limits @ ..] => format!("header: sessions end by {}", limits.join(", ")),
        ["lease", limits @ ..] => format!("header: leases end by {}", limits.join(", ")),
        ["slot", _, kind] => format!("header: a slot of kind {kind}"),
        ["wrap", purpose, kdf, share, ..] => {
            let kdf = kdf.rsplit_once(':').map_or(*kdf, |(cost, _salt)| cost);
            let share = share.split(':').next().unwrap_or_default();
            format!("header:   {purpose} keys in it, {kdf}, {share}")
        }
        ["retired", provider, ..] => {
            format!("header: a key of a former slot is still to be destroyed by {provider}")
        }
        _ => return None,
    })
}

/// What two copies of one vault tell beside one another.
pub(crate) fn beside(older: &Files, newer: &Files) -> Vec<String> {
    let mut told = Vec::new();
    for (name, bytes) in newer {
        let what = match (Units::of(name), older.get(name)) {
            (_, Some(before)) if before == bytes => continue,
            (Units::Frames, None) => "the class was opened since, or was not closed",
            (_, None) => "it was not there",
            (Units::Clear, _) if name == "attempts" => "somebody unlocked the vault, or tried to",
            (Units::Clear, _) => "a slot or the policy was changed, or a key destroyed",
            (Units::Frames, Some(before)) if begun_anew(before, bytes) => {
                "the log was begun anew: what it held went into the database, and more was written"
            }
            (Units::Frames, _) => "one transaction or more, at most one for each new frame",
            (Units::Pages, Some(before)) if before.len() > bytes.len() => {
                "room was given back: something was erased, or replaced by something shorter"
            }
            (Units::Pages, Some(before)) if before.len() == bytes.len() => {
                "something was written, which found room in the pages that were there"
            }
            (Units::Pages, _) => "something was added",
        };
        told.push(format!("{name}: {what}"));
    }
    for name in older.keys().filter(|name| !newer.contains_key(*name)) {
        let what = match Units::of(name) {
            Units::Frames => "the class was closed; its log went into the database",
            Units::Clear | Units::Pages => "it is gone",
        };
        told.push(format!("{name}: {what}"));
    }
    if told.is_empty() {
        told.push("nothing was written in between".to_owned());
    }
    told
}

/// Whether frames that were there are others now, or gone.
fn begun_anew(before: &[u8], now: &[u8]) -> bool {
    let first = changed_runs(Units::Frames, before, now).first().copied();
    let held = Units::Frames.split(before).len();
    before.len() > now.len() || first.is_some_and(|(first, _)| first <= held)
}
