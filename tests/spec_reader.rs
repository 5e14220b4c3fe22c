//! The specification is enough: a second reader, written from it alone, opens everything that this
//! crate wrote, with every combination of factors that should and with none that should not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use support::spec::audit::check_macs;
use support::spec::pages::{self, PageSeal, Unit};
use support::spec::{self, ClassKeys, EMERGENCY, Factors, Header, Key, PRIORITY, STANDARD, Share};
use support::{Keystore, Scratch, options};
use vitalock::{
    Batch, Class, Credentials, Passphrase, Record, RecordId, Session, Timestamp, Vault,
};

/// As typed: the second word's vowel is a letter and a combining mark, which NFC joins.
const WORDS: &str = "vier stille Ha\u{308}her waten";
const LONG_WORDS: &str = "fünfzehn Zeichen sind hier leicht erreicht";

struct Made {
    scratch: Scratch,
    phone: Keystore,
    finger: Keystore,
    code: String,
    emergency_code: String,
}

impl Made {
    fn everyday(&self) -> Passphrase {
        Passphrase::new(WORDS.as_bytes()).unwrap()
    }

    fn header(&self) -> Header {
        Header::read(&self.scratch.vault())
    }

    /// What the key store of the share releases.
    fn release(&self, share: &Share, purpose: &str) -> Option<Key> {
        let stores = [("phone", &self.phone), ("finger", &self.finger)];
        let (_, store) = stores.iter().find(|(name, _)| *name == share.provider)?;
        store.share(purpose == "priority", &share.blob, &share.challenge)
    }
}

/// A vault with every kind of slot and the given history, and `fill` run in its lease.
fn make(history: bool, fill: impl FnOnce(&Session)) -> Made {
    let scratch = Scratch::new();
    let phone = Keystore::named("phone");
    let finger = Keystore::named("finger");
    let words = Passphrase::new(WORDS.as_bytes()).unwrap();
    let factors = Credentials::passphrase(&words).and(&phone);
    let options = options().keep_history(history);
    let options = options.dangerous_recover_by_code_alone(true);
    let setup = Vault::create(scratch.vault(), options, factors).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let slots = lease.slots();
    let long = Passphrase::new(LONG_WORDS.as_bytes()).unwrap();
    slots.add(&Credentials::passphrase(&long)).unwrap();
    slots.add(&Credentials::share(&finger)).unwrap();
    slots.dangerous_add_biometric_for_priority(&finger).unwrap();
    let emergency_code = slots.add_emergency().unwrap().reveal(str::to_owned);
    fill(&lease);
    Made {
        scratch,
        phone,
        finger,
        code,
        emergency_code,
    }
}

/// The class keys, by way of the primary slot.
fn class_keys(made: &Made) -> BTreeMap<u8, Key> {
    let header = made.header();
    let slot = header.slots_of("primary").next().unwrap();
    let release = |share: &Share, purpose: &str| made.release(share, purpose);
    let factors = Factors {
        passphrase: WORDS,
        release: &release,
        recovery_code: "",
        emergency_code: "",
    };
    let mut keys = BTreeMap::new();
    for purpose in ["standard", "priority"] {
        keys.extend(header.unwrap(slot, purpose, factors).unwrap().class_keys);
    }
    keys
}

