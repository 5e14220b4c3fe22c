//! Many threads in one session, and what locking, stepping down and erasing do under them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use vitalock::{
    Batch, Class, Credentials, ErrorKind, Footprint, Query, Record, RecordId, Session, Vault,
};

use crate::support::fixture::{Twin, make_quick_vault, make_quick_vault_with, step_up, unlock};
use crate::support::{Scratch, options};

const THREADS: u64 = 16;

/// Runs a test that must come to an end.
fn watched(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let running = thread::spawn(move || {
        test();
        done.send(()).unwrap();
    });
    match wait.recv_timeout(Duration::from_secs(300)) {
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => running.join().unwrap(),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the threads wait for one another"),
    }
}

fn soak() -> bool {
    std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1")
}

fn is_locked<T>(outcome: &vitalock::Result<T>) -> bool {
    let error = outcome.as_ref().err();
    error.map(vitalock::Error::kind) == Some(ErrorKind::Locked)
}

/// An answer, unless the session is locked. Nothing else may happen.
#[track_caller]
fn unless_locked<T>(outcome: vitalock::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::Locked => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn after_lock_returns_every_call_of_every_thread_is_refused_and_nothing_acknowledged_is_lost() {
    lock_under_storm(Footprint::Full);
}

#[test]
fn nor_is_anything_lost_in_memory() {
    lock_under_storm(Footprint::MemoryOnly);
}

fn lock_under_storm(footprint: Footprint) {
    watched(move || {
        let scratch = Scratch::new();
        let vault = make_quick_vault_with(&scratch.vault(), options().footprint(footprint));
        let there = Mutex::new(BTreeSet::new());
        for round in 0..if soak() { 300 } else { 15 } {
            let session = unlock(&vault);
            let calls = AtomicU64::new(0);
            let locked = AtomicBool::new(false);
            thread::scope(|scope| {
                for number in 0..THREADS {
                    let session = session.clone();
                    let (there, calls, locked) = (&there, &calls, &locked);
                    scope
                        .spawn(move || storm(&session, round * 100 + number, there, calls, locked));
                }
                let enough = 40 + round * 37 % 400;
                while calls.load(Ordering::Relaxed) < enough {
                    thread::yield_now();
                }
                session.lock();
                locked.store(true, Ordering::SeqCst);
            });
            assert!(session.is_locked());
            // At once again, in the same handle.
            let session = unlock(&vault);
            let mut found = BTreeSet::new();
            for record in session.query(&Query::new().kind("Storm")) {
                let id = record.unwrap().id().unwrap();
                assert!(found.insert(id.to_bytes()), "there once");
            }
            assert!(
                found == *there.lock().unwrap(),
                "what was acknowledged, and nothing else"
            );
            session.lock();
        }
    });
}

/// Everything that a session can do, until it is locked.
fn storm(
    session: &Session,
    seed: u64,
    there: &Mutex<BTreeSet<[u8; 16]>>,
    calls: &AtomicU64,
    locked: &AtomicBool,
) {
    let mut own: Vec<RecordId> = Vec::new();
    let mut matches = session.query(&Query::new());
    // A cursor belongs to the query that it comes from: the first, of everything.
    let (mut cursor, mut of_everything) = (None, true);
    for step in seed.. {
        let late = locked.load(Ordering::SeqCst);
        let refused = match step % 7 {
            0 | 1 => {
                let class = [Class::Emergency, Class::Standard][usize::from(step % 2 == 0)];
                let record = Record::new("Storm", vec![1; usize::try_from(step % 5000).unwrap()]);
                let outcome = session.put(record.class(class).subject(&format!("P/{}", step % 5)));
                if let Ok(stored) = &outcome {
                    there.lock().unwrap().insert(stored.id.to_bytes());
                    own.push(stored.id);
                }
                unless_locked(outcome).is_none()
            }
            2 => own.last().is_some_and(|id| {
                let record = unless_locked(session.get(*id));
                assert!(!matches!(record, Some(None)), "its own record is there");
                record.is_none()
            }),
            3 => {
                let next = matches.next();
                if next.is_none() {
                    matches = session.query(&Query::new().subject("P/1"));
                    of_everything = false;
                }
                if next.is_some() && cursor.is_none() && of_everything {
                    cursor = matches.cursor().ok().flatten();
                }
                next.is_some_and(|record| unless_locked(record).is_none())
            }
            4 => unless_locked(session.count(&Query::new().kind("Storm"))).is_none(),
            5 if step % 3 == 0 => own.pop().is_some_and(|id| {
                let outcome = session.erase(id);
                if let Ok(erased) = &outcome {
                    assert!(*erased, "erased once");
                    there.lock().unwrap().remove(&id.to_bytes());
                }
                unless_locked(outcome).is_none()
            }),
            _ => {
                let query = Query::new();
                let again = cursor
                    .as_ref()
                    .map(|cursor| session.query_after(&query, cursor));
                again.is_some_and(|again| unless_locked(again).is_none())
            }
        };
        calls.fetch_add(1, Ordering::Relaxed);
        if late {
            // Locking had returned before any of these began.
            assert!(is_locked(&session.get(RecordId::from_bytes([1; 16]))));
            assert!(is_locked(&session.get_many(&[])));
            assert!(is_locked(&session.history(RecordId::from_bytes([1; 16]))));
            assert!(is_locked(&session.put(Record::new("Storm", "late"))));
            assert!(is_locked(&session.commit(&Batch::new())));
            assert!(is_locked(&session.erase(RecordId::from_bytes([1; 16]))));
            assert!(is_locked(&session.erase_expired()));
            assert!(is_locked(&session.erase_subject("P/1")));
            assert!(is_locked(&session.count(&Query::new())));
            assert!(is_locked(&session.step_up(&Credentials::share(&Twin))));
            assert!(
                session
                    .query(&Query::new())
                    .next()
                    .is_some_and(|next| is_locked(&next))
            );
            assert!(matches.next().is_none_or(|next| is_locked(&next)));
            assert!(matches.next().is_none());
            return;
        }
        if refused {
            assert!(session.is_locked());
        }
    }
}

#[test]
fn a_lease_that_ends_takes_priority_from_under_every_clone() {
    watched(|| {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), true);
        let session = unlock(&vault);
        let mut known = Vec::new();
        for round in 0..if soak() { 100 } else { 10_u64 } {
            let lease = step_up(&session);
            let note = || Record::new("Note", "for few eyes").class(Class::Priority);
            known.push(lease.put(note()).unwrap().id);
            let (calls, over) = (AtomicU64::new(0), AtomicBool::new(false));
            let added = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for number in 0..THREADS {
                    let clone = (*lease).clone();
                    let (calls, over, known, added) = (&calls, &over, &known, &added);
                    scope.spawn(move || {
                        let mut matches = clone.query(&Query::new().class(Class::Priority));
                        loop {
                            let late = over.load(Ordering::SeqCst);
                            let outcome = match calls.fetch_add(1, Ordering::Relaxed) % 4 {
                                0 => clone.put(note()).map(|stored| {
                                    added.lock().unwrap().push(stored.id);
                                }),
                                1 => clone
                                    .get(known[0])
                                    .map(|found| assert!(!late && found.is_some())),
                                2 => clone
                                    .history(known[0])
                                    .map(|found| assert!(found.is_empty())),
                                _ => matches.next().map_or(Ok(()), |next| next.map(drop)),
                            };
                            if let Err(error) = outcome {
                                assert_eq!(error.kind(), ErrorKind::LeaseExpired, "{number}");
                            }
                            if late {
                                let refused = [
                                    clone.put(note()).err(),
                                    clone.get(known[0]).err(),
                                    clone.count(&Query::new()).err(),
                                    clone.query(&Query::new()).next().unwrap().err(),
                                ];
                                for error in refused {
                                    let kind = error.map(|error| error.kind());
                                    assert_eq!(kind, Some(ErrorKind::LeaseExpired));
                                }
                                return;
                            }
                        }
                    });
                }
                while calls.load(Ordering::Relaxed) < 50 + round * 13 {
                    thread::yield_now();
                }
                drop(lease);
                over.store(true, Ordering::SeqCst);
            });
            known.extend(added.into_inner().unwrap());
            assert!(!session.is_locked(), "the session goes on");
            let lease = step_up(&session);
            let all = known.len() as u64;
            assert_eq!(
                lease.count(&Query::new().class(Class::Priority)).unwrap(),
                all
            );
        }
    });
}

