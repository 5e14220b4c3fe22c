//! How much a vault leaves on the device: records that expire whether they say so or not, and what
//! takes the room.

use std::time::Duration;

use vitalock::{
    AuditAction, AuditQuery, Class, Credentials, ErrorKind, Footprint, Options, Outcome, Query,
    Record, Timestamp, Vault,
};

use crate::support::fixture::unsealed;
use crate::support::fixture::{copy, make_quick_vault, make_quick_vault_with, step_up, unlock};
use crate::support::{Scratch, options, words};

const DAY: Duration = Duration::from_secs(86_400);

fn cache(time_to_live: Duration) -> Options {
    options().footprint(Footprint::Cache { time_to_live })
}

fn after(at: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_micros(at.to_micros() + i64::try_from(time.as_micros()).unwrap())
}

#[test]
fn a_footprint_has_bounds_and_is_in_the_header() {
    let words = words();
    for (time, expected) in [
        (Duration::from_secs(59), Some(ErrorKind::InvalidPolicy)),
        (
            Duration::from_millis(60_500),
            Some(ErrorKind::InvalidPolicy),
        ),
        (
            Footprint::MOST + Duration::from_secs(1),
            Some(ErrorKind::InvalidPolicy),
        ),
        (Duration::ZERO, Some(ErrorKind::InvalidPolicy)),
        (Footprint::LEAST, None),
        (Footprint::MOST, None),
    ] {
        let scratch = Scratch::new();
        let setup = Vault::create(
            scratch.vault(),
            cache(time),
            Credentials::passphrase(&words),
        );
        let made = setup.and_then(|setup| setup.dangerous_without_recovery());
        let kind = made.as_ref().err().map(|error| error.kind());
        assert_eq!(kind, expected, "{time:?}");
        let Ok(vault) = made else { continue };
        drop(vault);
        let vault = Vault::open(scratch.vault()).unwrap();
        assert_eq!(vault.footprint(), Footprint::Cache { time_to_live: time });
    }
    let scratch = Scratch::new();
    assert_eq!(
        make_quick_vault(&scratch.vault(), false).footprint(),
        Footprint::Full
    );
}

#[test]
fn in_a_cache_every_record_expires_and_none_later_than_it_may() {
    let scratch = Scratch::new();
    let vault = make_quick_vault_with(&scratch.vault(), cache(DAY).keep_history(true));
    let session = unlock(&vault);
    let lease = step_up(&session);
    let before = Timestamp::now();
    let soon = after(before, Duration::from_secs(3600));
    let late = after(before, 30 * DAY);
    for class in Class::ALL {
        let record = || Record::new("Note", "body").class(class);
        let expiry = |record: Record| {
            let id = lease.put(record).unwrap().id;
            lease.get(id).unwrap().unwrap().expiry().unwrap()
        };
        assert_eq!(expiry(record().expires(soon)), soon, "its own word counts");
        for limited in [expiry(record()), expiry(record().expires(late))] {
            assert!(after(before, DAY) <= limited && limited <= after(Timestamp::now(), DAY));
        }
    }
    // The same version again is the same record, and the next one lives as long again.
    let client = |version, body: &str| Record::new("Note", body).client("c", version);
    let first = lease.put(client(1, "one")).unwrap();
    let again = lease.put(client(1, "one")).unwrap();
    assert_eq!((again.id, again.outcome), (first.id, Outcome::Unchanged));
    let expiry = |id| lease.get(id).unwrap().unwrap().expiry().unwrap();
    let of_first = expiry(first.id);
    lease.put(client(2, "two")).unwrap();
    assert!(expiry(first.id) > of_first);
    // What moves, and what is deposited, too.
    let moved = lease.get(first.id).unwrap().unwrap().class(Class::Priority);
    lease.put(moved).unwrap();
    assert!(expiry(first.id) <= after(Timestamp::now(), DAY));
    let deposited = session
        .deposit(&Record::new("Note", "x").class(Class::Priority))
        .unwrap();
    lease.take_in_deposits().unwrap();
    assert!(expiry(deposited) <= after(Timestamp::now(), DAY));
    assert_eq!(lease.verify().unwrap().faults, []);
}

