//! Putting and reading: revisions, the client's identities, classes, bounds, expiry, batches.

use vitalock::{Batch, Class, ErrorKind, Outcome, Query, Record, RecordId, Session, Timestamp};

use crate::support::Scratch;
use crate::support::fixture::{make_quick_vault, step_up, unlock};

/// Runs a test with a lease on a fresh vault.
fn with_lease(keep_history: bool, test: impl FnOnce(&Session)) {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), keep_history);
    let session = unlock(&vault);
    test(&step_up(&session));
}

fn note(body: &str) -> Record {
    Record::new("Note", body)
}

fn kind_of<T>(outcome: vitalock::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn read(session: &Session, id: RecordId) -> Record {
    session.get(id).unwrap().expect("the record is there")
}

#[test]
fn every_field_comes_back_as_it_was_put() {
    with_lease(false, |lease| {
        let (start, end) = (Timestamp::from_micros(-5), Timestamp::from_micros(7));
        let late = Timestamp::from_micros(i64::MAX);
        for class in Class::ALL {
            let put = Record::new("Observation", b"\x00\xFF body".as_slice())
                .class(class)
                .subject("Patient/ä")
                .effective_during(start, end)
                .content_type("application/fhir+json")
                .device("a watch")
                .app("an app")
                .client(&format!("client in {class:?}"), 7)
                .expires(late);
            let before = Timestamp::now();
            let stored = lease.put(put).unwrap();
            let record = read(lease, stored.id);
            assert_eq!((record.id(), record.revision()), (Some(stored.id), Some(1)));
            assert_eq!(
                (record.kind(), record.protection_class()),
                ("Observation", class)
            );
            assert_eq!(record.subject_name(), Some("Patient/ä"));
            assert_eq!(record.effective_time(), Some((start, end)));
            assert_eq!(record.body_type(), "application/fhir+json");
            assert_eq!(record.source_device(), Some("a watch"));
            assert_eq!(record.source_app(), Some("an app"));
            let client = format!("client in {class:?}");
            assert_eq!(record.client_identity(), Some((client.as_str(), 7)));
            assert_eq!(record.expiry(), Some(late));
            assert_eq!(record.body(), b"\x00\xFF body");
            assert_eq!(record.created(), record.updated());
            assert!(record.created().unwrap() >= before);
        }
        let bare = read(lease, lease.put(Record::new("Note", "")).unwrap().id);
        assert_eq!((bare.subject_name(), bare.effective_time()), (None, None));
        assert_eq!((bare.source_device(), bare.source_app()), (None, None));
        assert_eq!((bare.client_identity(), bare.expiry()), (None, None));
        assert_eq!(
            (bare.body(), bare.body_type()),
            (&b""[..], "application/octet-stream")
        );
    });
}

#[test]
fn several_records_come_in_the_order_asked_for() {
    with_lease(false, |lease| {
        let mut ids = Vec::new();
        for class in Class::ALL {
            ids.push(
                lease
                    .put(note(&format!("{class:?}")).class(class))
                    .unwrap()
                    .id,
            );
        }
        let nobody = RecordId::from_bytes([3; 16]);
        let asked = [ids[2], nobody, ids[0], ids[1], ids[2]];
        let found = lease.get_many(&asked).unwrap();
        let ids: Vec<_> = found
            .iter()
            .map(|found| found.as_ref().and_then(Record::id))
            .collect();
        let expected = asked.map(|id| (id != nobody).then_some(id));
        assert_eq!(ids, expected);
        assert!(lease.get_many(&[]).unwrap().is_empty());
    });
}

#[test]
fn a_record_that_was_read_is_put_as_its_next_revision_or_nobodys() {
    with_lease(false, |lease| {
        let id = lease.put(note("one")).unwrap().id;
        let (mine, theirs) = (read(lease, id), read(lease, id));
        let created = mine.created();
        let stored = lease.put(mine.with_body("two")).unwrap();
        assert_eq!(
            (stored.id, stored.revision, stored.outcome),
            (id, 2, Outcome::Updated)
        );
        assert_eq!(
            kind_of(lease.put(theirs.with_body("mine"))),
            Some(ErrorKind::Conflict)
        );
        let record = read(lease, id);
        assert_eq!((record.body(), record.revision()), (&b"two"[..], Some(2)));
        assert_eq!(record.created(), created);
        assert!(record.updated() > created);
        let gone = read(lease, id);
        lease.erase(id).unwrap();
        assert_eq!(kind_of(lease.put(gone)), Some(ErrorKind::NotFound));
        assert!(lease.get(id).unwrap().is_none());
    });
}

#[test]
fn the_same_client_version_is_put_once() {
    with_lease(false, |lease| {
        let put = |version: u64, body: &str| lease.put(note(body).client("c", version));
        let first = put(5, "five").unwrap();
        assert_eq!((first.revision, first.outcome), (1, Outcome::Created));
        for (version, body) in [(5, "five"), (4, "four"), (0, "")] {
            let again = put(version, body).unwrap();
            assert_eq!(again.outcome, Outcome::Unchanged, "version {version}");
            assert_eq!((again.id, again.revision), (first.id, 1));
        }
        assert_eq!(kind_of(put(5, "other")), Some(ErrorKind::Conflict));
        let newer = put(6, "six").unwrap();
        assert_eq!(
            (newer.id, newer.revision, newer.outcome),
            (first.id, 2, Outcome::Updated)
        );
        assert_eq!(read(lease, first.id).body(), b"six");
        assert_eq!(lease.count(&Query::new()).unwrap(), 1);
    });
}

#[test]
fn every_field_counts_as_content_of_a_client_version() {
    with_lease(false, |lease| {
        let base = || {
            note("body")
                .client("c", 1)
                .subject("s")
                .effective(Timestamp::from_micros(1))
                .device("d")
                .app("a")
                .expires(Timestamp::from_micros(i64::MAX))
        };
        lease.put(base()).unwrap();
        let later = Timestamp::from_micros(2);
        let others = [
            base().with_body("another"),
            base().subject("t"),
            base().effective(later),
            base().effective_during(Timestamp::from_micros(1), later),
            base().content_type("text/plain"),
            base().device("e"),
            base().app("b"),
            base().expires(Timestamp::from_micros(i64::MAX - 1)),
            base().class(Class::Emergency),
            Record::new("Memo", "body")
                .client("c", 1)
                .subject("s")
                .effective(Timestamp::from_micros(1))
                .device("d")
                .app("a")
                .expires(Timestamp::from_micros(i64::MAX)),
        ];
        for (at, other) in others.into_iter().enumerate() {
            assert_eq!(kind_of(lease.put(other)), Some(ErrorKind::Conflict), "{at}");
        }
        assert_eq!(lease.put(base()).unwrap().outcome, Outcome::Unchanged);
    });
}

#[test]
fn a_client_identity_is_one_record_across_classes_and_within_a_batch() {
    with_lease(true, |lease| {
        let mut batch = Batch::new();
        batch.put(note("one").client("c", 1));
        batch.put(note("one").client("c", 1));
        batch.put(note("two").client("c", 2).class(Class::Emergency));
        batch.put(note("zero").client("c", 0));
        batch.put(note("three").client("c", 3).class(Class::Priority));
        let stored = lease.commit(&batch).unwrap();
        let outcomes: Vec<_> = stored.iter().map(|stored| stored.outcome).collect();
        let (created, updated, unchanged) =
            (Outcome::Created, Outcome::Updated, Outcome::Unchanged);
        assert_eq!(outcomes, [created, unchanged, updated, unchanged, updated]);
        assert!(stored.iter().all(|each| each.id == stored[0].id));
        let record = read(lease, stored[0].id);
        assert_eq!((record.body(), record.revision()), (&b"three"[..], Some(3)));
        assert_eq!(record.protection_class(), Class::Priority);
        assert_eq!(lease.count(&Query::new()).unwrap(), 1);
        let history = lease.history(stored[0].id).unwrap();
        let bodies: Vec<_> = history.iter().map(|each| each.body().to_vec()).collect();
        assert_eq!(bodies, [b"one".to_vec(), b"two".to_vec()]);
    });
}

/// While Priority is closed nobody can know that it has a record of this identity.
#[test]
fn an_identity_that_two_records_came_to_have_is_a_conflict_until_one_is_erased() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let hidden = {
        let lease = step_up(&session);
        lease
            .put(note("hidden").client("c", 1).class(Class::Priority))
            .unwrap()
            .id
    };
    let open = session.put(note("open").client("c", 2)).unwrap().id;
    assert_ne!(hidden, open);
    let lease = step_up(&session);
    assert_eq!(
        kind_of(lease.put(note("new").client("c", 3))),
        Some(ErrorKind::Conflict)
    );
    let moving = read(&lease, hidden).class(Class::Standard);
    assert_eq!(kind_of(lease.put(moving)), Some(ErrorKind::Conflict));
    assert_eq!(
        (read(&lease, hidden).body(), read(&lease, open).body()),
        (&b"hidden"[..], &b"open"[..])
    );
    lease.erase(hidden).unwrap();
    assert_eq!(lease.put(note("new").client("c", 3)).unwrap().id, open);
}