#[test]
fn readers_do_not_wait_for_a_writer() {
    watched(|| {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), false);
        let session = unlock(&vault);
        let id = session.put(Record::new("Note", "there")).unwrap().id;
        // The first read of a kind waits, for the entry of the trail that says so.
        assert!(session.get(id).unwrap().is_some());
        let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let batch: Batch = (0..16_000)
            .map(|_| Record::new("Many", vec![7; 3000]))
            .collect();
        let during = thread::scope(|scope| {
            let writer = session.clone();
            let (begun, done, batch) = (&begun, &done, &batch);
            scope.spawn(move || {
                begun.store(true, Ordering::SeqCst);
                writer.commit(batch).unwrap();
                done.store(true, Ordering::SeqCst);
            });
            while !begun.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let mut during = 0;
            loop {
                assert_eq!(session.get(id).unwrap().unwrap().body(), b"there");
                // All of the batch, or nothing of it.
                let count = session.count(&Query::new().kind("Many")).unwrap();
                assert!(count == 0 || count == 16_000, "{count}");
                if done.load(Ordering::SeqCst) {
                    return during;
                }
                during += 1;
            }
        });
        assert!(
            during > 10,
            "{during} reads came back while the batch was being written"
        );
    });
}

#[test]
fn what_many_threads_put_is_there_once() {
    watched(|| {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), false);
        let session = unlock(&vault);
        let start = Barrier::new(usize::try_from(THREADS).unwrap());
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (session, start) = (session.clone(), &start);
                scope.spawn(move || {
                    start.wait();
                    for at in 0..20_u64 {
                        let own = format!("{number}/{at}");
                        let mut batch = Batch::new();
                        // Its own record, and one that every thread puts, in either class.
                        batch.put(
                            Record::new(&format!("Kind {}", at % 7), own.as_str()).client(&own, 1),
                        );
                        let shared = Record::new("Shared", format!("shared {at}").as_str());
                        batch.put(shared.client(&format!("shared {at}"), 1).subject(&own));
                        let outcome = session.commit(&batch);
                        if let Err(error) = outcome {
                            // Another thread put it first, about somebody else.
                            assert_eq!(error.kind(), ErrorKind::Conflict);
                            let mut alone = Batch::new();
                            let kind = format!("Kind {}", at % 7);
                            alone.put(Record::new(&kind, own.as_str()).client(&own, 1));
                            session.commit(&alone).unwrap();
                        }
                    }
                });
            }
        });
        session.lock();
        let session = unlock(&vault);
        let mut clients = BTreeSet::new();
        for record in session.query(&Query::new()) {
            let record = record.unwrap();
            let (client, _) = record.client_identity().unwrap();
            if record.kind() != "Shared" {
                assert_eq!(record.body(), client.as_bytes());
            }
            assert!(clients.insert(client.to_owned()), "{client} is there once");
        }
        assert_eq!(clients.len() as u64, THREADS * 20 + 20);
    });
}

