//! Records of Priority that are put without a lease: sealed to a key that the session does not have,
//! taken in once, and never lost.

use std::path::Path;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeS, PskBundle, Serializable, setup_sender_with_rng};
use rusqlite::params;
use vitalock::{
    Actor, AuditAction, AuditQuery, Class, Deposit, DepositState, ErrorKind, Fault, FaultKind,
    Query, Record, RecordId, Session, Stage, Vault,
};

use crate::support::Scratch;
use crate::support::fixture::{copy, keys, make_quick_vault, step_up, unlock, unsealed};
use crate::support::spec::{Key, lp};

fn note(body: &str) -> Record {
    Record::new("Note", body)
        .subject("Patient/1")
        .class(Class::Priority)
}

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn states(deposits: &[Deposit]) -> Vec<(RecordId, DepositState)> {
    deposits
        .iter()
        .map(|deposit| (deposit.id(), deposit.state()))
        .collect()
}

#[test]
fn what_is_deposited_is_there_at_the_next_step_up_in_order_and_once() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    let ada = session.acting(&Actor::new("ada").purpose("TREAT")).unwrap();
    let first = ada.deposit(&note("first").client("c", 1)).unwrap();
    let second = session.deposit(&note("second").client("c", 2)).unwrap();
    let third = ada.deposit(&note("third")).unwrap();
    for id in [first, second, third] {
        assert!(session.get(id).unwrap().is_none());
    }
    drop(ada);
    session.lock();
    drop(session);
    // Nothing of it is lost with the session that wrote it.
    let session = unlock(&vault);
    assert_eq!(session.count(&Query::new()).unwrap(), 0);
    let lease = step_up(&session);
    assert_eq!(lease.deposits().unwrap(), []);
    assert_eq!(lease.count(&Query::new()).unwrap(), 2);
    let record = lease.get(first).unwrap().unwrap();
    assert_eq!(
        (record.body(), record.revision()),
        (&b"second"[..], Some(2))
    );
    assert_eq!(lease.history(first).unwrap()[0].body(), b"first");
    assert_eq!(lease.get(third).unwrap().unwrap().body(), b"third");
    // The second was the next version of the first.
    assert!(lease.get(second).unwrap().is_none());
    let by_whom: Vec<_> = lease
        .audit_trail(&AuditQuery::new().class(Class::Priority))
        .map(Result::unwrap)
        .filter(|entry| entry.action() == AuditAction::Changed)
        .map(|entry| entry.actor().map(str::to_owned))
        .collect();
    assert_eq!(
        by_whom,
        [Some("ada".to_owned()), None, Some("ada".to_owned())]
    );
    // While the lease is open, and by word.
    let fourth = session.deposit(&note("fourth")).unwrap();
    assert_eq!(
        states(&lease.deposits().unwrap()),
        [(fourth, DepositState::Waiting)]
    );
    assert_eq!(lease.deposited(fourth).unwrap().unwrap().body(), b"fourth");
    assert!(
        !lease.discard_deposit(fourth).unwrap(),
        "what waits is not thrown away"
    );
    assert_eq!(lease.take_in_deposits().unwrap(), 1);
    assert_eq!(lease.take_in_deposits().unwrap(), 0);
    assert_eq!(lease.get(fourth).unwrap().unwrap().body(), b"fourth");
    assert_eq!(lease.verify().unwrap().faults, []);
}

#[test]
fn the_trail_of_standard_says_that_something_was_deposited_and_not_what() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let id = session.deposit(&note("for few eyes")).unwrap();
    let entries: Vec<_> = session
        .audit_trail(&AuditQuery::new().action(AuditAction::Deposited))
        .map(Result::unwrap)
        .collect();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (entry.class(), entry.stage()),
        (Class::Standard, Stage::Done)
    );
    assert_eq!(entry.records()[0].id, id);
    assert_eq!((entry.kind(), entry.kinds().count()), (None, 0));
    session.lock();
}

#[test]
fn what_cannot_be_a_deposit_is_refused() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    for class in [Class::Emergency, Class::Standard] {
        let refused = session.deposit(&note("x").class(class));
        assert_eq!(kind(refused), Some(ErrorKind::InvalidRecord));
    }
    let stored = session.put(Record::new("Note", "x")).unwrap().id;
    let read = session.get(stored).unwrap().unwrap().class(Class::Priority);
    assert_eq!(kind(session.deposit(&read)), Some(ErrorKind::InvalidRecord));
    let too_long = Record::new("Note", vec![0; Record::MAX_BODY + 1]).class(Class::Priority);
    assert_eq!(
        kind(session.deposit(&too_long)),
        Some(ErrorKind::InvalidRecord)
    );
    let longest = Record::new("Note", vec![7; Record::MAX_BODY]).class(Class::Priority);
    let id = session.deposit(&longest).unwrap();
    let lease = step_up(&session);
    assert_eq!(
        lease.get(id).unwrap().unwrap().body().len(),
        Record::MAX_BODY
    );
}

