//! The whole story once: make, put, lock, unlock, find, step up, erase.

use vitalock::{Class, Credentials, ErrorKind, Outcome, Query, Record, Timestamp, Vault};

use crate::support::{Keystore, Scratch, make_vault, words};

#[test]
fn a_record_comes_back_after_lock_and_unlock_in_another_handle() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    let record = Record::new("Observation", "seventy-two beats")
        .subject("Patient/1")
        .effective(at);
    let stored = session.put(record).unwrap();
    assert_eq!((stored.revision, stored.outcome), (1, Outcome::Created));
    session.lock();
    assert_eq!(
        session.get(stored.id).unwrap_err().kind(),
        ErrorKind::Locked
    );
    drop((session, vault));

    let vault = Vault::open(scratch.vault()).unwrap();
    let session = vault.unlock(&factors).unwrap();
    let record = session.get(stored.id).unwrap().expect("it was put");
    assert_eq!(record.body(), b"seventy-two beats");
    assert_eq!(record.subject_name(), Some("Patient/1"));
    assert_eq!(record.effective_time(), Some((at, at)));
    let found: Vec<_> = session
        .query(&Query::new())
        .map(|found| found.unwrap().id())
        .collect();
    assert_eq!(found, [Some(stored.id)]);
    assert_eq!(session.count(&Query::new().kind("Observation")).unwrap(), 1);
    assert_eq!(session.count(&Query::new().kind("Condition")).unwrap(), 0);
}

#[test]
fn priority_opens_to_a_lease_and_to_nothing_else() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let secret = || {
        Record::new("Note", "for few eyes")
            .subject("Patient/1")
            .class(Class::Priority)
    };
    assert_eq!(
        session.put(secret()).unwrap_err().kind(),
        ErrorKind::LeaseRequired
    );
    let lease = session.step_up(&factors).unwrap();
    let stored = lease.put(secret()).unwrap();
    assert_eq!(
        lease.get(stored.id).unwrap().expect("put").body(),
        b"for few eyes"
    );
    assert!(session.get(stored.id).unwrap().is_none());
    assert_eq!(
        (
            session.count(&Query::new()).unwrap(),
            lease.count(&Query::new()).unwrap()
        ),
        (0, 1)
    );
    let escaped = (*lease).clone();
    drop(lease);
    let refused = escaped.get(stored.id).unwrap_err().kind();
    assert_eq!(refused, ErrorKind::LeaseExpired);

    let lease = session.step_up(&factors).unwrap();
    lease
        .put(Record::new("Note", "for more eyes").subject("Patient/1"))
        .unwrap();
    lease
        .put(Record::new("Note", "another's").subject("Patient/2"))
        .unwrap();
    assert_eq!(
        session.erase_subject("Patient/1").unwrap_err().kind(),
        ErrorKind::LeaseRequired
    );
    lease.erase_subject("Patient/1").unwrap();
    assert_eq!(lease.count(&Query::new()).unwrap(), 1);
    assert!(
        lease
            .erase(
                lease
                    .query(&Query::new())
                    .next()
                    .unwrap()
                    .unwrap()
                    .id()
                    .unwrap()
            )
            .unwrap()
    );
}

#[test]
fn recovery_replaces_every_factor_and_the_code() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &keystore);
    let id = {
        let session = vault
            .unlock(&Credentials::passphrase(&words).and(&keystore))
            .unwrap();
        session.put(Record::new("Note", "kept")).unwrap().id
    };
    let code = vitalock::RecoveryCode::parse(code.as_bytes()).unwrap();
    let (phone, new_words) = (
        Keystore::new(),
        vitalock::Passphrase::new(b"another 4 herons").unwrap(),
    );
    let new = Credentials::passphrase(&new_words).and(&phone);
    let old = Credentials::recovery(&code).and_passphrase(&words);
    let mut recovery = vault.recover(&old, new).unwrap();
    let fresh = recovery.code().reveal(str::to_owned);
    let wrong = recovery.confirm(b"0000").unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::RecoveryCodeMistyped);
    let session = recovery.confirm(fresh.as_bytes()).unwrap();
    assert_eq!(session.get(id).unwrap().expect("kept").body(), b"kept");
    drop(session);
    assert_eq!(
        vault
            .unlock(&Credentials::passphrase(&words).and(&keystore))
            .unwrap_err()
            .kind(),
        ErrorKind::UnlockFailed
    );
    assert_eq!(
        vault.recover(&old, new).unwrap_err().kind(),
        ErrorKind::UnlockFailed
    );
    drop(vault.unlock(&new).unwrap());
}
