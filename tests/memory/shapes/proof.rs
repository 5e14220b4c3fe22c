//! Shapes that show that the search finds what is there, and what the vault says of its memory.

use unicode_normalization::UnicodeNormalization as _;
use vitalock::{Class, Credentials, FindingState, Passphrase, Vault};

use super::{CLASSES, fill, lock, put_and_read, unlock};
use crate::canary::Field;
use crate::child::Child;

/// Everything alive at once, in every class, so that the search is seen to find it.
pub(crate) fn control(child: &Child) {
    let vault = child.open();
    let typed = child.typed("everyday words");
    let words = Passphrase::new(typed.bytes()).unwrap();
    let phone = child.host("phone");
    let factors = Credentials::passphrase(&words).and(&phone);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let mut held = Vec::new();
    for class in CLASSES {
        let other = child.record_about(class, Field::OtherSubject, 1, 10);
        let ids = [other, child.record(class, 2, 4000)].map(|record| lease.put(record).unwrap().id);
        lease.put(super::importing::patient(child, class)).unwrap();
        held.push(ids.map(|id| lease.get(id).unwrap().unwrap()));
    }
    child.stop("held");
    drop((held, words, typed));
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

/// Keeps what it should not, in ways that an app or this crate might: the test must see each.
pub(crate) fn leak(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let typed = child.typed("everyday words");
    let copy = typed.bytes().to_vec();
    let points: Vec<char> = typed.text().nfc().collect();
    drop(typed);
    let name = child.subject(Class::Priority).text().to_owned();
    let share = child.share_of_primary();
    session.lock();
    // A vector that is given back without being wiped.
    drop(std::hint::black_box(child.body(Class::Emergency, 5000)));
    child.stop("locked");
    assert!(
        !copy.is_empty() && !points.is_empty() && !name.is_empty() && !share.bytes().is_empty()
    );
}

pub(crate) fn protection(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let protection = Vault::memory_protection();
    let report = vault.posture();
    let finding = report.finding("memory.keys").map(|finding| finding.state);
    let all = protection.keys_locked && protection.keys_undumpable && protection.sqlite_heap_wiped;
    let expected = match all {
        true => FindingState::Good,
        false => FindingState::Attention,
    };
    assert_eq!(finding, Some(expected), "the report says it, too");
    for (name, value) in [
        ("locked", protection.keys_locked),
        ("undumpable", protection.keys_undumpable),
        ("wiped", protection.sqlite_heap_wiped),
    ] {
        child.link.ask(&format!("says {name} {value}"), &mut [0]);
    }
    fill(child, &session);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn sqlite_first(child: &Child) {
    let other = rusqlite::Connection::open_in_memory().unwrap();
    other.execute_batch("CREATE TABLE host (own)").unwrap();
    protection(child);
}
