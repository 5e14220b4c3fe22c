//! The ways in which an app uses a vault. Each stops where its memory is to be searched: `held`
//! where everything may be there, `open`, `lease` and `emergency` where keys may be and nothing
//! else, `locked` where nothing may.

pub(crate) mod erasing;
pub(crate) mod expiring;
pub(crate) mod importing;
pub(crate) mod leasing;
pub(crate) mod making;
pub(crate) mod proof;
pub(crate) mod reading;
pub(crate) mod recovering;
pub(crate) mod slots;
pub(crate) mod threading;
pub(crate) mod unlocking;
pub(crate) mod writing;

use vitalock::{Batch, Class, Credentials, RecordId, Session, Vault};

use crate::canary::Field;
use crate::child::Child;

const CLASSES: [Class; 3] = [Class::Emergency, Class::Standard, Class::Priority];

/// Unlocks with the everyday passphrase and the phone's share, and wipes the passphrase.
fn unlock(child: &Child, vault: &Vault) -> Session {
    let words = child.words("everyday words");
    let phone = child.host("phone");
    vault
        .unlock(&Credentials::passphrase(&words).and(&phone))
        .unwrap()
}

fn step_up(child: &Child, session: &Session) -> vitalock::Lease {
    let words = child.words("everyday words");
    let phone = child.host("phone");
    session
        .step_up(&Credentials::passphrase(&words).and(&phone))
        .unwrap()
}

/// Puts a few records, reads them back, and says whether they are what was put.
fn put_and_read(child: &Child, session: &Session) -> RecordId {
    let id = session
        .put(child.record(Class::Standard, 1001, 100))
        .unwrap()
        .id;
    session
        .put(child.record(Class::Emergency, 1002, 4000))
        .unwrap();
    check(child, session, id);
    id
}

fn check(child: &Child, session: &Session, id: RecordId) {
    let record = session.get(id).unwrap().expect("it was put");
    assert!(child.is_body(record.protection_class(), record.body()));
}

/// Locks with every handle still alive, and again after they are gone.
fn lock(child: &Child, vault: Vault, session: Session) {
    child.stop("open");
    session.lock();
    child.stop("locked");
    drop((session, vault));
    child.stop("locked");
}

/// Forty records of the open classes, about two people.
fn fill(child: &Child, session: &Session) -> Vec<RecordId> {
    let mut batch = Batch::new();
    for number in 0..20 {
        for class in [Class::Emergency, Class::Standard] {
            let subject = if number % 2 == 0 {
                Field::Subject
            } else {
                Field::OtherSubject
            };
            batch.put(child.record_about(class, subject, number, 700));
        }
    }
    session
        .commit(&batch)
        .unwrap()
        .iter()
        .map(|stored| stored.id)
        .collect()
}