#[test]
fn a_deposit_that_conflicts_is_set_aside_and_can_still_be_read() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    lease.put(note("theirs").client("c", 3)).unwrap();
    drop(lease);
    let mine = session.deposit(&note("mine").client("c", 3)).unwrap();
    let older = session.deposit(&note("older").client("c", 2)).unwrap();
    let other = session.deposit(&note("other")).unwrap();
    let lease = step_up(&session);
    assert_eq!(
        states(&lease.deposits().unwrap()),
        [(mine, DepositState::Conflict)]
    );
    assert_eq!(
        lease.get(other).unwrap().unwrap().body(),
        b"other",
        "the rest came in"
    );
    assert!(
        lease.get(older).unwrap().is_none(),
        "an older version is nothing"
    );
    let record = lease.deposited(mine).unwrap().unwrap();
    assert_eq!(record.body(), b"mine");
    let newer = lease.put(record.client("c", 4)).unwrap();
    assert_eq!(newer.revision, 2);
    assert!(lease.discard_deposit(mine).unwrap());
    assert!(!lease.discard_deposit(mine).unwrap());
    assert_eq!(lease.deposits().unwrap(), []);
    let told: Vec<_> = session
        .audit_trail(&AuditQuery::new().record(mine))
        .map(|entry| entry.unwrap().action())
        .collect();
    use AuditAction::{AsideRemoved, Deposited, SetAside};
    assert_eq!(told, [Deposited, SetAside, AsideRemoved]);
    assert_eq!(lease.verify().unwrap().faults, []);
}

#[test]
fn a_deposit_for_a_record_of_another_class_moves_it() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    let mut ids = Vec::new();
    for class in [Class::Emergency, Class::Standard] {
        let client = format!("of {class:?}");
        let record = note("before").class(class).client(&client, 1);
        ids.push(session.put(record).unwrap().id);
        session.deposit(&note("after").client(&client, 2)).unwrap();
    }
    let lease = step_up(&session);
    for id in ids {
        let record = lease.get(id).unwrap().unwrap();
        assert_eq!(
            (record.protection_class(), record.body()),
            (Class::Priority, &b"after"[..])
        );
        assert_eq!(lease.history(id).unwrap()[0].body(), b"before");
    }
    assert_eq!(lease.count(&Query::new()).unwrap(), 2);
    assert_eq!(lease.verify().unwrap().faults, []);
}

#[test]
fn erasing_a_subject_erases_what_was_deposited_about_them() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    lease.put(note("theirs").client("c", 1)).unwrap();
    session.deposit(&note("conflict").client("c", 1)).unwrap();
    lease.take_in_deposits().unwrap();
    let waits = session.deposit(&note("waits")).unwrap();
    let other = session
        .deposit(&note("other").subject("Patient/2"))
        .unwrap();
    assert_eq!(lease.deposits().unwrap().len(), 3);
    lease.erase_subject("Patient/1").unwrap();
    assert_eq!(
        states(&lease.deposits().unwrap()),
        [(other, DepositState::Waiting)]
    );
    assert_eq!(lease.take_in_deposits().unwrap(), 1);
    assert!(lease.get(waits).unwrap().is_none());
    assert_eq!(lease.count(&Query::new()).unwrap(), 1);
    assert_eq!(lease.verify().unwrap().faults, []);
    drop(lease);
    session.lock();
    drop(session);
    // A subject of whom there is nothing but a deposit.
    let session = unlock(&vault);
    session
        .deposit(&note("only this").subject("Patient/3"))
        .unwrap();
    let lease = step_up(&session);
    session
        .deposit(&note("and this").subject("Patient/3"))
        .unwrap();
    lease.erase_subject("Patient/3").unwrap();
    assert_eq!(lease.deposits().unwrap(), []);
    assert_eq!(lease.count(&Query::new()).unwrap(), 1);
}