#[test]
fn a_record_that_moves_is_seen_in_one_class_at_every_moment() {
    watched(|| {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), true);
        let session = unlock(&vault);
        let id = session.put(Record::new("Note", "it moves")).unwrap().id;
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                let (session, done) = (session.clone(), &done);
                scope.spawn(move || {
                    while !done.load(Ordering::SeqCst) {
                        let record = session.get(id).unwrap().expect("it is somewhere");
                        let revision = record.revision().unwrap();
                        assert_eq!(session.count(&Query::new()).unwrap(), 1);
                        let earlier = session.history(id).unwrap().len() as u64;
                        assert!(earlier + 1 >= revision, "its history moves with it");
                    }
                });
            }
            for step in 0..if soak() { 2000 } else { 60 } {
                let class = [Class::Emergency, Class::Standard][step % 2];
                let record = session.get(id).unwrap().unwrap();
                session.put(record.class(class)).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
    });
}

#[test]
fn erasing_a_person_under_readers_and_writers_is_never_taken_for_tampering() {
    watched(|| {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), true);
        let session = unlock(&vault);
        let lease = step_up(&session);
        let done = AtomicBool::new(false);
        let about = || Record::new("Note", vec![5; 700]).subject("Patient/1");
        thread::scope(|scope| {
            for number in 0..4_usize {
                let (clone, done) = ((*lease).clone(), &done);
                scope.spawn(move || {
                    while !done.load(Ordering::SeqCst) {
                        for record in clone.query(&Query::new().subject("Patient/1")) {
                            assert_eq!(record.unwrap().subject_name(), Some("Patient/1"));
                        }
                        let class = Class::ALL[number % 3];
                        let id = clone.put(about().class(class)).unwrap().id;
                        let _erased_meanwhile = clone.get(id).unwrap();
                        let _erased_meanwhile = clone.history(id).unwrap();
                    }
                });
            }
            for _ in 0..if soak() { 1000 } else { 40 } {
                lease.erase_subject("Patient/1").unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        // Whatever was put last is sealed under a key that is there.
        let before = lease.count(&Query::new()).unwrap();
        drop(lease);
        session.lock();
        let session = unlock(&vault);
        let lease = step_up(&session);
        let read = lease
            .query(&Query::new())
            .map(|record| record.unwrap().body().len());
        assert_eq!(read.filter(|length| *length == 700).count() as u64, before);
    });
}

#[test]
fn one_session_at_a_time_whoever_asks_first() {
    watched(|| {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), false);
        for _ in 0..if soak() { 200 } else { 15 } {
            let start = Barrier::new(8);
            let opened: Vec<Session> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        let (vault, start): (&Vault, _) = (&vault, &start);
                        scope.spawn(move || {
                            start.wait();
                            match vault.unlock(&Credentials::share(&Twin)) {
                                Ok(session) => Some(session),
                                Err(error) => {
                                    assert_eq!(error.kind(), ErrorKind::SessionActive);
                                    None
                                }
                            }
                        })
                    })
                    .collect();
                let opened = threads.into_iter().map(|thread| thread.join().unwrap());
                opened.flatten().collect()
            });
            assert_eq!(opened.len(), 1);
            opened[0].put(Record::new("Note", "x")).unwrap();
            opened[0].lock();
        }
    });
}

