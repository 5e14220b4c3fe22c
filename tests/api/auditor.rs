//! An auditor who need not believe the owner: evidence of Priority's trail.

use rusqlite::params;
use vitalock::{
    AuditAction, AuditQuery, AuditorKey, Class, Credentials, ErrorKind, FaultKind, Record, Stage,
    Vault,
};

use crate::support::fixture::{copy, keys, make_quick_vault_with, step_up, unlock, unsealed};
use crate::support::spec::audit::Insider;
use crate::support::{Keystore, Scratch, options, words};

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// An audited vault whose Priority has seen some turns.
fn lived(scratch: &Scratch, auditor: &AuditorKey, turns: u8) -> Vault {
    let vault = make_quick_vault_with(&scratch.vault(), options().auditor(auditor.public_key()));
    for turn in 0..turns {
        turn_of(&vault, turn);
    }
    vault
}

fn turn_of(vault: &Vault, turn: u8) {
    let session = unlock(vault);
    let lease = step_up(&session);
    let secret = Record::new("Note", vec![turn; 40]).class(Class::Priority);
    let id = lease.put(secret).unwrap().id;
    drop(lease.get(id).unwrap());
}

fn evidence(vault: &Vault) -> (Vec<u8>, u64) {
    let session = unlock(vault);
    let mut out = Vec::new();
    let written = step_up(&session).audit_evidence(&mut out).unwrap();
    (out, written.unwrap())
}

#[test]
fn an_auditor_sees_every_entry_of_priority_and_whether_the_next_evidence_goes_on_from_it() {
    let scratch = Scratch::new();
    let auditor = AuditorKey::make().unwrap();
    let vault = lived(&scratch, &auditor, 3);
    let (first, written) = evidence(&vault);
    let found = auditor.examine(&first, None).unwrap();
    assert_eq!((found.first_wrong, found.not_seen), (None, false));
    assert_eq!(found.vault, vault.id());
    assert_eq!(found.entries.len() as u64, written);
    assert_eq!(found.seen.entries, written);
    assert_eq!(found.entries[0].action(), AuditAction::VaultMade);
    let changed = |entry: &&vitalock::AuditEntry| entry.action() == AuditAction::Changed;
    assert_eq!(found.entries.iter().filter(changed).count(), 3);
    let body = [1; 40];
    assert!(!first.windows(40).any(|bytes| bytes == body), "no body");
    // With the key as it was kept.
    let kept = AuditorKey::from_bytes(&auditor.reveal(|bytes| *bytes));
    assert!(!kept.examine(&first, Some(&found.seen)).unwrap().not_seen);
    turn_of(&vault, 9);
    let (second, _) = evidence(&vault);
    let next = auditor.examine(&second, Some(&found.seen)).unwrap();
    assert_eq!((next.first_wrong, next.not_seen), (None, false));
    assert!(next.seen.entries > found.seen.entries);
    // What ends before what was seen is not taken for the whole.
    let cut = auditor.examine(&first, Some(&next.seen)).unwrap();
    assert!(cut.not_seen && cut.first_wrong.is_none());
    // The trail of Standard tells that evidence was given.
    let session = unlock(&vault);
    let exported = AuditQuery::new().action(AuditAction::Exported);
    let exported = session.audit_trail(&exported);
    let stages: Vec<_> = exported.map(|entry| entry.unwrap().stage()).collect();
    assert_eq!(stages, [Stage::Begun, Stage::Done].repeat(2));
    // The owner verifies what is not left to the auditor.
    let verified = step_up(&session).verify().unwrap();
    assert!(verified.macs_checked);
    assert_eq!(verified.faults, []);
}