/// Seals as the specification says, with another library's calls than the crate's own.
fn mail(vault: &[u8; 16], id: &[u8; 16], to: &Key, psk: &[u8], plain: &[u8]) -> Vec<u8> {
    let to = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(to).unwrap();
    let bundle = PskBundle::new(psk, b"vitalock/1/deposit");
    let mode = match psk {
        [] => OpModeS::Base,
        _ => OpModeS::Psk(bundle.unwrap()),
    };
    let info = [lp(b"vitalock/1/mail"), vault.to_vec(), vec![3]].concat();
    let (enc, mut context) = setup_sender_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &mode,
        &to,
        &info,
        &mut System,
    )
    .unwrap();
    let place = [
        &lp(b"vitalock/1/row")[..],
        &[1],
        vault,
        &[3, 10],
        &lp(b""),
        id,
        &[0; 24],
    ];
    let mut sealed = plain.to_vec();
    let tag = context.seal_inout_detached(sealed.as_mut_slice().into(), &place.concat());
    [&[1][..], &enc.to_bytes(), &sealed, &tag.unwrap().to_bytes()].concat()
}

struct System;

impl TryRng for System {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        getrandom::fill(bytes).unwrap();
        Ok(())
    }
}

impl TryCryptoRng for System {}

/// A record as an intent has it.
fn content(id: &[u8; 16], body: &[u8]) -> Vec<u8> {
    let time = 1_700_000_000_000_000_i64.to_le_bytes();
    let record = [&[1, 0][..], &time, &time, &lp(b"text/plain"), body].concat();
    let by = [lp(b"mallory"), lp(b"")].concat();
    let step = [
        &[1][..],
        id,
        &1_u64.to_le_bytes(),
        &lp(b"Note"),
        &[0],
        &lp(&record),
    ];
    [&[1, 6][..], &by, &step.concat()].concat()
}

fn plant(vault: &Path, id: &[u8; 16], body: &[u8]) {
    let database = unsealed(vault, Class::Standard);
    let sql = "INSERT INTO deposits (id, aside, body) VALUES (?1, 0, ?2)";
    assert_eq!(database.execute(sql, params![id, body]).unwrap(), 1);
}

#[test]
fn a_deposit_without_the_key_of_standard_is_set_aside() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    drop(vault);
    let (header, standard) = keys(&scratch.vault(), Class::Standard);
    let to = header.inbox[1];
    let ids = [[1; 16], [2; 16], [3; 16], [4; 16], [5; 16]];
    let sealed = |id: &[u8; 16], psk: &[u8], plain: &[u8]| mail(&header.vault, id, &to, psk, plain);
    let right = sealed(&ids[0], &standard.deposit, &content(&ids[0], b"right"));
    plant(&scratch.vault(), &ids[0], &right);
    // Whoever can write the pages of Standard, and knows the header, but not the class key.
    plant(
        &scratch.vault(),
        &ids[1],
        &sealed(&ids[1], &[], &content(&ids[1], b"forged")),
    );
    plant(&scratch.vault(), &ids[2], &right);
    plant(
        &scratch.vault(),
        &ids[3],
        &sealed(&ids[3], &standard.deposit, b"no intent"),
    );
    plant(&scratch.vault(), &ids[4], b"");
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    let body = |id: [u8; 16]| {
        let record = lease.get(RecordId::from_bytes(id)).unwrap();
        record.map(|record| record.body().to_vec())
    };
    assert_eq!(body(ids[0]).as_deref(), Some(&b"right"[..]), "the control");
    assert!(ids[1..].iter().all(|id| body(*id).is_none()));
    let states = states(&lease.deposits().unwrap());
    let wanted = [
        DepositState::NotAuthentic,
        DepositState::NotAuthentic,
        DepositState::Unreadable,
        DepositState::NotAuthentic,
    ];
    let wanted: Vec<_> = ids[1..]
        .iter()
        .map(|id| RecordId::from_bytes(*id))
        .zip(wanted)
        .collect();
    assert_eq!(states, wanted);
    for (id, _) in &states {
        assert!(lease.deposited(*id).unwrap().is_none());
    }
    // Nor do they count among what this vault wrote.
    let faults = lease.verify().unwrap().faults;
    let kinds: Vec<_> = faults.iter().map(|fault: &Fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::Records]);
    drop(lease);
    drop(session);
}

