//! A vault in another process, looked at while it is open, after an erasure, locked, open again and
//! after a kill; twice, with the same work. What is looked for is found below the seal of pages, or
//! below that of records, by the second implementation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use vitalock::{Class, Vault};

use crate::footprint::{Files, Units, chance, entropy, read, repeated_blocks};
use crate::process::{DEVICE, Talking, elsewhere, factors, make_plain, say_and_wait};
use crate::support::data::tell;
use crate::support::spec::{Row, read_class};
use crate::support::{Scratch, words};
use crate::work::{erase_half, put_all, put_more};

const STATES: [&str; 5] = ["open", "erased", "locked", "open again", "killed"];

/// What the other process does.
pub(crate) fn live(dir: &Path) {
    let words = words();
    let vault = make_plain(dir, &words).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    let lease = session.step_up(&factors(&words)).unwrap();
    put_all(&lease);
    say_and_wait("open");
    erase_half(&lease);
    put_more(&lease, 0);
    say_and_wait("erased");
    drop(lease);
    session.lock();
    say_and_wait("locked");
    let session = vault.unlock(&factors(&words)).unwrap();
    let lease = session.step_up(&factors(&words)).unwrap();
    put_more(&lease, 1);
    say_and_wait("open again");
}

/// The files in every state, and where they still lie.
struct Lived {
    scratch: Scratch,
    states: BTreeMap<&'static str, Files>,
}

impl Lived {
    fn make() -> Self {
        let scratch = Scratch::new();
        let told = format!("live\t{}", scratch.vault().display());
        let mut child = Talking::start(elsewhere(&told));
        let mut states = BTreeMap::new();
        for state in &STATES[..4] {
            assert_eq!(child.hear().as_deref(), Some(*state));
            // The other process has them open, so this one may read them.
            states.insert(*state, read(&scratch.vault()).unwrap());
            if *state == "open again" {
                break;
            }
            child.go_on();
        }
        child.kill();
        states.insert("killed", read(&scratch.vault()).unwrap());
        assert!(
            states["killed"] == states["open again"],
            "a kill writes nothing"
        );
        Self { scratch, states }
    }

    /// Lays a state out and opens it.
    fn below(&self, state: &str) -> Below {
        let there = self.scratch.path().join(state);
        std::fs::create_dir(&there).unwrap();
        for (name, bytes) in &self.states[state] {
            std::fs::write(there.join(name), bytes).unwrap();
        }
        let mut below = Below::default();
        for class in Class::ALL {
            let (header, keys) = DEVICE.keys(&there, class);
            let seal = DEVICE.seal(&there, class);
            let database = crate::support::fixture::database(Path::new(""), class);
            let database = database.to_str().unwrap().to_owned();
            let log = format!("{database}-wal");
            let content = read_class(&there, header.vault, &keys);
            below.rows.extend(content.records);
            below.rows.extend(content.earlier);
            let files = &self.states[state];
            below.pages.push(seal.open_database(&files[&database]));
            if let Some(bytes) = files.get(&log) {
                below.logs.push(seal.open_log(bytes));
            }
        }
        below
    }
}

/// A vault without its seals.
#[derive(Default)]
struct Below {
    pages: Vec<Vec<u8>>,
    logs: Vec<Vec<u8>>,
    rows: Vec<Row>,
}