#[test]
fn evidence_is_for_one_auditor_and_for_nobody_where_there_is_none() {
    let scratch = Scratch::new();
    let (auditor, other) = (AuditorKey::make().unwrap(), AuditorKey::make().unwrap());
    let vault = lived(&scratch, &auditor, 1);
    let (whole, _) = evidence(&vault);
    let invalid = Some(ErrorKind::InvalidEvidence);
    assert_eq!(kind(other.examine(&whole, None)), invalid);
    // Label, vault and mail come first.
    let head = 23 + 16 + 81;
    for cut in (0..head + 30).chain([whole.len() - 1]) {
        match auditor.examine(&whole[..cut], None) {
            Err(error) => assert!(Some(error.kind()) == invalid && cut < head, "{cut}"),
            Ok(found) => assert_eq!(found.first_wrong.is_none(), cut == head, "{cut}"),
        }
    }
    let without = Scratch::new();
    let vault = make_quick_vault_with(&without.vault(), options());
    let session = unlock(&vault);
    let mut out = Vec::new();
    let lease = step_up(&session);
    assert_eq!(lease.audit_evidence(&mut out).unwrap(), None);
    assert!(out.is_empty());
    // A key that nothing can be sealed to is refused before a vault is made.
    let (keystore, words) = (Keystore::new(), words());
    let factors = Credentials::passphrase(&words).and(&keystore);
    let nowhere = without.path().join("another");
    let made = Vault::create(&nowhere, options().auditor([0; 32]), factors);
    assert_eq!(kind(made), Some(ErrorKind::InvalidPublicKey));
}

/// Whoever has all of the owner's factors writes an entry of Priority anew, and everything after it:
/// links, envelopes and state.
fn written_anew(vault: &std::path::Path, entry: u64) {
    let (header, keys) = keys(vault, Class::Priority);
    let insider = Insider::new(&header.vault, &keys);
    let rows = unsealed(vault, Class::Priority);
    let stored = |sql: &str, number: i64| -> Vec<u8> {
        rows.query_row(sql, [number], |row| row.get(0)).unwrap()
    };
    let last = "SELECT max(entry) FROM audit";
    let last: i64 = rows.query_row(last, [], |row| row.get(0)).unwrap();
    let state = stored("SELECT body FROM settings WHERE number = ?1", 2);
    let mut forged = insider.begin(&state);
    for number in 1..=last {
        let body = stored("SELECT body FROM audit WHERE entry = ?1", number);
        let mut old = insider.entry(number.cast_unsigned(), &body);
        if number.cast_unsigned() < entry {
            forged.keep(&old);
            continue;
        }
        if number.cast_unsigned() == entry {
            old.actor = "somebody else".to_owned();
        }
        let body = forged.write(&insider, &old);
        let put = "UPDATE audit SET body = ?2 WHERE entry = ?1";
        rows.execute(put, params![number, body]).unwrap();
    }
    let state = forged.state(&insider);
    rows.execute("UPDATE settings SET body = ?1 WHERE number = 2", [state])
        .unwrap();
}

#[test]
fn what_the_owner_writes_anew_the_auditor_finds() {
    let scratch = Scratch::new();
    let auditor = AuditorKey::make().unwrap();
    drop(lived(&scratch, &auditor, 3));
    for entry in [1, 4, 7] {
        let there = scratch.path().join(entry.to_string());
        copy(&scratch.vault(), &there);
        written_anew(&there, entry);
        let vault = Vault::open(&there).unwrap();
        let (forged, _) = evidence(&vault);
        let session = unlock(&vault);
        // The owner's own keys find nothing wrong: what an auditor is for.
        assert_eq!(step_up(&session).verify().unwrap().faults, []);
        let found = auditor.examine(&forged, None).unwrap();
        assert_eq!(found.first_wrong, Some(entry));
        assert_eq!(found.entries.len() as u64, entry - 1);
    }
    // Without an auditor a lease checks the MACs of Priority itself.
    let without = Scratch::new();
    let vault = make_quick_vault_with(&without.vault(), options());
    (0..3).for_each(|turn| turn_of(&vault, turn));
    drop(vault);
    written_anew(&without.vault(), 4);
    let vault = Vault::open(without.vault()).unwrap();
    let faults = step_up(&unlock(&vault)).verify().unwrap().faults;
    let first = (faults[0].kind, faults[0].entry);
    assert_eq!(first, (FaultKind::EntryForged, Some(4)));
}
