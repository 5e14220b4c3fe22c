//! The databases of a closed vault as SQLite sees them, thousands of times: a page that was met
//! before is not unsealed again.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use vitalock::Class;

use crate::support::Scratch;
use crate::support::fixture::{assert_whole_and_settled_below, database, seal};
use crate::support::spec::pages::{PAGE, TAIL, Unit};

/// A sealed page, and what it is without its seal.
type Known = Arc<(Vec<u8>, Vec<u8>)>;

/// Checks that every database is whole and that no change waits; how many records each has.
pub(crate) fn rows_of(vault: &Path) -> Vec<i64> {
    let scratch = Scratch::in_memory();
    let classes = Class::ALL.into_iter();
    let rows = classes.map(|class| {
        let path = database(vault, class);
        let name = path.file_name().unwrap().to_str().unwrap();
        let log = path.with_file_name(format!("{name}-wal"));
        assert!(!log.exists(), "a vault that is closed has no log");
        let plain = scratch.path().join(name);
        fs::write(&plain, plain_pages(vault, class, &fs::read(&path).unwrap())).unwrap();
        let connection = rusqlite::Connection::open(&plain).unwrap();
        assert_whole_and_settled_below(&connection, name)
    });
    rows.collect()
}

/// How many pages are known at once.
const MOST: usize = 8000;

fn plain_pages(vault: &Path, class: Class, sealed: &[u8]) -> Vec<u8> {
    static KNOWN: Mutex<Option<HashMap<Vec<u8>, Known>>> = Mutex::new(None);
    assert!(sealed.len().is_multiple_of(PAGE));
    let seal = seal(vault, class);
    let mut plain = Vec::with_capacity(sealed.len());
    for (page, number) in sealed.chunks(PAGE).zip(1..) {
        let (_, tail) = page.split_at(PAGE - TAIL);
        let known = {
            let known = KNOWN.lock().unwrap();
            known.as_ref().and_then(|known| known.get(tail).cloned())
        };
        let known = known.filter(|known| known.0 == page).unwrap_or_else(|| {
            let opened = seal.open(Unit::Page(number), page);
            let mut opened = opened.unwrap_or_else(|| panic!("page {number} does not open"));
            opened.resize(PAGE, 0);
            let known = Arc::new((page.to_vec(), opened));
            let mut all = KNOWN.lock().unwrap();
            let all = all.get_or_insert_default();
            if all.len() > MOST {
                all.clear();
            }
            all.insert(tail.to_vec(), Arc::clone(&known));
            known
        });
        plain.extend_from_slice(&known.1);
    }
    plain
}
