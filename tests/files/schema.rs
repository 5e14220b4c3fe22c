//! A database that somebody else has added to.

use std::path::Path;

use vitalock::{Class, Credentials, ErrorKind, Record, Vault};

use crate::process::{DEVICE, factors, make_plain};
use crate::support::fixture::{DATABASES, Twin, copy, make_quick_vault, unlock};
use crate::support::{Scratch, words};

/// What unlocking says of a vault whose database was changed like this.
fn refused(name: &str, change: impl Fn(&Path)) -> Option<ErrorKind> {
    let (scratch, words) = (Scratch::new(), words());
    let vault = make_plain(&scratch.vault(), &words).unwrap();
    change(&scratch.vault().join(name));
    let session = vault.unlock(&factors(&words));
    let stepped = session.and_then(|session| session.step_up(&factors(&words)).map(drop));
    let journal = scratch.vault().join(format!("{name}-journal"));
    assert!(!journal.exists());
    stepped.err().map(|error| error.kind())
}

/// The same where somebody with the keys has changed it by SQL.
fn after_sql(name: &str, sql: &str) -> Option<ErrorKind> {
    let at = DATABASES.iter().position(|database| *database == name);
    let class = Class::ALL[at.unwrap()];
    refused(name, |path| {
        let database = DEVICE.open(path.parent().unwrap(), class);
        database.execute_batch(sql).unwrap();
    })
}

const TAMPERED: Option<ErrorKind> = Some(ErrorKind::TamperDetected);

#[test]
fn a_schema_that_grew_is_refused() {
    for sql in [
        "CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM revisions; END",
        "CREATE VIEW v AS SELECT body FROM records",
        "CREATE INDEX i ON records (body)",
        "CREATE TABLE copies (body BLOB)",
        "CREATE UNIQUE INDEX i ON settings (body)",
        "ALTER TABLE records ADD COLUMN note TEXT",
        "DROP INDEX records_by_kind",
        "DROP TABLE applied",
        "DROP INDEX records_by_kind; CREATE INDEX records_by_kind ON records (kind, finish)",
        "ANALYZE",
    ] {
        assert_eq!(after_sql("standard.db", sql), TAMPERED, "{sql}");
    }
    for name in ["emergency.db", "priority.db"] {
        let sql = "CREATE TABLE copies (body BLOB)";
        assert_eq!(after_sql(name, sql), TAMPERED, "{name}");
    }
}

#[test]
fn a_schema_that_was_written_over_is_refused() {
    for sql in [
        "UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'records'",
        "UPDATE sqlite_schema SET sql = sql || ' ' WHERE name = 'terms'",
    ] {
        let sql = format!("PRAGMA writable_schema = on; {sql}");
        assert_eq!(after_sql("standard.db", &sql), TAMPERED, "{sql}");
    }
}

#[test]
fn a_file_of_other_properties_is_refused() {
    for (sql, kind) in [
        ("PRAGMA application_id = 1", ErrorKind::TamperDetected),
        ("PRAGMA user_version = 2", ErrorKind::UnsupportedFormat),
        ("PRAGMA journal_mode = delete", ErrorKind::TamperDetected),
        (
            "PRAGMA journal_mode = delete; PRAGMA page_size = 2048; VACUUM; PRAGMA journal_mode = wal",
            ErrorKind::TamperDetected,
        ),
        (
            "PRAGMA auto_vacuum = none; VACUUM",
            ErrorKind::TamperDetected,
        ),
        ("DELETE FROM settings", ErrorKind::TamperDetected),
    ] {
        assert_eq!(after_sql("standard.db", sql), Some(kind), "{sql}");
    }
}

#[test]
fn a_file_that_is_no_database_or_another_is_refused() {
    let write = |bytes: Vec<u8>| move |path: &Path| std::fs::write(path, &bytes).unwrap();
    for length in [1, 100, 4096, 90_112] {
        let other = refused("standard.db", write(vec![7; length]));
        assert_eq!(other, TAMPERED, "{length} bytes");
        let zeros = refused("standard.db", write(vec![0; length]));
        assert_eq!(zeros, TAMPERED, "{length} zeros");
    }
    assert_eq!(refused("standard.db", write(Vec::new())), TAMPERED);
    let swapped = refused("standard.db", |path| {
        std::fs::copy(path.with_file_name("emergency.db"), path).unwrap();
    });
    assert_eq!(swapped, TAMPERED, "another class's database");
}

#[test]
fn a_database_of_another_vault_is_refused() {
    let (other, words) = (Scratch::new(), words());
    drop(make_plain(&other.vault(), &words).unwrap());
    for name in ["emergency.db", "standard.db", "priority.db"] {
        let replaced = refused(name, |path| {
            std::fs::copy(other.vault().join(name), path).unwrap();
        });
        assert_eq!(replaced, TAMPERED, "{name}");
    }
}

#[test]
fn a_vault_without_one_of_its_databases_is_refused() {
    for name in ["emergency.db", "standard.db", "priority.db"] {
        let gone = refused(name, |path| std::fs::remove_file(path).unwrap());
        assert_eq!(gone, TAMPERED, "{name}");
    }
}

#[test]
fn opening_what_is_no_vault_makes_nothing() {
    let scratch = Scratch::new();
    let not_found = |path: &Path| {
        let error = Vault::open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::VaultNotFound);
    };
    not_found(&scratch.vault());
    assert!(!scratch.vault().exists());
    std::fs::create_dir(scratch.vault()).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(scratch.vault(), std::fs::Permissions::from_mode(0o700)).unwrap();
    not_found(&scratch.vault());
    std::fs::write(scratch.vault().join("photograph"), "of a heron").unwrap();
    let before = crate::tree::tree(&scratch.vault());
    not_found(&scratch.vault());
    assert_eq!(crate::tree::tree(&scratch.vault()), before);
}

/// SQLite takes an empty file for a new database, and deletes the log that lies beside it.
#[test]
fn an_emptied_database_does_not_take_its_log_along() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    session.put(Record::new("Note", "in the log")).unwrap();
    let emptied = scratch.path().join("emptied");
    copy(&scratch.vault(), &emptied);
    drop((session, vault));
    let log = emptied.join("standard.db-wal");
    let before = std::fs::read(&log).unwrap();
    assert!(!before.is_empty());
    std::fs::write(emptied.join("standard.db"), "").unwrap();
    let refused = Vault::open(&emptied)
        .unwrap()
        .unlock(&Credentials::share(&Twin));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TamperDetected);
    assert!(std::fs::read(&log).unwrap() == before);
}