/// How many rows a class's database has, whatever anybody may see.
fn rows(scratch: &Scratch, class: Class) -> i64 {
    let there = scratch.path().join("copy");
    let _ = std::fs::remove_dir_all(&there);
    copy(&scratch.vault(), &there);
    let database = unsealed(&there, class);
    database
        .query_row("SELECT count(*) FROM records", [], |row| row.get(0))
        .unwrap()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "records expire by the system's clock"
)]
fn in_a_cache_what_has_expired_is_erased_at_unlock_at_step_up_and_meanwhile() {
    for (options, erases) in [(cache(DAY), true), (options(), false)] {
        let scratch = Scratch::new();
        let vault = make_quick_vault_with(&scratch.vault(), options);
        let soon = || after(Timestamp::now(), Duration::from_secs(1));
        let put_all = |kept: bool| {
            let session = unlock(&vault);
            let lease = step_up(&session);
            for class in Class::ALL {
                lease
                    .put(
                        Record::new("Note", "gone soon")
                            .class(class)
                            .expires(soon()),
                    )
                    .unwrap();
                if kept {
                    lease.put(Record::new("Note", "kept").class(class)).unwrap();
                }
            }
            drop(lease);
            session.lock();
        };
        put_all(true);
        std::thread::sleep(Duration::from_millis(1100));
        let all = |scratch: &Scratch| Class::ALL.map(|class| rows(scratch, class));
        assert_eq!(
            all(&scratch),
            [2, 2, 2],
            "expired, and still there: the control"
        );
        // The emergency and everyday classes at unlock, Priority when it is opened.
        let session = unlock(&vault);
        assert_eq!(all(&scratch), if erases { [1, 1, 2] } else { [2, 2, 2] });
        drop(step_up(&session));
        assert_eq!(all(&scratch), if erases { [1, 1, 1] } else { [2, 2, 2] });
        let query = AuditQuery::new().action(AuditAction::ExpiredErased);
        let told = session
            .audit_trail(&query)
            .map(|entry| entry.unwrap().count());
        let told: Vec<_> = told.collect();
        assert_eq!(told, if erases { vec![Some(1); 2] } else { vec![] });
        // While it runs, and nobody calls.
        session
            .put(Record::new("Note", "gone soon").expires(soon()))
            .unwrap();
        let before = rows(&scratch, Class::Standard);
        if erases {
            for _ in 0..300 {
                if rows(&scratch, Class::Standard) < before {
                    break;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            assert_eq!(rows(&scratch, Class::Standard), before - 1);
        } else {
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(rows(&scratch, Class::Standard), before);
        }
        assert_eq!(session.verify().unwrap().faults, []);
        session.lock();
    }
}

#[test]
fn what_takes_the_room_is_told_by_class_kind_and_file_and_nothing_of_priority() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    assert!(session.usage().unwrap().kinds.is_empty());
    let lease = step_up(&session);
    let put = |kind: &str, class, size: usize| {
        let record = Record::new(kind, vec![7; size]).class(class);
        lease.put(record).unwrap().id
    };
    put("Small", Class::Standard, 10);
    put("Small", Class::Standard, 20);
    let large = put("Large", Class::Standard, 100_000);
    put("Small", Class::Emergency, 30);
    put("Secret", Class::Priority, 5000);
    let again = lease.get(large).unwrap().unwrap();
    lease.put(again.with_body(vec![8; 50_000])).unwrap();
    let told = |usage: &vitalock::Usage| {
        let kinds = usage.kinds.iter().map(|size| {
            (
                size.kind().to_owned(),
                size.class(),
                size.records(),
                size.revisions(),
            )
        });
        kinds.collect::<Vec<_>>()
    };
    let usage = session.usage().unwrap();
    assert_eq!(
        told(&usage),
        [
            ("Large".to_owned(), Class::Standard, 1, 1),
            ("Small".to_owned(), Class::Standard, 2, 0),
            ("Small".to_owned(), Class::Emergency, 1, 0),
        ]
    );
    assert!(
        (150_000..151_000).contains(&usage.kinds[0].bytes()),
        "{usage:?}"
    );
    assert_eq!(usage.size, vault.size().unwrap());
    let names = |usage: &vitalock::Usage| {
        let names = usage.files.iter().map(|file| file.name.clone());
        names.collect::<Vec<_>>()
    };
    let open = ["emergency.db", "emergency.db-wal"].into_iter().chain([
        "header",
        "header.2",
        "reserve",
        "standard.db",
        "standard.db-wal",
    ]);
    let open: Vec<_> = ["attempts"].into_iter().chain(open).collect();
    assert_eq!(names(&usage), open);
    let usage = lease.usage().unwrap();
    assert_eq!(names(&usage).len(), open.len() + 2);
    for file in &usage.files {
        let there = std::fs::metadata(scratch.vault().join(&file.name)).unwrap();
        assert_eq!(file.bytes, there.len(), "{}", file.name);
    }
    let sum: u64 = usage.files.iter().map(|file| file.bytes).sum();
    assert_eq!(sum, usage.size.total());
    let usage = session.usage().unwrap();
    assert!(
        !format!("{usage:?}").contains("Large"),
        "kinds are not for logs"
    );
    let all = told(&lease.usage().unwrap());
    assert!(all.contains(&("Secret".to_owned(), Class::Priority, 1, 0)));
    assert_eq!(all.len(), 4);
    // Asking is told as counting is.
    drop(lease);
    session.lock();
    drop(session);
    let session = unlock(&vault);
    let read = AuditQuery::new()
        .action(AuditAction::Read)
        .class(Class::Standard);
    let queries = session
        .audit_trail(&read)
        .filter_map(|entry| entry.unwrap().queries());
    assert!(queries.sum::<u32>() >= 3);
    assert_eq!(session.count(&Query::new()).unwrap(), 4);
}