#[test]
fn every_slot_gives_the_classes_of_its_kind_to_its_own_factors_and_no_others() {
    let made = make(false, |_| ());
    let header = made.header();
    let truth = class_keys(&made);
    assert_eq!(truth.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let kinds: Vec<&str> = header.slots.iter().map(|slot| &*slot.kind).collect();
    assert_eq!(
        kinds,
        [
            "primary",
            "recovery-share",
            "recovery-passphrase",
            "recovery-code",
            "passphrase",
            "biometric",
            "biometric",
            "emergency"
        ]
    );
    let release = |share: &Share, purpose: &str| made.release(share, purpose);
    let refused = |_: &Share, _: &str| -> Option<Key> { None };
    let other_share = |share: &Share, purpose: &str| {
        let released = made.release(share, purpose);
        released.map(|share| share.map(|byte| byte ^ 1))
    };
    let other_code = "0000-0000-0000-0000-0000-0000-0000";
    for slot in &header.slots {
        let right = Factors {
            passphrase: match &*slot.kind {
                // The recovery slot follows the passphrase that was added last.
                "passphrase" | "recovery-passphrase" => LONG_WORDS,
                _ => WORDS,
            },
            release: &release,
            recovery_code: &made.code,
            emergency_code: &made.emergency_code,
        };
        for wrap in &slot.wraps {
            let given = header
                .unwrap(slot, &wrap.purpose, right)
                .unwrap()
                .class_keys;
            let classes: &[u8] = match &*wrap.purpose {
                "standard" => &[STANDARD, EMERGENCY],
                "priority" => &[PRIORITY],
                _ => &[EMERGENCY],
            };
            let expected: Vec<_> = classes.iter().map(|class| (*class, truth[class])).collect();
            assert_eq!(given, expected, "{} {}", slot.kind, wrap.purpose);
        }
        for (factor, takes, wrong) in [
            (
                "passphrase",
                &["primary", "passphrase", "recovery-passphrase"][..],
                Factors {
                    passphrase: "another phrase",
                    ..right
                },
            ),
            (
                "no share",
                &["primary", "biometric", "recovery-share"],
                Factors {
                    release: &refused,
                    ..right
                },
            ),
            (
                "another share",
                &["primary", "biometric", "recovery-share"],
                Factors {
                    release: &other_share,
                    ..right
                },
            ),
            (
                "recovery code",
                &["recovery-share", "recovery-passphrase", "recovery-code"],
                Factors {
                    recovery_code: other_code,
                    ..right
                },
            ),
            (
                "a code for the other use",
                &["emergency"],
                Factors {
                    emergency_code: &made.code,
                    ..right
                },
            ),
        ] {
            for wrap in &slot.wraps {
                let opened = header.unwrap(slot, &wrap.purpose, wrong).is_ok();
                let needed = takes.contains(&&*slot.kind);
                assert_eq!(opened, !needed, "{} with wrong {factor}", slot.kind);
            }
        }
    }
    // The first biometric slot was not given Priority, and no slot opens it as "standard".
    let first = header.slots_of("biometric").next().unwrap();
    assert_eq!(first.wraps.len(), 1);
}

#[test]
fn the_header_is_vouched_for_by_every_class_and_the_escrow_holds_the_code() {
    let made = make(false, |_| ());
    let header = made.header();
    let keys = class_keys(&made);
    let keys = |class: u8| header.class_keys(class, &keys[&class]);
    for class in [EMERGENCY, STANDARD, PRIORITY] {
        assert!(header.verifies(&keys(class)));
        let other = Header::parse(&header.text.replacen("generation ", "generation 1", 1));
        assert!(!other.verifies(&keys(class)));
    }
    let slot = header.slots_of("recovery-passphrase").next().unwrap();
    let code = header.code_key(&made.code, 2).unwrap();
    assert_eq!(header.escrowed(slot, &keys(PRIORITY)), Some(code));
    assert_eq!(header.escrowed(slot, &keys(STANDARD)), None);
}

fn records(class: Class) -> Vec<Record> {
    let at = Timestamp::from_micros;
    let full = |client: &str, body: Vec<u8>| {
        Record::new("Observation", body)
            .class(class)
            .subject("Patient/Zoë")
            .effective_during(at(-5), at(1_700_000_000_000_000))
            .content_type("application/fhir+json")
            .device("a watch")
            .app("an app")
            .client(client, 7)
            .expires(at(9_000_000_000_000_000))
            .pinned()
    };
    vec![
        Record::new("Note", "").class(class),
        Record::new("Note", "about nobody")
            .class(class)
            .effective(at(0)),
        Record::new("Note", "one field each")
            .class(class)
            .app("an app"),
        Record::new("Note", "one field each")
            .class(class)
            .device("a watch"),
        Record::new("Note", "one field each")
            .class(class)
            .expires(at(i64::MAX)),
        Record::new("Note", "one field each")
            .class(class)
            .client(&format!("{class:?}/a"), 0),
        full(&format!("{class:?}/b"), b"{}".to_vec()),
        full(&format!("{class:?}/c"), vec![0xA5; 300_000]),
    ]
}

fn as_row(record: &Record) -> spec::Row {
    let time = |time: Timestamp| time.to_micros();
    spec::Row {
        id: record.id().unwrap().to_bytes(),
        revision: record.revision().unwrap(),
        kind: record.kind().to_owned(),
        subject: record.subject_name().map(str::to_owned),
        created: record.created().map(time).unwrap(),
        updated: record.updated().map(time).unwrap(),
        effective: record
            .effective_time()
            .map(|(start, end)| (time(start), time(end))),
        expires: record.expiry().map(time),
        pinned: record.is_pinned(),
        client: record
            .client_identity()
            .map(|(id, version)| (id.to_owned(), version)),
        device: record.source_device().map(str::to_owned),
        app: record.source_app().map(str::to_owned),
        content_type: record.body_type().to_owned(),
        body: record.body().to_vec(),
    }
}

#[test]
fn every_record_and_earlier_revision_is_read_field_by_field() {
    let mut written: BTreeMap<u8, Vec<spec::Row>> = BTreeMap::new();
    let mut earlier: BTreeMap<u8, Vec<spec::Row>> = BTreeMap::new();
    let made = make(true, |lease| {
        let classes = [
            (EMERGENCY, Class::Emergency),
            (STANDARD, Class::Standard),
            (PRIORITY, Class::Priority),
        ];
        // One batch over all classes, so that the higher ones' parts go through intents.
        let batch: Batch = classes
            .iter()
            .flat_map(|(_, class)| records(*class))
            .collect();
        let stored = lease.commit(&batch).unwrap();
        let read = |id: RecordId| lease.get(id).unwrap().unwrap();
        for (stored, body) in stored.iter().zip(["new", "newer"].iter().cycle()) {
            for step in 0..2 {
                let next = read(stored.id).with_body(format!("{body} {step}").as_str());
                if next.client_identity().is_none() {
                    lease.put(next).unwrap();
                }
            }
        }
        // One that moves from class to class takes its history along.
        let moving = lease
            .put(Record::new("Note", "moves").subject("Patient/2"))
            .unwrap()
            .id;
        lease.put(read(moving).with_body("moved once")).unwrap();
        lease.put(read(moving).class(Class::Priority)).unwrap();
        for record in lease.query(&vitalock::Query::new()) {
            let record = record.unwrap();
            let class = classes
                .iter()
                .find(|(_, class)| *class == record.protection_class());
            let class = class.unwrap().0;
            let history = lease.history(record.id().unwrap()).unwrap();
            earlier
                .entry(class)
                .or_default()
                .extend(history.iter().map(as_row));
            written.entry(class).or_default().push(as_row(&record));
        }
    });
    let header = made.header();
    let keys = class_keys(&made);
    assert_eq!(written.values().map(Vec::len).sum::<usize>(), 25);
    assert!(earlier.values().map(Vec::len).sum::<usize>() > 10);
    let priority = header.class_keys(PRIORITY, &keys[&PRIORITY]);
    for (class, root) in keys {
        let content = spec::read_class(
            &made.scratch.vault(),
            header.vault,
            &header.class_keys(class, &root),
        );
        assert!(content.keeps_history);
        assert_eq!(content.intents, 0);
        assert_eq!(content.entries[0].what, 1, "the vault was made");
        assert!(content.entries.len() > 10);
        let (state, entries) = (&content.state, &content.entries);
        check_macs(&header.vault, class, &priority, state, entries);
        let sorted = |mut rows: Vec<spec::Row>| {
            rows.sort_by_key(|row| (row.id, row.revision));
            rows
        };
        assert_eq!(
            sorted(content.records),
            sorted(written.remove(&class).unwrap())
        );
        assert_eq!(
            sorted(content.earlier),
            sorted(earlier.remove(&class).unwrap())
        );
    }
}

#[test]
fn a_database_can_be_read_while_the_vault_is_open() {
    let made = make(false, |_| ());
    let vault = Vault::open(made.scratch.vault()).unwrap();
    let words = made.everyday();
    let session = vault
        .unlock(&Credentials::passphrase(&words).and(&made.phone))
        .unwrap();
    session
        .put(Record::new("Note", "still in the log"))
        .unwrap();
    let keys = made
        .header()
        .class_keys(STANDARD, &class_keys(&made)[&STANDARD]);
    let content = spec::read_class(&made.scratch.vault(), made.header().vault, &keys);
    assert_eq!(content.records[0].body, b"still in the log");
    assert!(!content.keeps_history);
}

/// The sealed database that docs/spec/vectors/make.py has written.
struct Vector(serde_json::Value);

impl Vector {
    fn load() -> Self {
        let text = include_str!("../docs/spec/vectors/pages.json");
        Self(serde_json::from_str(text).unwrap())
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        let text = self.0.pointer(path).and_then(serde_json::Value::as_str);
        spec::unhex(text.unwrap())
    }

    fn seal(&self) -> PageSeal {
        let class = self.0["class"].as_u64().unwrap();
        let (vault, root) = (self.bytes("/vault"), self.bytes("/class_key"));
        let class = u8::try_from(class).unwrap();
        let keys = ClassKeys::derive(&spec::array(&vault), class, &spec::array(&root));
        assert_eq!(keys.page[..], self.bytes("/page_key"));
        PageSeal::new(spec::array(&vault), &keys)
    }
}

#[test]
fn the_vector_of_pages_is_what_this_reader_opens_and_what_it_would_seal() {
    let vector = Vector::load();
    let seal = vector.seal();
    let (database, log) = (
        vector.bytes("/database/sealed"),
        vector.bytes("/log/sealed"),
    );
    let (plain, plain_log) = (vector.bytes("/database/plain"), vector.bytes("/log/plain"));
    assert_eq!(seal.open_database(&database), plain);
    assert_eq!(seal.open_log(&log), plain_log);

    // With the nonces that it chose, sealing gives the same bytes again.
    let again = |unit, sealed: &[u8]| {
        let (body, tail) = sealed.split_at(sealed.len() - pages::TAIL);
        let opened = seal.open(unit, sealed).unwrap();
        assert_eq!(opened.len(), body.len());
        seal.seal_with(unit, &opened, tail.first_chunk().unwrap())
    };
    for (page, number) in database.chunks(pages::PAGE).zip(1..) {
        assert_eq!(again(Unit::Page(number), page), page);
    }
    let (header, frame) = log.split_at(pages::LOG_HEADER + pages::TAIL);
    assert_eq!(again(Unit::LogHeader, header), header);
    assert_eq!(again(Unit::Frame(1), frame), frame);

    // And SQLite finds the rows in it, the one in the log among them.
    let directory = Scratch::new();
    let path = directory.path().join("plain.db");
    std::fs::write(&path, plain).unwrap();
    std::fs::write(directory.path().join("plain.db-wal"), plain_log).unwrap();
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT number, body FROM notes")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(i64, Vec<u8>)> = rows.unwrap().map(Result::unwrap).collect();
    let written = vector.0["rows"].as_array().unwrap().iter();
    let written: Vec<_> = written
        .map(|row| {
            let body = spec::unhex(row[1].as_str().unwrap());
            (row[0].as_i64().unwrap(), body)
        })
        .collect();
    assert_eq!(rows, written);
    assert_eq!(rows[2].1, b"only in the log");
}
