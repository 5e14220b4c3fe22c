//! What somebody who writes the directory, or has today's Standard key, forges.

use std::sync::Arc;

use rusqlite::params;
use sha2::{Digest, Sha256};
use vitalock::{AuditQuery, Class, Credentials, ErrorKind, Passphrase, Record, Vault};

use crate::support::anchors::Memory;
use crate::support::fixture::{Twin, keys, make_quick_vault, step_up, unlock, unsealed};
use crate::support::spec::attempts::table;
use crate::support::spec::audit::Insider;
use crate::support::{Keystore, Scratch, make_vault_with, options, words};

struct Anchored {
    scratch: Scratch,
    keystore: Keystore,
    anchor: Arc<Memory>,
}

impl Anchored {
    fn new() -> Self {
        let (scratch, keystore) = (Scratch::new(), Keystore::new());
        let anchor = Arc::new(Memory::default());
        let (vault, _) = make_vault_with(
            &scratch.vault(),
            &keystore,
            options().anchor(anchor.clone()),
        );
        drop(vault);
        let place = Self {
            scratch,
            keystore,
            anchor,
        };
        assert_eq!(place.right(), None);
        place
    }
    fn open(&self) -> Vault {
        Vault::open(self.scratch.vault())
            .unwrap()
            .anchored(self.anchor.clone())
    }
    fn guess(&self) -> ErrorKind {
        let wrong = Passphrase::new(b"not what the owner knows").unwrap();
        let wrong = Credentials::passphrase(&wrong).and(&self.keystore);
        self.open().unlock(&wrong).unwrap_err().kind()
    }
    fn right(&self) -> Option<ErrorKind> {
        let words = words();
        let right = Credentials::passphrase(&words).and(&self.keystore);
        let vault = self.open();
        vault.unlock(&right).err().map(|error| error.kind())
    }
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.scratch.vault().join(name)).unwrap()
    }
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.scratch.vault().join(name), bytes).unwrap();
    }
    fn text(&self) -> String {
        String::from_utf8(self.read("header")).unwrap()
    }
}

fn slot_id(text: &str) -> [u8; 8] {
    let line = text.lines().find(|line| line.starts_with("slot ")).unwrap();
    let hex = line.split(' ').nth(1).unwrap();
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// The header with these slots in the place of its own.
fn with_slots(text: &str, slots: &str) -> String {
    let (head, rest) = text.split_once("slot ").unwrap();
    let macs = rest.find("mac priority").unwrap();
    format!("{head}{slots}{}", &rest[macs..])
}

fn fake_slot(number: u8) -> String {
    format!(
        "slot {:016x} emergency\nwrap emergency kdf=none share=none salt={} commit={} key=01{}\n",
        number,
        "11".repeat(32),
        "22".repeat(32),
        "33".repeat(72)
    )
}

const WAITED: fn(&[ErrorKind]) -> bool = |got| got.contains(&ErrorKind::Throttled);

#[test]
fn sixteen_forged_slots_in_one_copy_of_the_header_hide_no_attempt() {
    let place = Anchored::new();
    let slots: String = (0..16).map(fake_slot).collect();
    place.write("header.2", with_slots(&place.text(), &slots));
    let got: Vec<_> = (0..6).map(|_| place.guess()).collect();
    assert!(WAITED(&got), "{got:?}");
}

#[test]
fn forged_slots_in_both_copies_take_no_count_away() {
    let place = Anchored::new();
    let genuine = place.text();
    let got: Vec<_> = (0..3).map(|_| place.guess()).collect();
    assert_eq!(got, [ErrorKind::UnlockFailed; 3]);
    // Slots that nobody has, with factors that whoever forges them knows, tried in the others' place.
    for round in 0..4 {
        let slots: String = (0..16)
            .map(|at| genuine_like(&genuine, 100 + round * 16 + at))
            .collect();
        let forged = with_slots(&genuine, &slots);
        place.write("header", &forged);
        place.write("header.2", &forged);
        for _ in 0..2 {
            place.guess();
        }
    }
    place.write("header", &genuine);
    place.write("header.2", &genuine);
    assert_eq!(place.right(), Some(ErrorKind::Throttled));
}

/// The genuine primary slot under another number.
fn genuine_like(text: &str, number: u8) -> String {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("slot "));
    let slot = lines.next().unwrap();
    let wraps = lines.take_while(|line| line.starts_with("wrap "));
    let kind = slot.rsplit_once(' ').unwrap().1;
    let wraps: String = wraps.map(|line| format!("{line}\n")).collect();
    format!("slot {:016x} {kind}\n{wraps}", u64::from(number))
}

