//! Sealed rows in SQLite: one database for each protection class.
//!
//! **Does** open databases with asserted settings, keep rows, names and intents, find rows by
//! their index columns, and empty the write-ahead log after erasing.
//! **Never** sees a body in clear: it takes `Sealed` envelopes, integers, random identities, tokens
//! and entries of the search index, and a sealer for the pages that these lie in.
//! **Format** docs/spec/05-schema-and-pragmas.md, 06-page-seal.md.

mod audit;
mod connection;
mod deposits;
mod driver;
mod entries;
mod entry;
mod failure;
mod freed;
mod heap;
mod intents;
mod names;
mod need;
mod own_time;
mod probe;
mod removal;
mod rewrite;
mod rows;
mod scan;
#[cfg(test)]
mod scan_cost;
mod schema;
mod search;
mod settings;
mod slack;
mod statement;
mod store;
#[cfg(test)]
mod vacuum;
mod vfs;

pub(crate) use audit::SegmentRow;
pub(crate) use deposits::DepositRow;
pub(crate) use entries::Entered;
pub(crate) use entry::{Entries, Entry, FoundBy, IMPLIED, LONGEST_WORD, NewEntries, Own};
pub(crate) use heap::sqlite_heap_is_wiped;
pub(crate) use names::{StoredSubject, StoredTerm};
pub(crate) use need::Most;
pub(crate) use probe::{Bounds, Probe, Whole};
pub(crate) use removal::Gone;
pub(crate) use rows::{EarlierRow, IndexEntry, KindUsage, Row};
pub(crate) use scan::{Direction, Order, Position, Scan};
pub(crate) use search::{Clause, Search};
pub(crate) use settings::Setting;
pub(crate) use store::{Reading, Store, Writing};
