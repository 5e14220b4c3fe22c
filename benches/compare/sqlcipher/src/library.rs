//! SQLCipher 4 with its defaults and a raw key.

use rusqlite::Connection;

/// The name and version of what is linked.
pub(crate) fn version(connection: &Connection) -> String {
    let version = connection.query_row("PRAGMA cipher_version", [], |row| row.get::<_, String>(0));
    let version = version.expect("without a version this is not SQLCipher");
    format!("SQLCipher {version} on SQLite {}", rusqlite::version())
}

/// A raw key: nothing is stretched.
pub(crate) fn unlock(connection: &Connection) {
    connection.execute_batch(KEY).unwrap();
}

const KEY: &str =
    r#"PRAGMA key = "x'2DD29CA851E7B56E4697B0E1F08507293D761A05CE4D1B628663F411A8086D99'";"#;
