//! Changing the key slots.

use vitalock::{Credentials, Passphrase};

use super::{lock, step_up, unlock};
use crate::child::Child;

pub(crate) fn new_passphrase(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let words = child.words("new words");
    let phone = child.host("phone");
    let factors = Credentials::passphrase(&words).and(&phone);
    lease.slots().replace(session.slot(), &factors).unwrap();
    let short = Passphrase::new(b"short").unwrap();
    let refused = lease
        .slots()
        .replace(session.slot(), &Credentials::passphrase(&short));
    assert!(refused.is_err());
    drop((words, lease));
    child.stop("open");
    session.lock();
    child.stop("locked");
    drop(session);
    let words = child.words("new words");
    let session = vault
        .unlock(&Credentials::passphrase(&words).and(&phone))
        .unwrap();
    drop(words);
    lock(child, vault, session);
}

pub(crate) fn slots(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let (finger, words) = (child.host("finger"), child.words("new words"));
    let slots = lease.slots();
    let biometric = slots.dangerous_add_biometric_for_priority(&finger).unwrap();
    let earlier = session.slot();
    slots.add(&Credentials::passphrase(&words)).unwrap();
    drop(words);
    let emergency = slots.add_emergency().unwrap();
    emergency.reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    drop(emergency);
    slots.remove(earlier, Some(&child.host("phone"))).unwrap();
    slots.remove(biometric, Some(&finger)).unwrap();
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn new_code(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let (words, phone) = (child.words("everyday words"), child.host("phone"));
    let slots = lease.slots();
    let factors = Credentials::passphrase(&words).and(&phone);
    let renewal = slots.renew_recovery(&factors).unwrap();
    renewal
        .code()
        .reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    let typed = child.typed("new code");
    renewal.confirm(typed.bytes()).unwrap();
    drop(renewal);
    drop((typed, words));
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}
