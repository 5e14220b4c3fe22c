//! How much room a vault takes, and what of it comes back.

use std::fs;

use vitalock::{Batch, Class, ErrorKind, Lease, Query, RecordId, Vault, VaultSize};

use crate::life::{put, record_of, sealed_files};
use crate::support::Scratch;
use crate::support::data::tell;
use crate::support::fixture::{copy, database, make_quick_vault, step_up, unlock, unsealed};

#[test]
fn the_size_is_that_of_the_files_and_counts_the_log() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let locked = vault.size().unwrap();
    assert_eq!(locked.logs, 0);
    let session = unlock(&vault);
    put(&step_up(&session), 0..300);
    let open = vault.size().unwrap();
    // Another process reads: this one must not open what SQLite has open.
    let seen = scratch.path().join("seen");
    copy(&scratch.vault(), &seen);
    let files = crate::footprint::read(&seen).unwrap();
    let sum = |is: &dyn Fn(&str) -> bool| {
        let files = files.iter().filter(|(name, _)| is(name));
        files.map(|(_, bytes)| bytes.len() as u64).sum::<u64>()
    };
    assert_eq!(open.databases, sum(&|name| name.ends_with(".db")));
    assert_eq!(open.logs, sum(&|name| name.ends_with("-wal")));
    assert_eq!(
        open.headers,
        sum(&|name| name.starts_with("header") || ["attempts", "events", "reserve"].contains(&name))
    );
    assert_eq!(open.total(), sum(&|_| true));
    assert!(open.logs > 500_000, "the records are in the logs: {open:?}");

    session.lock();
    let after = vault.size().unwrap();
    assert_eq!(after.logs, 0, "locking empties them");
    assert!(after.databases > locked.databases);
    assert!(after.total() < open.total());

    let planted = scratch.vault().join("standard.db-wal");
    std::os::unix::fs::symlink("/dev/null", planted).unwrap();
    let refused = vault.size().map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::PathIsSymlink));
}

#[test]
fn what_is_erased_gives_its_room_back_and_the_rest_stays_as_it_was() {
    let scratch = Scratch::new();
    drop(make_quick_vault(&scratch.vault(), false));
    let kept = in_a_session(&scratch, |lease| put(lease, 0..300));
    let few = size_of(&scratch);
    let before = in_a_session(&scratch, |lease| {
        // A person of their own, so that one call takes them away.
        let mut batch = Batch::new();
        for number in 0..3000_u32 {
            let record = record_of(number, Class::ALL[number as usize % 3]);
            let record = record.subject("Patient/goes");
            batch.put(record.client(&format!("other/{number}"), 1));
        }
        lease.commit(&batch).unwrap();
        bodies(lease, &kept)
    });
    let full = size_of(&scratch);
    in_a_session(&scratch, |lease| {
        lease.erase_subject("Patient/goes").unwrap();
        assert!(bodies(lease, &kept) == before);
        assert_eq!(lease.count(&Query::new()).unwrap(), 300);
    });
    let shrunk = size_of(&scratch);
    tell(&format!(
        "300 records take {} bytes, 3,300 take {}, and after erasing 3,000 it is {}",
        few.databases, full.databases, shrunk.databases
    ));
    assert!(full.databases > 3 * few.databases);
    // What is left half full by what went is filled by what comes.
    assert!(
        shrunk.databases < few.databases * 3 / 2,
        "{shrunk:?} {few:?}"
    );
    for class in Class::ALL {
        let free: i64 = unsealed(&scratch.vault(), class)
            .pragma_query_value(None, "freelist_count", |row| row.get(0))
            .unwrap();
        assert_eq!(free, 0, "{class:?} keeps no free page");
    }
    let after = in_a_session(&scratch, |lease| bodies(lease, &kept));
    assert!(after == before);
}

fn in_a_session<T>(scratch: &Scratch, work: impl FnOnce(&Lease) -> T) -> T {
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let done = work(&step_up(&session));
    session.lock();
    done
}

fn size_of(scratch: &Scratch) -> VaultSize {
    let size = Vault::open(scratch.vault()).unwrap().size().unwrap();
    assert_eq!(size.logs, 0);
    size
}

fn bodies(lease: &Lease, places: &[(Class, RecordId)]) -> Vec<Vec<u8>> {
    let body = |(_, id): &(Class, RecordId)| lease.get(*id).unwrap().unwrap().body().to_vec();
    places.iter().map(body).collect()
}

#[test]
fn sealing_adds_less_than_a_twentieth_to_the_same_rows() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    put(&step_up(&session), 0..10_000);
    session.lock();
    drop((session, vault));
    let (mut sealed, mut plain) = (0, 0);
    for class in Class::ALL {
        sealed += fs::metadata(database(&scratch.vault(), class))
            .unwrap()
            .len();
        // The same rows in a database of SQLite's own, in which no byte of a page is reserved.
        let rows = unsealed(&scratch.vault(), class);
        let path = scratch.path().join("plain.db");
        let schema = "SELECT group_concat(sql, ';') FROM sqlite_schema
            WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
        let schema: String = rows.query_row(schema, [], |row| row.get(0)).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        let settings = "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;";
        other
            .execute_batch(&format!("{settings} {schema}"))
            .unwrap();
        drop(other);
        let at = path.to_str().unwrap();
        rows.execute("ATTACH ?1 AS plain", [at]).unwrap();
        // Last indexes, so that the pages are filled as they were by the vault: row after row.
        for table in [
            "settings",
            "terms",
            "subjects",
            "records",
            "revisions",
            "audit",
            "segments",
        ] {
            let sql = format!("INSERT INTO plain.{table} SELECT * FROM main.{table}");
            rows.execute(&sql, []).unwrap();
        }
        rows.execute("DETACH plain", []).unwrap();
        plain += fs::metadata(&path).unwrap().len();
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(sealed_files(&scratch.vault()).len(), 3);
    assert!(plain > 10_000_000, "the rows are there: {plain}");
    let ratio = sealed as f64 / plain as f64;
    tell(&format!(
        "10,000 records: {sealed} bytes sealed, {plain} plain, {ratio:.4} times"
    ));
    // Forty bytes of each page are spent at the least.
    assert!((1.009..=1.05).contains(&ratio), "{ratio}");
}