#[test]
fn bounds_are_checked_before_anything_is_written() {
    with_lease(false, |lease| {
        let ok = |record: Record| {
            let stored = lease.put(record).unwrap();
            assert!(lease.erase(stored.id).unwrap());
        };
        let text = "x".repeat(Record::MAX_TEXT);
        let long = "x".repeat(Record::MAX_TEXT + 1);
        ok(Record::new("Note", vec![5; Record::MAX_BODY]));
        ok(Record::new(&text, "").subject(&text).content_type(&text));
        ok(note("")
            .device(&text)
            .app(&text)
            .client(&text, i64::MAX as u64));
        let at = Timestamp::from_micros;
        ok(note("").effective_during(at(i64::MIN + 1), at(i64::MAX)));
        let refused = [
            Record::new("Note", vec![5; Record::MAX_BODY + 1]),
            Record::new("", ""),
            Record::new(&long, ""),
            Record::new("a\nb", ""),
            note("").subject(""),
            note("").subject(&long),
            note("").subject("a\0"),
            note("").content_type(""),
            note("").content_type(&long),
            note("").device(""),
            note("").device(&long),
            note("").app("\u{7F}"),
            note("").app(&long),
            note("").client("", 1),
            note("").client(&long, 1),
            note("").client("c", i64::MAX as u64 + 1),
            note("").effective_during(at(2), at(1)),
            note("").effective(at(i64::MIN)),
        ];
        for (number, record) in refused.into_iter().enumerate() {
            let mut batch = Batch::new();
            batch.put(note("a good one")).put(record);
            let outcome = lease.commit(&batch);
            assert_eq!(kind_of(outcome), Some(ErrorKind::InvalidRecord), "{number}");
        }
        assert_eq!(lease.count(&Query::new()).unwrap(), 0);
    });
}