impl Below {
    fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.pages.iter().chain(&self.logs).map(Vec::as_slice)
    }

    /// What the records hold, one after the other.
    fn contents(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for row in &self.rows {
            let client = row.client.as_ref().map(|(id, _)| id);
            let texts = [
                row.subject.as_ref(),
                client,
                row.device.as_ref(),
                row.app.as_ref(),
            ];
            for text in texts
                .into_iter()
                .flatten()
                .chain([&row.kind, &row.content_type])
            {
                all.extend(text.as_bytes());
                all.push(b'\n');
            }
            all.extend(&row.body);
            all.push(b'\n');
        }
        all
    }

    /// What stands in pages: the schema, identities, times as SQLite writes them.
    fn numbers(&self) -> Needles {
        let mut needles = Needles::default();
        needles.add("SQLite's magic", b"SQLite format 3\0");
        let schema = include_str!("../../docs/spec/05-schema-and-pragmas.md");
        let schema = schema.split("```sql\n").nth(1).unwrap();
        let schema = schema.split("```").next().unwrap();
        for statement in schema
            .split(";\n")
            .filter(|statement| !statement.is_empty())
        {
            needles.add(statement, &statement.as_bytes()[..24.min(statement.len())]);
        }
        for word in [
            "CREATE TABLE",
            "CREATE INDEX",
            "sqlite_sequence",
            "sqlite_autoindex_",
            "records_by_kind",
        ] {
            needles.add(word, word.as_bytes());
        }
        for row in &self.rows {
            needles.add("an identity", &row.id);
            needles.add("when it was put", &row.updated.to_be_bytes());
            if let Some((start, finish)) = row.effective {
                needles.add("when it began", &start.to_be_bytes());
                needles.add("when it ended", &finish.to_be_bytes());
            }
            if let Some(expires) = row.expires {
                needles.add("when it expires", &expires.to_be_bytes());
            }
        }
        needles
    }

    /// What stands in records: names, codes, dates, the beginnings of bodies.
    fn texts(&self) -> Needles {
        let mut needles = Needles::default();
        for row in &self.rows {
            let client = row.client.as_ref().map(|(id, _)| id);
            for (what, text) in [
                ("a kind", Some(&row.kind)),
                ("a subject", row.subject.as_ref()),
                ("a content type", Some(&row.content_type)),
                ("a client's identity", client),
                ("a device", row.device.as_ref()),
                ("an app", row.app.as_ref()),
            ] {
                if let Some(text) = text.filter(|text| text.len() >= SHORTEST) {
                    needles.add(what, text.as_bytes());
                }
            }
            needles.add("a body", &row.body[..row.body.len().min(32)]);
            let text = String::from_utf8_lossy(&row.body);
            for code in text.split("\"code\":").skip(1) {
                let code = code.trim_start();
                let end = code
                    .get(1..)
                    .and_then(|rest| rest.find('"'))
                    .map_or(0, |end| end + 2);
                if end >= SHORTEST {
                    needles.add("a code", &code.as_bytes()[..end]);
                }
            }
            for at in text
                .match_indices('T')
                .map(|(at, _)| at)
                .filter(|at| *at >= 10)
            {
                let date = text.as_bytes().get(at - 10..at).unwrap();
                let digits = date.iter().filter(|byte| byte.is_ascii_digit()).count();
                if digits == 8 && date[4] == b'-' && date[7] == b'-' {
                    needles.add("a date", date);
                }
            }
        }
        needles
    }
}

/// The fewest bytes that are looked for: shorter ones are in any noise by chance.
const SHORTEST: usize = 8;

/// What is looked for, by its first bytes.
#[derive(Clone, Default)]
struct Needles(HashMap<[u8; SHORTEST], BTreeMap<Vec<u8>, String>>);

impl Needles {
    fn add(&mut self, what: &str, bytes: &[u8]) {
        let start = *bytes.first_chunk().expect("a needle is long enough");
        let of_start = self.0.entry(start).or_default();
        of_start.insert(bytes.to_vec(), what.to_owned());
    }

    fn extend(&mut self, others: &Self) {
        for (start, needles) in &others.0 {
            let of_start = self.0.entry(*start).or_default();
            of_start.extend(needles.clone());
        }
    }

    fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Those that are in these files, with what they are.
    fn found<'a>(&self, files: impl IntoIterator<Item = &'a [u8]>) -> BTreeSet<(&[u8], &str)> {
        let mut worth = vec![false; 1 << 16];
        let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
        self.0.keys().for_each(|start| worth[pair(start)] = true);
        let mut found = BTreeSet::new();
        for bytes in files {
            for at in 0..bytes.len().saturating_sub(SHORTEST - 1) {
                let here = &bytes[at..];
                if !worth[pair(here)] {
                    continue;
                }
                let of_start = self.0.get(here.first_chunk::<SHORTEST>().unwrap());
                let there = of_start.into_iter().flatten();
                let there = there.filter(|(needle, _)| here.starts_with(needle));
                found.extend(there.map(|(needle, what)| (needle.as_slice(), what.as_str())));
            }
        }
        found
    }

    /// That all of them are in these files.
    #[track_caller]
    fn assert_all_in<'a>(&self, files: impl IntoIterator<Item = &'a [u8]>, state: &str) {
        let found = self.found(files);
        for needles in self.0.values() {
            for (needle, what) in needles {
                let there = found.contains(&(needle.as_slice(), what.as_str()));
                assert!(
                    there,
                    "{state}: {what} is to be found where it is: {needle:02x?}"
                );
            }
        }
    }
}

