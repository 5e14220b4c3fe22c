//! The peer `plain`: SQLite without a key, the floor of every comparison.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

#[path = "../../peer/mod.rs"]
mod peer;
mod rows;
#[path = "../../../support/sql.rs"]
#[allow(dead_code, reason = "only its own part is used")]
mod sql;

use rows::{Library, Rows};
use rusqlite::Connection;

struct Plain;

impl Library for Plain {
    fn version(_connection: &Connection) -> String {
        format!("SQLite {}", rusqlite::version())
    }

    fn unlock(connection: &Connection) {
        // This project compiles SQLite to overwrite what is deleted; plain SQLite does not.
        connection
            .pragma_update_and_check(None, "secure_delete", 0, |_| Ok(()))
            .unwrap();
    }
}

fn main() {
    peer::serve::serve::<Rows<Plain>>();
}