#[test]
fn a_batch_that_cannot_be_made_whole_changes_nothing_in_any_class() {
    with_lease(true, |lease| {
        let id = lease.put(note("kept").subject("Patient/1")).unwrap().id;
        let stale = read(lease, id);
        lease.put(read(lease, id).with_body("newer")).unwrap();
        let mut batch = Batch::new();
        for class in Class::ALL {
            batch.put(
                Record::new(&format!("New{class:?}"), "x")
                    .class(class)
                    .subject("Patient/9"),
            );
        }
        batch.erase(id).put(stale);
        assert_eq!(kind_of(lease.commit(&batch)), Some(ErrorKind::NotFound));
        assert_eq!(lease.count(&Query::new()).unwrap(), 1);
        assert_eq!(read(lease, id).body(), b"newer");
        // The names that the batch made are not taken for made.
        for class in Class::ALL {
            let kind = format!("New{class:?}");
            let stored = lease.put(Record::new(&kind, "y").class(class).subject("Patient/9"));
            let record = read(lease, stored.unwrap().id);
            assert_eq!(
                (record.kind(), record.subject_name()),
                (kind.as_str(), Some("Patient/9"))
            );
        }
        assert_eq!(lease.count(&Query::new().subject("Patient/9")).unwrap(), 3);
    });
}

#[test]
fn a_batch_erases_and_puts_in_its_order() {
    with_lease(false, |lease| {
        let old = lease.put(note("old").client("c", 9)).unwrap().id;
        let mut batch = Batch::new();
        batch.erase(old).put(note("new").client("c", 1));
        batch.erase(RecordId::from_bytes([9; 16]));
        assert_eq!((batch.len(), batch.is_empty()), (3, false));
        let stored = lease.commit(&batch).unwrap();
        assert_eq!((stored.len(), stored[0].outcome), (1, Outcome::Created));
        assert_ne!(stored[0].id, old);
        assert!(lease.get(old).unwrap().is_none());
        assert!(lease.commit(&Batch::new()).unwrap().is_empty());
    });
}

#[test]
fn updated_grows_with_every_put_and_after_reopening() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let mut last = None;
    for round in 0..3 {
        let session = unlock(&vault);
        let batch: Batch = (0..2000).map(|at| note(&format!("{round} {at}"))).collect();
        let stored = session.commit(&batch).unwrap();
        for stored in stored {
            let updated = read(&session, stored.id).updated();
            assert!(updated > last);
            last = updated;
        }
        let by_update = session.query(&Query::new().first_updated_first());
        let order: Vec<_> = by_update.map(|record| record.unwrap().updated()).collect();
        assert!(order.is_sorted_by(|one, next| one < next));
    }
}

