//! Attackers who put back what was (T4), what somebody sends (T8), and what happens to the owner
//! (T10).

use vitalock::fhir::Reader;
use vitalock::{Class, Credentials, ErrorKind, Passphrase, Query, Record, RecoveryCode, Vault};

use crate::support::{Keystore, options, words};
use crate::try_both;
use crate::victims::{Victim, record};

fn live_on(victim: &Victim) {
    let (vault, words) = (victim.open(), words());
    let session = vault.unlock(&victim.factors(&words)).unwrap();
    session
        .put(Record::new("Allergy", "to penicillin"))
        .unwrap();
    session.lock();
}

fn kind(victim: &Victim) -> Option<ErrorKind> {
    let words = words();
    let unlocked = victim.open().unlock(&victim.factors(&words));
    unlocked.map(drop).err().map(|error| error.kind())
}

/// T4, A6: the whole directory as it was yesterday.
#[test]
fn yesterdays_directory_is_not_taken_for_todays() {
    let opens = |victim: &Victim| {
        let yesterday = victim.image();
        live_on(victim);
        victim.put_back(&yesterday);
        kind(victim).is_none()
    };
    let weaker = Victim::with(options(), true, false);
    try_both(opens, &Victim::new(), &weaker);
    let victim = Victim::new();
    assert!(!opens(&victim));
    assert_eq!(kind(&victim), Some(ErrorKind::RollbackDetected));
}

/// T4, A6: one database as it was yesterday, between files of today.
#[test]
fn yesterdays_database_is_not_taken_for_todays() {
    let opens = |victim: &Victim| {
        let yesterday = victim.image();
        live_on(victim);
        let name = "standard.db";
        let old = std::fs::read(yesterday.vault().join(name)).unwrap();
        std::fs::write(victim.dir().join(name), old).unwrap();
        kind(victim).is_none()
    };
    let weaker = Victim::with(options(), true, false);
    try_both(opens, &Victim::new(), &weaker);
}

/// T4, A4: a header that still has the slot which was taken out, and whoever knows its words.
#[test]
fn yesterdays_header_brings_no_credential_back() {
    let former = Passphrase::new(b"what the former partner knows").unwrap();
    let now = Passphrase::new(b"what nobody knows any more").unwrap();
    let returns = |victim: &Victim| {
        let words = words();
        let former = victim.factors(&former);
        let vault = victim.open();
        let session = vault.unlock(&victim.factors(&words)).unwrap();
        let lease = session.step_up(&victim.factors(&words)).unwrap();
        let slot = lease.slots().add(&former).unwrap();
        session.anchor().ok();
        let with_both = victim.image();
        lease.slots().replace(slot, &victim.factors(&now)).unwrap();
        drop(lease);
        session.lock();
        drop((session, vault));
        for name in ["header", "header.2"] {
            let old = std::fs::read(with_both.vault().join(name)).unwrap();
            std::fs::write(victim.dir().join(name), old).unwrap();
        }
        victim.open().unlock(&former).is_ok()
    };
    // Neither an anchor nor a platform key that is gone with the slot.
    let weaker = Victim::with(options(), false, false);
    try_both(returns, &Victim::new(), &weaker);
    // Each of the two is enough.
    assert!(!returns(&Victim::with(options(), true, false)));
    assert!(!returns(&Victim::with(options(), false, true)));
}

/// T8, A7: a document that is made to exhaust its reader.
#[test]
fn a_document_that_is_nested_without_end_is_refused() {
    let deep = |levels: usize| {
        let (open, close) = (r#"{"extension":["#.repeat(levels), "]}".repeat(levels));
        format!(r#"{{"resourceType":"Patient","contact":[{open}{close}]}}"#)
    };
    let taken = |levels: &usize| {
        let document = deep(*levels);
        Reader::new().resource(document.as_bytes()).is_ok()
    };
    try_both(taken, &100_000, &2);
}

/// T10, A7: the phone is gone, and the passphrase is known.
#[test]
fn a_lost_phone_locks_nobody_out_who_has_the_written_code() {
    let victim = Victim::with(options(), true, false);
    let image = victim.image();
    let phone = Keystore::named("a-new-phone");
    let (words, code) = (
        words(),
        RecoveryCode::parse(victim.code.as_bytes()).unwrap(),
    );
    let vault = Vault::open(image.vault()).unwrap();
    let new = Credentials::passphrase(&words).and(&phone);
    // The attack fails: without the code there is no way.
    assert!(vault.unlock(&new).is_err());
    let old = Credentials::recovery(&code).and_passphrase(&words);
    let mut recovery = vault.recover(&old, new).unwrap();
    let typed = recovery.code().reveal(str::to_owned);
    let session = recovery.confirm(typed.as_bytes()).unwrap();
    assert_eq!(session.count(&Query::new()).unwrap(), 2);
    let lease = session.step_up(&new).unwrap();
    assert_eq!(
        lease.count(&Query::new().class(Class::Priority)).unwrap(),
        1
    );
    lease.put(record(Class::Priority)).unwrap();
}
