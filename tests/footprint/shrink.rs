//! Giving back what is not used: the files get smaller, and nothing else changes.

use std::fs;
use std::path::Path;

use vitalock::{Batch, Class, ErrorKind, Query, Record, RecordId, Vault};

use crate::loose::{Bodies, Loose, bodies, bodies_in, body};
use crate::support::Scratch;
use crate::support::data::tell;
use crate::support::fixture::{
    assert_whole_and_settled, copy, found_in_files, make_quick_vault, sealed_parts_of, step_up,
    unlock,
};

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
/// What the entries of a session in the audit trails may add to the databases.
const TRAIL: u64 = 4 * PAGE;

/// The bytes of the databases together, as the directory says.
fn databases(dir: &Path) -> u64 {
    let names = crate::support::fixture::DATABASES;
    let length = |name| fs::metadata(dir.join(name)).unwrap().len();
    names.into_iter().map(length).sum()
}

#[test]
fn what_shorter_records_left_is_given_back_and_the_files_are_smaller_by_it() {
    let loose = Loose::make();
    let scratch = loose.copy();
    let before = databases(&scratch.vault());
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    let unused = lease.unused_bytes().unwrap();
    // 36 records in each of three classes gave up four pages. The audit trails have taken some.
    assert!(unused + 3 * TRAIL >= 3 * 36 * 4 * PAGE, "{unused}");
    let given = lease.shrink(u64::MAX).unwrap();
    assert!(
        given >= unused,
        "maps of pages go as well: {given} {unused}"
    );
    assert_eq!(lease.unused_bytes().unwrap(), 0);
    assert_eq!(lease.shrink(u64::MAX).unwrap(), 0, "there is no more");
    let open = vault.size().unwrap();
    assert!(open.databases <= before - given + TRAIL, "already");
    assert_eq!(open.logs, 0);
    assert!(bodies(&lease) == loose.bodies);
    drop(lease);
    drop((session, vault));
    assert!(databases(&scratch.vault()) <= before - given + TRAIL);
    assert!(given > before / 2, "{given} of {before}");
    assert!(bodies_in(&scratch.vault()) == loose.bodies);
    assert_whole_and_settled(&scratch.vault());
    tell(&format!(
        "shrinking took {before} bytes of databases to {}",
        before - given
    ));
}

#[test]
fn what_waited_in_a_lower_class_is_given_back() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let records = Class::ALL.map(|class| Record::new("Note", body(1, 100_000)).class(class));
    lease.commit(&records.into_iter().collect()).unwrap();
    let held = bodies(&lease);
    // Emergency held the parts of the two other classes until they were done.
    let unused = lease.unused_bytes().unwrap();
    assert!(unused > 190_000, "{unused}");
    assert!(lease.shrink(u64::MAX).unwrap() >= unused);
    assert_eq!(lease.unused_bytes().unwrap(), 0);
    assert!(bodies(&lease) == held && held.len() == 3);
}

#[test]
fn shrinking_stops_at_what_was_asked_and_goes_on_where_it_stopped() {
    let loose = Loose::make();
    let scratch = loose.copy();
    let whole = loose.copy();
    let mut steps = 0;
    loop {
        // A new session for each step: what one has given back is given back.
        let vault = Vault::open(scratch.vault()).unwrap();
        let session = unlock(&vault);
        let lease = step_up(&session);
        let (before, unused) = (databases(&scratch.vault()), lease.unused_bytes().unwrap());
        let given = lease.shrink(200 * 1024).unwrap();
        assert!(given <= 200 * 1024 && given.is_multiple_of(PAGE));
        assert!(lease.unused_bytes().unwrap() + given <= unused + PAGE);
        assert!(bodies(&lease) == loose.bodies, "after step {steps}");
        // As a crash right here would leave it.
        let crashed = scratch.path().join(format!("crashed-{steps}"));
        copy(&scratch.vault(), &crashed);
        assert!(bodies_in(&crashed) == loose.bodies);
        assert_whole_and_settled(&crashed);
        drop((lease, session, vault));
        assert!(databases(&scratch.vault()) <= before - given + TRAIL);
        if given == 0 {
            break;
        }
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
    let vault = Vault::open(whole.vault()).unwrap();
    let session = unlock(&vault);
    step_up(&session).shrink(u64::MAX).unwrap();
    drop((session, vault));
    // Each session has left its entries in the audit trail.
    let entries = u64::try_from(steps).unwrap() * PAGE;
    let (by_steps, at_once) = (databases(&scratch.vault()), databases(&whole.vault()));
    assert!(
        by_steps.abs_diff(at_once) <= TRAIL + entries,
        "{by_steps} {at_once}"
    );
}

#[test]
fn a_session_shrinks_what_it_opened_and_a_lease_priority_as_well() {
    let loose = Loose::make();
    let scratch = loose.copy();
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let length = |at: usize| {
        let name = crate::support::fixture::DATABASES[at];
        fs::metadata(scratch.vault().join(name)).unwrap().len()
    };
    let before = [0, 1, 2].map(length);
    let unused = session.unused_bytes().unwrap();
    assert!(session.shrink(u64::MAX).unwrap() >= unused && unused > 0);
    assert!(length(0) < before[0] && length(1) < before[1]);
    assert_eq!(length(2), before[2]);
    let lease = step_up(&session);
    assert_eq!(
        session.unused_bytes().unwrap(),
        0,
        "a session does not see Priority"
    );
    let unused = lease.unused_bytes().unwrap();
    assert!(unused > 0);
    assert!(lease.shrink(u64::MAX).unwrap() >= unused);
    assert!(length(2) < before[2]);
}

#[test]
fn a_locked_session_does_not_shrink() {
    let loose = Loose::make();
    let scratch = loose.copy();
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    session.lock();
    let before = vault.size().unwrap();
    for refused in [session.shrink(u64::MAX), session.unused_bytes()] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Locked);
    }
    assert_eq!(vault.size().unwrap(), before);
}

