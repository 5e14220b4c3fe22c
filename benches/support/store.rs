//! What every store under measurement can do.

use super::population::Observation;
use super::question::Question;

/// A store of records. Every call does the whole work that an app would have it do.
pub(crate) trait Store {
    /// Puts these together: durable when it returns. Record number `n` is the `n`-th put.
    fn put(&mut self, records: Vec<Observation>);

    /// Reads the record with this number; the length of its body.
    fn read(&mut self, number: u64) -> usize;

    /// The first `most` matches, read whole; how many they are and how long their bodies.
    fn find(&mut self, question: &Question, most: usize) -> (usize, usize);

    /// How many records a person has of one kind.
    fn count(&mut self, question: &Question) -> u64;

    /// Takes a FHIR Bundle in, once however often it comes; how many resources it holds.
    fn import(&mut self, bundle: &[u8]) -> usize;

    /// How many records were put.
    fn len(&self) -> u64;

    /// Looks up what a question needs and what is not measured.
    fn prepare(&mut self, question: &Question);

    /// Closes every file. Nothing else is called before [`open`](Self::open).
    fn close(&mut self);

    /// Opens the store again with a key that is at hand, up to the first record. `files` is for
    /// plain SQLite: a vault always opens two databases.
    fn open(&mut self, number: u64, files: Files) -> usize;

    /// The bytes of all files, once nothing waits in a log. The store stays open.
    fn bytes_on_disk(&mut self) -> u64;

    /// Opens the closed store with a passphrase. A store that knows none does the stretching alone.
    fn unlock(&mut self, cost: Cost);
}

/// How dear a passphrase is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    Default,
    Floor,
}

/// How many databases plain SQLite opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    One,
    Two,
}