/// A page with a deposit that was taken in, put back: the record is not doubled, and one that was
/// erased since is found by verifying.
#[test]
fn a_deposit_that_is_put_back_is_taken_in_no_second_time() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let (kept, erased) = (note("kept"), note("erased"));
    let ids = [kept, erased].map(|record| session.deposit(&record).unwrap());
    session.lock();
    drop((session, vault));
    let rows: Vec<(Vec<u8>, Vec<u8>)> = {
        let database = unsealed(&scratch.vault(), Class::Standard);
        let mut statement = database.prepare("SELECT id, body FROM deposits").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(rows.len(), 2);
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    assert!(lease.erase(ids[1]).unwrap());
    assert_eq!(lease.verify().unwrap().faults, []);
    drop(lease);
    drop((session, vault));
    for (id, body) in rows {
        plant(&scratch.vault(), &id.try_into().unwrap(), &body);
    }
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    assert_eq!(lease.get(ids[0]).unwrap().unwrap().revision(), Some(1));
    let faults = lease.verify().unwrap().faults;
    assert!(faults.iter().any(|fault| fault.kind == FaultKind::Records));
    drop(lease);
    drop(session);
}

#[test]
fn threads_that_deposit_while_others_step_up_lose_nothing() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let deposit = |session: &Session, thread: usize| {
        (0..20)
            .map(|number| {
                session
                    .deposit(&note(&format!("{thread} {number}")))
                    .unwrap()
            })
            .collect::<Vec<_>>()
    };
    let ids: Vec<RecordId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                scope.spawn({
                    let session = &session;
                    move || deposit(session, thread)
                })
            })
            .collect();
        for _ in 0..5 {
            drop(step_up(&session));
        }
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let lease = step_up(&session);
    assert_eq!(lease.count(&Query::new()).unwrap(), 60);
    assert!(ids.iter().all(|id| lease.get(*id).unwrap().is_some()));
    assert_eq!(lease.verify().unwrap().faults, []);
}

#[test]
fn what_was_deposited_is_in_no_file_in_clear_and_opens_with_no_key_of_standard() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    session.put(Record::new("Note", "canary-standard")).unwrap();
    session.deposit(&note("canary-priority")).unwrap();
    session.lock();
    drop((session, vault));
    let there = scratch.path().join("copy");
    copy(&scratch.vault(), &there);
    let database = unsealed(&there, Class::Standard);
    let body: Vec<u8> = database
        .query_row("SELECT body FROM deposits", [], |row| row.get(0))
        .unwrap();
    assert!(!body.windows(6).any(|window| window == b"canary"));
    drop(database);
    // Every key of Standard, as an AES key or as a private key, opens nothing.
    let (header, standard) = keys(&there, Class::Standard);
    let (_, priority) = keys(&there, Class::Priority);
    let id = {
        let database = unsealed(&there, Class::Standard);
        database
            .query_row("SELECT id FROM deposits", [], |row| {
                row.get::<_, [u8; 16]>(0)
            })
            .unwrap()
    };
    let opens = |private: &Key| open(&header.vault, &id, private, &standard.deposit, &body);
    assert!(
        opens(&priority.inbox)
            .is_some_and(|plain| { plain.windows(15).any(|window| window == b"canary-priority") })
    );
    for (name, key) in standard.all() {
        assert!(opens(&key).is_none(), "{name}");
    }
}

fn open(vault: &[u8; 16], id: &[u8; 16], ikm: &Key, psk: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (private, _) = X25519HkdfSha256::derive_keypair(ikm);
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed[1..33]).unwrap();
    let mode = hpke::OpModeR::Psk(PskBundle::new(psk, b"vitalock/1/deposit").unwrap());
    let info = [lp(b"vitalock/1/mail"), vault.to_vec(), vec![3]].concat();
    let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &mode, &private, &enc, &info,
    )
    .unwrap();
    let place = [
        &lp(b"vitalock/1/row")[..],
        &[1],
        vault,
        &[3, 10],
        &lp(b""),
        id,
        &[0; 24],
    ]
    .concat();
    let (plain, tag) = sealed[33..].split_at(sealed.len() - 49);
    let mut plain = plain.to_vec();
    let tag = hpke::aead::AeadTag::<AesGcm256>::from_bytes(tag).unwrap();
    context
        .open_inout_detached(plain.as_mut_slice().into(), &place, &tag)
        .ok()?;
    Some(plain)
}

#[test]
fn a_deposit_that_is_taken_out_is_found_by_verifying() {
    let scratch = Scratch::new();
    drop(make_quick_vault(&scratch.vault(), false));
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    session.deposit(&note("one")).unwrap();
    session.lock();
    drop((session, vault));
    let database = unsealed(&scratch.vault(), Class::Standard);
    assert_eq!(database.execute("DELETE FROM deposits", []).unwrap(), 1);
    drop(database);
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let faults = session.verify().unwrap().faults;
    assert_eq!(faults.len(), 1);
    assert_eq!(
        (faults[0].class, faults[0].kind),
        (Class::Standard, FaultKind::Records)
    );
}