#[test]
fn shrinking_beside_readers_and_writers_disturbs_nobody() {
    let loose = Loose::make();
    let scratch = loose.copy();
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    let mut matches = lease.query(&Query::new());
    let first = matches.next().unwrap().unwrap();
    assert!(lease.shrink(u64::MAX).unwrap() > 0, "with a query half-way");
    let mut found = Bodies::from([(first.id().unwrap(), first.body().to_vec())]);
    found.extend(matches.map(|record| {
        let record = record.unwrap();
        (record.id().unwrap(), record.body().to_vec())
    }));
    assert!(found == loose.bodies);

    std::thread::scope(|scope| {
        let shrinking = scope.spawn(|| {
            let mut given = 0;
            // There is something as long as others make it.
            while given < MIB {
                given += lease.shrink(64 * 1024).unwrap();
            }
        });
        while !shrinking.is_finished() {
            let long = lease.put(Record::new("Note", body(7, 90_000))).unwrap();
            let record = lease.get(long.id).unwrap().unwrap();
            lease.put(record.with_body("short")).unwrap();
            let found = bodies(&lease);
            assert!(
                loose
                    .bodies
                    .iter()
                    .all(|(id, body)| found.get(id) == Some(body))
            );
            lease.erase(long.id).unwrap();
        }
    });
    assert!(bodies(&lease) == loose.bodies);
}

#[test]
fn locking_ends_a_shrinking_that_is_under_way() {
    let loose = Loose::make();
    let scratch = loose.copy();
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let ended = std::thread::scope(|scope| {
        let shrinking = scope.spawn(|| {
            loop {
                match session.shrink(PAGE) {
                    Ok(_) => {}
                    Err(error) => return error.kind(),
                }
            }
        });
        session.lock();
        shrinking.join().unwrap()
    });
    assert_eq!(ended, ErrorKind::Locked);
    drop((session, vault));
    assert!(bodies_in(&scratch.vault()) == loose.bodies);
}

/// Records of one class, as an app fills a vault: short ones, and now and then a document.
fn fill(dir: &Path) -> Vec<(RecordId, Vec<u8>)> {
    let vault = make_quick_vault(dir, false);
    let session = unlock(&vault);
    let mut all = Vec::new();
    for part in 0..10 {
        let mut batch = Batch::new();
        let bodies: Vec<_> = (0..100)
            .map(|at| body(part * 100 + at, if at % 25 == 0 { 40_000 } else { 1_000 }))
            .collect();
        for body in &bodies {
            batch.put(Record::new("Note", body.clone()).subject("Patient/1"));
        }
        let stored = session.commit(&batch).unwrap();
        all.extend(stored.iter().map(|stored| stored.id).zip(bodies));
    }
    session.lock();
    all
}

#[test]
fn erasing_gives_the_room_back_and_leaves_no_trace_before_or_after_shrinking() {
    let scratch = Scratch::new();
    let all = fill(&scratch.vault());
    // A year of an app's life is in neighbouring records; another erases every other one.
    for (title, goes) in [
        (
            "nine tenths, the oldest",
            (|at| at < 900) as fn(usize) -> bool,
        ),
        ("every other record", |at| at % 2 == 0),
    ] {
        let there = scratch.path().join(title);
        copy(&scratch.vault(), &there);
        let before = databases(&there);
        let gone: Vec<_> = all.iter().enumerate().filter(|(at, _)| goes(*at)).collect();
        let ids: Vec<_> = gone
            .iter()
            .map(|(_, (id, _))| (Class::Standard, *id))
            .collect();
        let parts = sealed_parts_of(&there, &ids).concat();
        let bodies: Vec<_> = parts
            .into_iter()
            .filter(|part| part.what.ends_with("body"))
            .collect();
        assert!(
            found_in_files(&there, &bodies).len() == bodies.len(),
            "the control"
        );

        let vault = Vault::open(&there).unwrap();
        let session = unlock(&vault);
        let mut batch = Batch::new();
        for (_, id) in &ids {
            batch.erase(*id);
        }
        session.commit(&batch).unwrap();
        let erased: u64 = gone.iter().map(|(_, (_, body))| body.len() as u64).sum();
        let after = databases(&there);
        assert_eq!(session.unused_bytes().unwrap(), 0, "erasing gave it back");
        assert_eq!(found_in_files(&there, &bodies), [""; 0]);
        assert_eq!(session.shrink(u64::MAX).unwrap(), 0);
        drop((session, vault));
        assert_eq!(found_in_files(&there, &bodies), [""; 0]);
        let kept: Bodies = all
            .iter()
            .enumerate()
            .filter(|(at, _)| !goes(*at))
            .map(|(_, record)| record.clone())
            .collect();
        assert!(bodies_in(&there) == kept);
        tell(&format!(
            "erasing {title}: {erased} bytes of bodies erased, databases {before} to {after}"
        ));
        let given = before - after;
        if title.starts_with("nine") {
            assert!(given > erased * 95 / 100, "{given} {erased}");
        } else {
            // Of a page in which every other record is left nothing can be given back.
            assert!(given > erased / 2, "{given} {erased}");
        }
    }
}
