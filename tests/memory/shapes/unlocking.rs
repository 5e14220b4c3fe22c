//! Unlocking, by every kind of slot and in vain.

use vitalock::{
    Class, ContactKey, Credentials, EmergencyCode, EmergencyQuestion, ErrorKind, Passphrase, Query,
    RecoveryCode,
};

use super::{lock, put_and_read, step_up, unlock};
use crate::child::Child;

pub(crate) fn primary(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn biometric(child: &Child) {
    let vault = child.open();
    let session = vault
        .unlock(&Credentials::share(&child.host("finger")))
        .unwrap();
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn passphrase(child: &Child) {
    let vault = child.open();
    let words = child.words("long words");
    let session = vault.unlock(&Credentials::passphrase(&words)).unwrap();
    drop(words);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn emergency(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let id = session
        .put(child.record(Class::Emergency, 1, 500))
        .unwrap()
        .id;
    session.lock();
    let code = EmergencyCode::parse(child.typed("emergency code").bytes()).unwrap();
    let emergency = vault.unlock_emergency(&code, "found unconscious").unwrap();
    drop(code);
    let record = emergency.get(id).unwrap().expect("it was put");
    assert!(child.is_body(Class::Emergency, record.body()));
    drop(record);
    assert_eq!(emergency.query(&Query::new()).count(), 1);
    child.stop("emergency");
    emergency.lock();
    child.stop("locked");
    drop((emergency, session, vault));
    child.stop("locked");
}

pub(crate) fn contact(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let id = session
        .put(child.record(Class::Emergency, 1, 500))
        .unwrap()
        .id;
    let contact = ContactKey::make().unwrap();
    let lease = step_up(child, &session);
    let slots = lease.slots();
    let slot = slots.add_emergency_contact(&contact.public_key()).unwrap();
    drop(lease);
    session.lock();
    let request = vault.request_emergency(slot).unwrap();
    let question = EmergencyQuestion::read(&request.to_bytes()).unwrap();
    let answer = contact.answer(&question).unwrap();
    let emergency = vault.unlock_emergency_by_contact(&request, &answer, "found unconscious");
    let emergency = emergency.unwrap();
    let record = emergency.get(id).unwrap().expect("it was put");
    assert!(child.is_body(Class::Emergency, record.body()));
    drop(record);
    child.stop("emergency");
    emergency.lock();
    child.stop("locked");
}

pub(crate) fn wrong_factors(child: &Child) {
    let vault = child.open();
    let phone = child.host("phone");
    // A third failure would make the next attempt wait.
    for _ in 0..2 {
        let words = child.words("wrong words");
        let wrong = vault.unlock(&Credentials::passphrase(&words).and(&phone));
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::UnlockFailed);
    }
    let words = child.words("everyday words");
    let factors = Credentials::passphrase(&words).and(&phone);
    child.link.ask("refuse on", &mut [0]);
    assert_eq!(
        vault.unlock(&factors).unwrap_err().kind(),
        ErrorKind::ShareCancelled
    );
    child.link.ask("refuse off", &mut [0]);
    let code = child.typed("recovery code");
    assert!(RecoveryCode::parse(&code.bytes()[1..]).is_err());
    // One in 4,096 codes for the other use has the right checksum.
    drop(RecoveryCode::parse(child.typed("emergency code").bytes()));
    let mut typed = child.typed("everyday words");
    typed.bytes_mut()[3] = 7;
    let control = Passphrase::new(typed.bytes()).unwrap_err();
    assert_eq!(control.kind(), ErrorKind::PassphraseNotText);
    drop((words, code, typed));
    child.stop("locked");
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn many_unlocks(child: &Child) {
    let vault = child.open();
    for _ in 0..20 {
        let session = vault
            .unlock(&Credentials::share(&child.host("finger")))
            .unwrap();
        session.put(child.record(Class::Standard, 1, 100)).unwrap();
        session.lock();
    }
    for _ in 0..3 {
        unlock(child, &vault).lock();
    }
    child.stop("locked");
}
