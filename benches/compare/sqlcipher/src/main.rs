//! The peer `sqlcipher`: SQLCipher 4 with its defaults and a raw key.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

mod library;
#[path = "../../peer/mod.rs"]
mod peer;
#[path = "../../plain/src/rows.rs"]
mod rows;
#[path = "../../../support/sql.rs"]
#[allow(dead_code, reason = "only its own part is used")]
mod sql;

use rows::{Library, Rows};
use rusqlite::Connection;

struct SqlCipher;

impl Library for SqlCipher {
    fn version(connection: &Connection) -> String {
        library::version(connection)
    }

    fn unlock(connection: &Connection) {
        library::unlock(connection);
    }
}

fn main() {
    peer::serve::serve::<Rows<SqlCipher>>();
}