#[test]
fn history_is_kept_where_the_vault_was_made_to_and_nowhere_else() {
    for keep in [false, true] {
        with_lease(keep, |lease| {
            let id = lease.put(note("1").subject("Patient/1")).unwrap().id;
            for revision in 2..=4 {
                let next = read(lease, id).with_body(revision.to_string().as_str());
                lease
                    .put(next.subject(&format!("Patient/{revision}")))
                    .unwrap();
            }
            let history = lease.history(id).unwrap();
            let seen: Vec<_> = history
                .iter()
                .map(|each| {
                    (
                        each.revision().unwrap(),
                        each.body(),
                        each.subject_name().unwrap(),
                    )
                })
                .collect();
            if keep {
                let expected: [(u64, &[u8], &str); 3] = [
                    (1, b"1", "Patient/1"),
                    (2, b"2", "Patient/2"),
                    (3, b"3", "Patient/3"),
                ];
                assert_eq!(seen, expected);
            } else {
                assert!(seen.is_empty());
            }
            assert!(
                lease
                    .history(RecordId::from_bytes([1; 16]))
                    .unwrap()
                    .is_empty()
            );
        });
    }
}

#[test]
fn a_record_moves_between_all_classes_with_its_history() {
    for keep in [false, true] {
        with_lease(keep, |lease| {
            let id = lease.put(note("0").subject("Patient/1")).unwrap().id;
            let created = read(lease, id).created();
            let (e, s, p) = (Class::Emergency, Class::Standard, Class::Priority);
            for (at, class) in [e, s, p, s, e, p, e].into_iter().enumerate() {
                let body = (at + 1).to_string();
                let moved = read(lease, id).class(class).with_body(body.as_str());
                let stored = lease.put(moved).unwrap();
                assert_eq!((stored.id, stored.revision), (id, at as u64 + 2));
                for other in Class::ALL {
                    let there = lease.count(&Query::new().class(other)).unwrap();
                    assert_eq!(there, u64::from(other == class));
                }
                let record = read(lease, id);
                assert_eq!(
                    (record.protection_class(), record.body()),
                    (class, body.as_bytes())
                );
                assert_eq!(record.created(), created);
                let history = lease.history(id).unwrap();
                let bodies: Vec<_> = history.iter().map(|each| each.body().to_vec()).collect();
                let all: Vec<_> = (0..=at).map(|each| each.to_string().into_bytes()).collect();
                assert_eq!(bodies, if keep { all } else { vec![] });
            }
        });
    }
}

#[test]
fn what_expires_is_not_found_from_that_moment_on() {
    with_lease(true, |lease| {
        let soon = Timestamp::from_micros(Timestamp::now().to_micros() + 300_000);
        let id = lease.put(note("first")).unwrap().id;
        lease.put(read(lease, id).expires(soon)).unwrap();
        lease.put(note("stays")).unwrap();
        let mut reading = lease.query(&Query::new().first_updated_first());
        let mine = read(lease, id);
        assert_eq!(lease.count(&Query::new()).unwrap(), 2);
        let first = reading.next().unwrap().unwrap();
        assert_eq!(first.body(), b"first");
        let mut backwards = lease.query(&Query::new().last_updated_first());
        assert_eq!(backwards.next().unwrap().unwrap().body(), b"stays");
        while Timestamp::now() < soon {
            std::thread::yield_now();
        }
        assert!(
            backwards.next().is_none(),
            "it expired after its page was fetched"
        );
        assert!(lease.get(id).unwrap().is_none());
        assert!(lease.get_many(&[id]).unwrap()[0].is_none());
        assert!(lease.history(id).unwrap().is_empty());
        assert_eq!(lease.count(&Query::new()).unwrap(), 1);
        assert_eq!(kind_of(lease.put(mine)), Some(ErrorKind::NotFound));
        assert_eq!(lease.erase_expired().unwrap(), 1);
    });
}

/// One intent holds 32 MiB and one value of SQLite 64: the parts of this batch are larger.
#[test]
fn a_batch_over_several_classes_may_be_larger_than_one_value_of_sqlite() {
    with_lease(false, |lease| {
        let mut batch = Batch::new();
        batch.put(note("small").class(Class::Emergency));
        for at in 0..5 {
            batch.put(Record::new("Scan", vec![at; Record::MAX_BODY]));
        }
        let stored = lease.commit(&batch).unwrap();
        for (at, stored) in stored.iter().skip(1).enumerate() {
            let record = read(lease, stored.id);
            assert_eq!(record.body().len(), Record::MAX_BODY);
            assert_eq!(usize::from(record.body()[0]), at);
        }
        assert_eq!(lease.count(&Query::new()).unwrap(), 6);
    });
}
