//! A vault with much that nothing uses: long records that were replaced by short ones.

use std::collections::BTreeMap;
use std::path::Path;

use vitalock::{Batch, Class, Query, Record, RecordId, Session, Vault};

use crate::support::Scratch;
use crate::support::fixture::{copy, make_quick_vault, step_up, unlock};

/// What every record holds.
pub(crate) type Bodies = BTreeMap<RecordId, Vec<u8>>;

/// A closed vault, to copy.
pub(crate) struct Loose {
    scratch: Scratch,
    pub(crate) bodies: Bodies,
}

/// How many records there are in each class, one in four of which stays long.
const RECORDS: usize = 48;
const LONG: usize = 20_000;

impl Loose {
    pub(crate) fn make() -> Self {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), false);
        let session = unlock(&vault);
        let lease = step_up(&session);
        let mut bodies = Bodies::new();
        for class in Class::ALL {
            let mut batch = Batch::new();
            for at in 0..RECORDS {
                batch.put(Record::new("Note", body(at, LONG)).class(class));
            }
            for (at, stored) in lease.commit(&batch).unwrap().iter().enumerate() {
                let mut held = body(at, LONG);
                if at % 4 != 3 {
                    held = body(at, 100 + at);
                    let record = lease.get(stored.id).unwrap().unwrap();
                    lease.put(record.with_body(held.clone())).unwrap();
                }
                bodies.insert(stored.id, held);
            }
        }
        drop(lease);
        session.lock();
        drop((session, vault));
        Self { scratch, bodies }
    }

    /// A copy of the vault, in a directory that is removed with the value.
    pub(crate) fn copy(&self) -> Scratch {
        let scratch = Scratch::new();
        copy(&self.scratch.vault(), &scratch.vault());
        scratch
    }
}

/// Bytes that are the same in every run and do not repeat.
pub(crate) fn body(seed: usize, length: usize) -> Vec<u8> {
    let numbers = (0..).map(|at: u64| crate::population::mix((seed as u64) << 32 | at));
    numbers.flat_map(u64::to_le_bytes).take(length).collect()
}

/// Everything that a lease finds.
pub(crate) fn bodies(session: &Session) -> Bodies {
    let records = session.query(&Query::new()).map(Result::unwrap);
    records
        .map(|record| (record.id().unwrap(), record.body().to_vec()))
        .collect()
}

/// The same of a vault that is opened for it.
pub(crate) fn bodies_in(dir: &Path) -> Bodies {
    let vault = Vault::open(dir).unwrap();
    let session = unlock(&vault);
    bodies(&step_up(&session))
}