#[test]
fn another_vaults_name_in_a_forged_header_does_not_hide_the_anchor() {
    for forges in [false, true] {
        let place = Anchored::new();
        let fresh = place.read("attempts");
        let text = place.text();
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        let forged = text
            .replace(line("vault "), &format!("vault {}", "ab".repeat(16)))
            .replace(line("generation "), "generation 4000");
        if forges {
            place.write("header", &forged);
        }
        let guess = |_| {
            place.write("attempts", &fresh);
            place.guess()
        };
        let got: Vec<_> = (0..6).map(guess).collect();
        assert!(WAITED(&got), "{forges} {got:?}");
    }
}

#[test]
fn a_table_with_as_many_failures_of_long_ago_waits_as_the_anchor_says() {
    let place = Anchored::new();
    let slot = slot_id(&place.text());
    let mut got = Vec::new();
    for failures in 0..6_u64 {
        if failures > 0 {
            place.write("attempts", table(&[(slot, failures, 0)]));
        }
        got.push(place.guess());
    }
    assert!(WAITED(&got), "{got:?}");
}

#[test]
fn a_table_at_the_end_of_its_numbers_still_counts() {
    let (scratch, keystore) = (Scratch::new(), Keystore::new());
    drop(make_vault_with(&scratch.vault(), &keystore, options()));
    let wrong = Passphrase::new(b"not what the owner knows").unwrap();
    let guess = || {
        let vault = Vault::open(scratch.vault()).unwrap();
        let wrong = Credentials::passphrase(&wrong).and(&keystore);
        vault.unlock(&wrong).unwrap_err().kind()
    };
    for last in [u64::MAX, u64::MAX - 1] {
        let mut record = table(&[]);
        record.truncate(4096);
        record[16..24].copy_from_slice(&last.to_le_bytes());
        let sum = Sha256::digest(&record[..800]);
        record[800..832].copy_from_slice(&sum);
        std::fs::write(scratch.vault().join("attempts"), record.repeat(2)).unwrap();
        let got: Vec<_> = (0..5).map(|_| guess()).collect();
        assert!(WAITED(&got), "{got:?}");
    }
}

#[test]
fn a_lost_table_and_one_mistake_lock_nobody_out_for_good() {
    for loss in ["removed", "damaged"] {
        let (scratch, keystore) = (Scratch::new(), Keystore::new());
        let words = words();
        let right = Credentials::passphrase(&words).and(&keystore);
        let wrong = Passphrase::new(b"not what the owner knows").unwrap();
        let wrong = Credentials::passphrase(&wrong).and(&keystore);
        let options = options().dangerous_wipe_after_ten_failures(true);
        let setup = Vault::create(scratch.vault(), options, right).unwrap();
        drop(setup.dangerous_without_recovery().unwrap());
        let table = scratch.vault().join("attempts");
        match loss {
            "removed" => std::fs::remove_file(&table).unwrap(),
            _ => std::fs::write(&table, vec![1; 8192]).unwrap(),
        }
        let open = || Vault::open(scratch.vault()).unwrap();
        // Where the system was started just now, the mistake has to wait and is not made.
        let mistake = open().unlock(&wrong).unwrap_err().kind();
        assert!([ErrorKind::UnlockFailed, ErrorKind::Throttled].contains(&mistake));
        assert!(!open().slots().remove(0).disabled, "{loss}");
    }
}