/// Locking has begun and a batch is still being written: the next session waits for it.
#[test]
fn unlocking_right_after_locking_finds_what_was_being_written() {
    watched(|| {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), false);
        let mut expected = 0;
        for round in 0..if soak() { 100 } else { 12_u64 } {
            let session = unlock(&vault);
            let batch: Batch = (0..200)
                .map(|at| {
                    let class = [Class::Emergency, Class::Standard][at % 2];
                    Record::new("Note", vec![3; 500])
                        .class(class)
                        .subject(&format!("P/{round}"))
                })
                .collect();
            let begun = AtomicBool::new(false);
            thread::scope(|scope| {
                let (writer, begun) = (session.clone(), &begun);
                let writing = scope.spawn(move || {
                    begun.store(true, Ordering::SeqCst);
                    let outcome = writer.commit(&batch);
                    unless_locked(outcome).is_some()
                });
                while !begun.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                for _ in 0..round * 3000 {
                    std::hint::spin_loop();
                }
                let locker = session.clone();
                scope.spawn(move || locker.lock());
                while !session.is_locked() {
                    thread::yield_now();
                }
                let next = unlock(&vault);
                let found = next.count(&Query::new()).unwrap();
                next.put(Record::new("Note", "in the next session"))
                    .unwrap();
                expected += 1 + 200 * u64::from(writing.join().unwrap());
                assert_eq!(found + 1, expected);
                for record in next.query(&Query::new()) {
                    record.unwrap();
                }
                next.lock();
            });
        }
    });
}
