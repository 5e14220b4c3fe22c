//! The files show nothing but how long they are and what was written in between.

use std::collections::HashSet;
use std::path::Path;

use vitalock::Class;

use crate::footprint::{Units, changed_runs, entropy, read, repeated_blocks, report};
use crate::life::{Lived, put, sealed_files, time_of, unsealed_files};
use crate::support::data::tell;
use crate::support::fixture::{copy, unlock, unsealed};
use crate::support::{Scratch, fixture};

/// Files, or what is looked for in them, with their names.
type Named = Vec<(String, Vec<u8>)>;

#[test]
fn every_sealed_file_is_as_even_as_random_bytes() {
    let lived = Lived::make();
    let (mut least, mut files) = (8.0_f64, 0);
    for dir in lived.states() {
        for (name, bytes) in sealed_files(&dir) {
            assert!(bytes.len() > 50_000, "{name} is long enough to tell");
            let found = entropy(&bytes);
            assert!(found >= 7.99, "{name}: {found}");
            least = least.min(found);
            files += 1;
        }
        let uneven = unsealed_files(&dir)
            .iter()
            .filter(|(_, bytes)| entropy(bytes) < 7.99)
            .count();
        assert_eq!(
            uneven,
            sealed_files(&dir).len(),
            "the measure sees a file without its seal"
        );
    }
    assert_eq!(files, 9, "three databases, twice, and their logs");
    tell(&format!(
        "the least even of {files} files has {least:.4} bits in a byte"
    ));
}

#[test]
fn no_block_repeats_in_two_runs_of_the_same_work() {
    let lives = [Lived::make(), Lived::make()];
    let all = |files: fn(&Path) -> Named| {
        // The databases as they lie before the log is emptied into them, and after, are the same in
        // part. So each state is held against its own in the other life.
        let state = |at: usize| {
            let dirs = lives.iter().map(|life| life.states()[at].clone());
            let files: Named = dirs.flat_map(|dir| files(&dir)).collect();
            repeated_blocks(files.iter().map(|(_, bytes)| bytes.as_slice()))
        };
        [state(0), state(1)]
    };
    assert_eq!(all(sealed_files), [0, 0]);
    let control = all(unsealed_files);
    assert!(
        control.iter().all(|repeated| *repeated > 1000),
        "{control:?}"
    );
}

#[test]
fn no_word_of_sql_no_date_no_identity_and_no_magic_is_in_a_file() {
    let lived = Lived::make();
    for dir in lived.states() {
        let plain = unsealed_files(&dir);
        let needles = needles(&lived, &dir);
        let control = found(&plain, &needles);
        for (what, _) in &needles {
            assert!(
                control.contains(what.as_str()),
                "{what} is there without the seal"
            );
        }
        let sealed = found(&sealed_files(&dir), &needles);
        assert!(sealed.is_empty(), "{sealed:?}");

        let zeros = |files: &[(String, Vec<u8>)]| {
            let runs = |bytes: &[u8]| bytes.windows(16).any(|run| run.iter().all(|b| *b == 0));
            files.iter().filter(|(_, bytes)| runs(bytes)).count()
        };
        assert_eq!(zeros(&plain), plain.len());
        assert_eq!(zeros(&sealed_files(&dir)), 0);
    }
}

#[test]
fn no_text_of_a_record_is_in_a_file_and_the_search_finds_it_where_it_is() {
    let lived = Lived::make();
    let needles: Named = [
        "Observation",
        "Patient/",
        "8867-4",
        "loinc",
        "Heart rate",
        "beats/minute",
        "2026-03-01",
        "after the stairs",
        "corrected",
        "application/fhir",
        "watch/",
        "CREATE TABLE",
        "sqlite_",
    ]
    .map(|word| (word.to_owned(), word.as_bytes().to_vec()))
    .into();
    for dir in lived.states() {
        let files: Vec<_> = read(&dir).unwrap().into_iter().collect();
        assert!(files.len() >= 6);
        let seen = found(&files, &needles);
        assert!(seen.is_empty(), "{seen:?}");
        for (word, bytes) in &needles {
            let mut planted = files.clone();
            let file = &mut planted.last_mut().unwrap().1;
            let middle = file.len() / 2;
            file.splice(middle..middle, bytes.iter().copied());
            assert!(found(&planted, &needles).contains(word.as_str()));
        }
    }
}

#[test]
fn two_copies_tell_how_much_grew_and_which_units_were_written_and_no_more() {
    let lived = Lived::make();
    let scratch = Scratch::new();
    let older = scratch.path().join("older");
    copy(&lived.locked(), &older);
    let vault = vitalock::Vault::open(lived.locked()).unwrap();
    let session = unlock(&vault);
    put(&fixture::step_up(&session), 1500..1501);
    session.lock();
    drop((session, vault));
    let (before, after) = (read(&older).unwrap(), read(&lived.locked()).unwrap());
    // 1500 is a multiple of three: the first class. Standard says that the vault was unlocked.
    for other in Class::ALL {
        let name = fixture::database(Path::new(""), other);
        let name = name.to_str().unwrap();
        let runs = changed_runs(Units::Pages, &before[name], &after[name]);
        assert_eq!(runs.is_empty(), other == Class::Priority, "{name}");
    }
    let lines = report(&after, Some(&before));
    for line in &lines {
        tell(line);
    }
    let written = lines.iter().filter(|line| line.contains("written since"));
    assert_eq!(written.count(), 2);
    assert_eq!(
        lines.last().unwrap(),
        "blocks of sealed bytes that repeat: 0"
    );
}

/// What SQLite writes in clear, and what of it this vault holds.
fn needles(lived: &Lived, dir: &Path) -> Named {
    let mut needles = vec![("SQLite's magic".to_owned(), b"SQLite format 3\0".to_vec())];
    if dir == lived.open() {
        // Either order of bytes of the checksums, and the version.
        let magic = [0x37, 0x7F, 0x06, 0x82, 0x00, 0x2D, 0xE2, 0x18];
        needles.push(("the magic of a log".to_owned(), magic.to_vec()));
    }
    let scratch = Scratch::new();
    let there = scratch.path().join("copy");
    copy(&lived.locked(), &there);
    let connection = unsealed(&there, Class::Standard);
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL";
    let mut statement = connection.prepare(sql).unwrap();
    let texts = statement.query_map([], |row| row.get::<_, String>(0));
    for text in texts.unwrap().map(Result::unwrap) {
        let start = text.bytes().take(24).collect();
        needles.push((text, start));
    }
    assert!(needles.len() > 10);
    for (at, (class, id)) in lived.places.iter().enumerate().step_by(50) {
        needles.push((
            format!("identity {at} of {class:?}"),
            id.to_bytes().to_vec(),
        ));
    }
    for number in (200..1100).step_by(100) {
        let micros = time_of(number).to_micros().to_be_bytes();
        needles.push((format!("date {number}"), micros.to_vec()));
    }
    needles
}

fn found(files: &[(String, Vec<u8>)], needles: &[(String, Vec<u8>)]) -> HashSet<String> {
    let mut found = HashSet::new();
    for (_, bytes) in files {
        for (what, needle) in needles {
            if memmem(bytes, needle) {
                found.insert(what.clone());
            }
        }
    }
    found
}

fn memmem(bytes: &[u8], needle: &[u8]) -> bool {
    let (first, rest) = needle.split_first().unwrap();
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| byte == first) {
        at += next + 1;
        if bytes[at..].starts_with(rest) {
            return true;
        }
    }
    false
}