fn is_sealed(name: &str) -> bool {
    Units::of(name) != Units::Clear
}

fn zeros<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> usize {
    let runs = files
        .into_iter()
        .map(|bytes| bytes.windows(16).filter(|run| *run == [0; 16]).count());
    runs.sum()
}

/// The magic of a log in either order of its checksums' bytes, and the version.
const MAGICS: [[u8; 8]; 2] = [
    [0x37, 0x7F, 0x06, 0x82, 0x00, 0x2D, 0xE2, 0x18],
    [0x37, 0x7F, 0x06, 0x83, 0x00, 0x2D, 0xE2, 0x18],
];

#[test]
fn no_state_of_a_vault_shows_more_than_lengths_and_two_runs_share_nothing() {
    let lives = [Lived::make(), Lived::make()];
    let mut known = [Needles::default(), Needles::default()];
    let (mut least, mut looked) = (f64::INFINITY, 0);
    for state in STATES {
        let belows = lives.each_ref().map(|life| life.below(state));
        for ((life, below), known) in lives.iter().zip(&belows).zip(&mut known) {
            let files = &life.states[state];
            let logs = files.keys().filter(|name| name.ends_with("-wal")).count();
            assert_eq!(logs, if state == "locked" { 0 } else { 3 }, "{state}");

            // The control: every needle is where the seals are off, those of records below both.
            let (numbers, texts) = (below.numbers(), below.texts());
            numbers.assert_all_in(below.files(), state);
            texts.assert_all_in([below.contents().as_slice()], state);
            assert!(
                numbers.len() > 500 && texts.len() > 200,
                "{} {}",
                numbers.len(),
                texts.len()
            );
            for log in &below.logs {
                assert!(MAGICS.iter().any(|magic| log.starts_with(magic)), "{state}");
            }
            assert!(zeros(below.files()) > 1000, "{state}");

            // The two layers do not lean on one another: without the outer one no text is seen.
            assert_eq!(texts.found(below.files()), BTreeSet::new(), "{state}");

            // What was known in an earlier state is not in a later one, be it erased or not.
            known.extend(&numbers);
            known.extend(&texts);
            MAGICS
                .iter()
                .for_each(|magic| known.add("the magic of a log", magic));
            let all = || files.values().map(Vec::as_slice);
            assert_eq!(known.found(all()), BTreeSet::new(), "{state}");
            let sealed = files.iter().filter(|(name, _)| is_sealed(name));
            assert_eq!(
                zeros(sealed.map(|(_, bytes)| bytes.as_slice())),
                0,
                "{state}"
            );

            for (name, bytes) in files.iter().filter(|(name, _)| is_sealed(name)) {
                let (mean, deviation) = chance(bytes.len());
                let found = entropy(bytes);
                assert!(
                    bytes.len() > 50_000,
                    "{state}: {name} is long enough to tell"
                );
                assert!(found >= 7.99, "{state}: {name}: {found}");
                assert!(
                    (found - mean).abs() < 7.0 * deviation,
                    "{state}: {name}: {found} {mean}"
                );
                least = least.min(found);
                looked += 1;
            }
            let uneven = below.files().filter(|bytes| entropy(bytes) < 7.99);
            assert_eq!(
                uneven.count(),
                below.files().count(),
                "{state}: the measure sees it"
            );
        }

        // Both runs together, beside themselves without their seals.
        let sealed = lives.iter().flat_map(|life| &life.states[state]);
        let sealed = sealed
            .filter(|(name, _)| is_sealed(name))
            .map(|(_, bytes)| bytes.as_slice());
        assert_eq!(repeated_blocks(sealed), 0, "{state}");
        let alone: usize = belows
            .iter()
            .map(|below| repeated_blocks(below.files()))
            .sum();
        let together = repeated_blocks(belows.iter().flat_map(Below::files));
        assert!(alone > 10_000, "{state}: {alone}");
        assert!(
            together > alone + 1_000,
            "{state}: in two runs as well: {together} {alone}"
        );
    }
    tell(&format!(
        "{looked} sealed files in {} states of two vaults: {least:.4} bits in a byte at least; {} \
         needles, 0 found; 0 blocks repeat",
        STATES.len(),
        known[0].len() + known[1].len()
    ));

    // What was looked at is a vault that works.
    let words = words();
    let vault = Vault::open(lives[0].scratch.vault()).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    assert!(session.count(&vitalock::Query::new()).unwrap() > 200);
}
