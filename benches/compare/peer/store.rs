//! What every peer can do.

use std::path::Path;

use super::population::Observation;

/// A store of records. Every call does the whole work that an app would have it do.
pub(crate) trait Store: Sized {
    /// Makes an empty store in this directory, and leaves it open.
    fn make(at: &Path) -> Self;

    /// The name and version of what is measured.
    fn version(&self) -> String;

    /// Puts these together: durable when it returns. Record number `n` is the `n`-th put.
    fn put(&mut self, records: Vec<Observation>);

    /// How many records were put.
    fn len(&self) -> u64;

    /// Reads the record with this number; the length of its body.
    fn read(&mut self, number: u64) -> usize;

    /// Reads every record from one time up to another; how many they are, and how long the bodies.
    fn range(&mut self, from: i64, until: i64) -> (usize, usize);

    /// Closes every file. Only [`open`](Self::open) follows.
    fn close(&mut self);

    /// Opens the store with the key at hand.
    fn open(&mut self);
}
