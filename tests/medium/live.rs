//! Files changed under an open session. Another process does it: a descriptor that this one opened
//! and closed would take SQLite's locks away.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use vitalock::{Batch, Class, ErrorKind, Query, Record, Session, Vault};

use crate::answers::{All, Verdict, compare};
use crate::populated::{Place, Populated, files_of_open, overwrite, populated};
use crate::support::Scratch;
use crate::support::fixture::{DATABASES, make_quick_vault, unlock};
use crate::support::spec::pages::{FRAME, LOG_HEADER, TAIL};
use crate::trees::PAGE;

const HEADER: usize = LOG_HEADER + TAIL;

fn flipped(bytes: &[u8], from: usize, unit: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for unit in changed[from..].chunks_mut(unit) {
        unit[unit.len() / 3] ^= 0x20;
    }
    changed
}

fn verdicts(made: &Populated, all: &All) -> [Verdict; 3] {
    std::array::from_fn(|at| compare(&all[at], &made.answers[at]))
}

fn tampering() -> Verdict {
    Verdict::Refused(vec![ErrorKind::TamperDetected])
}

#[test]
fn a_database_changed_under_a_session_is_refused_where_it_is_read_from_the_medium() {
    let made = populated();
    for (at, name) in DATABASES.iter().enumerate() {
        let bytes = &made.closed[*name];
        for (what, changed) in [
            ("a bit of each page", flipped(bytes, 0, PAGE)),
            ("zeros", vec![0; bytes.len()]),
            (
                "half of it",
                bytes[..bytes.len() / 2 / PAGE * PAGE].to_vec(),
            ),
            ("nothing", Vec::new()),
            (
                "all of another class",
                made.closed[DATABASES[(at + 1) % 3]].clone(),
            ),
        ] {
            let place = Place::new(&made.closed);
            let path = place.dir().join(name);
            let vault = Vault::open(place.dir()).unwrap();
            let session = unlock(&vault);
            overwrite(&path, &changed);
            let all = made.questions.ask_session(&session);
            for (class, verdict) in verdicts(made, &all).into_iter().enumerate() {
                let what = format!("{what} in {name}, class {class}");
                // SQLite looks at the length of a file before it reads from it.
                let cut = changed.len() < bytes.len();
                let kind = if cut {
                    ErrorKind::DatabaseDamaged
                } else {
                    ErrorKind::TamperDetected
                };
                let known = [ErrorKind::TamperDetected, kind];
                match verdict {
                    Verdict::Refused(kinds) => {
                        assert!(
                            kinds.iter().all(|kind| known.contains(kind)),
                            "{what}: {kinds:?}"
                        );
                    }
                    Verdict::Right => assert_ne!(class, at, "{what}"),
                    Verdict::Wrong(why) => panic!("{what}: {why}"),
                }
            }
            // The same session goes on with what was there, once it is there again.
            overwrite(&path, bytes);
            assert!(
                made.questions.ask_session(&session) == made.answers,
                "{what} in {name}"
            );
            drop((session, vault));
            let verdict = made.verdict(&place, name);
            assert_eq!(verdict, Verdict::Right, "{what} in {name}");
        }
    }
}

#[test]
fn what_a_session_has_read_before_it_may_still_answer_and_the_next_session_refuses() {
    let made = populated();
    for name in DATABASES {
        let place = Place::new(&made.closed);
        let vault = Vault::open(place.dir()).unwrap();
        let session = unlock(&vault);
        assert!(made.questions.ask_session(&session) == made.answers);
        let changed = flipped(&made.closed[name], 0, PAGE);
        overwrite(&place.dir().join(name), &changed);
        let all = made.questions.ask_session(&session);
        for verdict in verdicts(made, &all) {
            assert!(
                matches!(verdict, Verdict::Right | Verdict::Refused(_)),
                "{verdict:?}"
            );
        }
        drop((session, vault));
        let refused = made.verdict(&place, name);
        assert_eq!(refused, tampering());
    }
}

/// How many descriptors on the log of the Standard class this process has.
fn descriptors(dir: &Path) -> usize {
    let log = dir.join("standard.db-wal");
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| *link == log).count()
}

/// Makes the session open a connection that reads, which it does while another one writes.
fn make_a_reader(session: &Session, dir: &Path) {
    while descriptors(dir) < 2 {
        let batch: Batch = (0..100)
            .map(|_| Record::new("Filler", vec![1; 100]))
            .collect();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                session.commit(&batch).unwrap();
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                session.count(&Query::new().class(Class::Standard)).unwrap();
            }
        });
    }
}

#[test]
fn a_log_changed_under_a_session_is_refused_by_whoever_reads_from_it() {
    type Change = fn(&[u8], &[u8]) -> Vec<u8>;
    let changes: [(&str, Change); 7] = [
        ("a bit of each frame", |log, _| flipped(log, HEADER, FRAME)),
        ("each frame in the place of its neighbour", |log, _| {
            let (header, frames) = log.split_at(HEADER);
            [header, &frames[FRAME..], &frames[..FRAME]].concat()
        }),
        ("frames of an older log in their places", |log, older| {
            assert!(older.len() > log.len());
            [&log[..HEADER], &older[HEADER..log.len()]].concat()
        }),
        ("an older log", |_, older| older.to_vec()),
        ("zeros", |log, _| vec![0; log.len()]),
        ("the header only", |log, _| log[..HEADER].to_vec()),
        ("nothing", |_, _| Vec::new()),
    ];
    for (what, change) in changes {
        let scratch = Scratch::new();
        let dir = std::fs::canonicalize(scratch.path()).unwrap().join("vault");
        let vault = make_quick_vault(&dir, true);
        let session = unlock(&vault);
        for number in 0..60 {
            session
                .put(Record::new("Note", vec![number; 3000]))
                .unwrap();
        }
        let older = files_of_open(&scratch, &dir)["standard.db-wal"].clone();
        drop(session);
        let session = unlock(&vault);
        make_a_reader(&session, &dir);
        // What the reader has in its cache is out of date now.
        let id = session.put(Record::new("Note", vec![7; 3000])).unwrap().id;
        let log = files_of_open(&scratch, &dir)["standard.db-wal"].clone();
        let path = dir.join("standard.db-wal");
        overwrite(&path, &change(&log, &older));
        let refused = session.get(id).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TamperDetected, "{what}");
        overwrite(&path, &log);
        assert_eq!(
            session.get(id).unwrap().unwrap().body(),
            [7; 3000],
            "{what}"
        );
        let many = session.count(&Query::new()).unwrap();
        drop((session, vault));
        let vault = Vault::open(&dir).unwrap();
        assert_eq!(unlock(&vault).count(&Query::new()).unwrap(), many, "{what}");
    }
}
