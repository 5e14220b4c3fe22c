//! The peer `sqlcipher`: SQLCipher 4 with its defaults and a raw key.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

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
        let version =
            connection.query_row("PRAGMA cipher_version", [], |row| row.get::<_, String>(0));
        let version = version.expect("without a version this is not SQLCipher");
        format!("SQLCipher {version} on SQLite {}", rusqlite::version())
    }

    /// A raw key: nothing is stretched.
    fn unlock(connection: &Connection) {
        connection.execute_batch(KEY).unwrap();
    }
}

const KEY: &str =
    r#"PRAGMA key = "x'2DD29CA851E7B56E4697B0E1F08507293D761A05CE4D1B628663F411A8086D99'";"#;

fn main() {
    peer::serve::serve::<Rows<SqlCipher>>();
}