/// Whoever has the keys of Standard writes an entry of Standard anew, and everything after it.
fn written_anew(vault: &std::path::Path, entry: u64, auditor: bool) {
    let (header, keys) = keys(vault, Class::Standard);
    let insider = Insider::new(&header.vault, &keys);
    let rows = unsealed(vault, Class::Standard);
    let stored = |sql: &str, number: i64| -> Vec<u8> {
        rows.query_row(sql, [number], |row| row.get(0)).unwrap()
    };
    let last: i64 = rows
        .query_row("SELECT max(entry) FROM audit", [], |row| row.get(0))
        .unwrap();
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
        rows.execute(
            "UPDATE audit SET body = ?2 WHERE entry = ?1",
            params![number, body],
        )
        .unwrap();
    }
    let state = forged.state(&insider);
    rows.execute("UPDATE settings SET body = ?1 WHERE number = 2", [state])
        .unwrap();
    if auditor {
        let settings = stored("SELECT body FROM settings WHERE number = ?1", 1);
        let settings = insider.with_auditor(&settings);
        rows.execute("UPDATE settings SET body = ?1 WHERE number = 1", [settings])
            .unwrap();
    }
}

#[test]
fn the_keys_of_standard_write_no_entry_of_standard_anew() {
    for auditor in [false, true] {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), false);
        for _ in 0..3 {
            let session = unlock(&vault);
            session.put(Record::new("Note", "x")).unwrap();
        }
        drop(vault);
        written_anew(&scratch.vault(), 3, auditor);
        let vault = Vault::open(scratch.vault()).unwrap();
        if auditor {
            // Only Priority's trail has an auditor.
            let words = words();
            let refused = vault.unlock(&Credentials::passphrase(&words).and(&Twin));
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::TamperDetected);
            continue;
        }
        let found = step_up(&unlock(&vault)).verify().unwrap();
        assert!(!found.faults.is_empty());
    }
}

#[test]
fn an_entry_of_no_calendar_does_not_keep_the_trail_from_being_exported() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    unlock(&vault).put(Record::new("Note", "x")).unwrap();
    drop(vault);
    {
        let (header, keys) = keys(&scratch.vault(), Class::Standard);
        let insider = Insider::new(&header.vault, &keys);
        let rows = unsealed(&scratch.vault(), Class::Standard);
        let get = |sql: &str, number: i64| -> Vec<u8> {
            rows.query_row(sql, [number], |row| row.get(0)).unwrap()
        };
        let last: i64 = rows
            .query_row("SELECT max(entry) FROM audit", [], |row| row.get(0))
            .unwrap();
        let mut forged = insider.begin(&get("SELECT body FROM settings WHERE number = ?1", 2));
        let mut entry = insider.entry(
            last.cast_unsigned(),
            &get("SELECT body FROM audit WHERE entry = ?1", last),
        );
        forged.keep(&entry);
        entry.number += 1;
        entry.at = i64::MAX;
        let body = forged.write(&insider, &entry);
        rows.execute(
            "INSERT INTO audit (entry, body) VALUES (?1, ?2)",
            params![last + 1, body],
        )
        .unwrap();
        let state = forged.appended_state(&insider);
        rows.execute("UPDATE settings SET body = ?1 WHERE number = 2", [state])
            .unwrap();
    }
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    let mut out = Vec::new();
    let exported = lease
        .export_audit_trail(&AuditQuery::new(), &mut out)
        .map_err(|e| e.kind());
    assert!(exported.is_ok());
}

#[test]
fn a_segment_at_the_end_of_numbers_is_told_and_no_panic() {
    let scratch = Scratch::new();
    drop(make_quick_vault(&scratch.vault(), false));
    {
        let (header, keys) = keys(&scratch.vault(), Class::Standard);
        let insider = Insider::new(&header.vault, &keys);
        let rows = unsealed(&scratch.vault(), Class::Standard);
        let plain = [
            &[1][..],
            &(i64::MAX as u64).to_le_bytes(),
            &[0; 32],
            &[0; 16],
            &0_u32.to_le_bytes(),
        ]
        .concat();
        let body = insider.segment(i64::MAX as u64, &plain);
        rows.execute(
            "INSERT INTO segments (last, first, body) VALUES (?1, ?1, ?2)",
            params![i64::MAX, body],
        )
        .unwrap();
    }
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let query = AuditQuery::new().newest_first();
    assert!(session.audit_trail(&query).count() > 0);
}
