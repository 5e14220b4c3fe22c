//! Pages that nothing uses, given back to the file system.
//!
//! SQLite keeps a page that became free for what is written next. Under incremental vacuum it takes
//! pages from the end of the file into the free places when it is told to, so that the file ends
//! earlier once the log was emptied.

use rusqlite::Connection;

use super::failure::from_sqlite;
use super::schema::PAGE_BYTES;
use super::store::cached;
use crate::error::Result;

/// Pages that are given back in one transaction, whose every change is held in memory: those of one
/// mebibyte.
pub(super) const STEP: u64 = 256;

/// How many bytes of the database lie in pages that nothing uses.
pub(super) fn unused(connection: &Connection) -> Result<u64> {
    Ok(pragma(connection, "freelist_count")? * page_bytes())
}

/// Gives back up to `most` pages; how many that were, with those that held nothing but where they
/// came from. To be called in a transaction.
pub(super) fn give_back(writer: &Connection, most: u64) -> Result<u64> {
    let before = pragma(writer, "page_count")?;
    let mut statement = cached(writer, "PRAGMA incremental_vacuum")?;
    let mut steps = statement.query([]).map_err(from_sqlite)?;
    // The statement gives one page back at each step.
    for _ in 0..most {
        if steps.next().map_err(from_sqlite)?.is_none() {
            break;
        }
    }
    drop(steps);
    Ok(before.saturating_sub(pragma(writer, "page_count")?))
}

/// How many whole pages are in as many bytes, and at least one.
pub(super) fn pages_in(bytes: u64) -> u64 {
    (bytes / page_bytes()).max(1)
}

pub(super) fn page_bytes() -> u64 {
    u64::try_from(PAGE_BYTES).unwrap_or(u64::MAX)
}

fn pragma(connection: &Connection, name: &str) -> Result<u64> {
    let count = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(u64::try_from(count.map_err(from_sqlite)?).unwrap_or(0))
}
