//! Sealed rows in SQLite: one database for each protection class.
//!
//! **Does** open databases with asserted settings, keep rows, names and intents, find rows by
//! their index columns, and empty the write-ahead log after erasing.
//! **Never** sees a key, a name or a body in clear: it takes `Sealed` envelopes, integers, random
//! identities and tokens.
//! **Format** docs/spec/05-schema-and-pragmas.md.

mod connection;
mod failure;
mod heap;
mod intents;
mod main_file;
mod names;
mod rows;
mod scan;
#[cfg(test)]
mod scan_cost;
mod schema;
mod slack;
mod store;

pub(crate) use heap::sqlite_heap_is_wiped;
pub(crate) use names::{StoredSubject, StoredTerm};
pub(crate) use rows::{EarlierRow, IndexEntry, Row};
pub(crate) use scan::{Direction, Order, Position, Scan};
pub(crate) use store::{Reading, Store, Writing};
