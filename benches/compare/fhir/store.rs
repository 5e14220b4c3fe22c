//! What every peer of the FHIR contest can do.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// A store of FHIR resources with a search index. Every call does the whole work that an app would
/// have it do.
pub(crate) trait Store: Sized {
    /// Makes an empty store in this directory, and leaves it open.
    fn make(at: &Path) -> Self;

    /// The name and version of what is measured.
    fn version(&self) -> String;

    /// Puts these together with what they are found by: durable when it returns. Tells how much of
    /// the time went into work that an importer may do beforehand.
    fn put(&mut self, resources: &[String]) -> Duration;

    /// Reads the resource with this type and id.
    fn read(&mut self, kind: &str, id: &str, found: &mut dyn FnMut(&[u8]));

    /// What an app has at hand when it asks for this page. Not timed.
    fn prepare(&mut self, search: &str, page: u64);

    /// Reads a page of a search, which is as long as its `_count`; everything where there is none.
    fn search(&mut self, search: &str, page: u64, found: &mut dyn FnMut(&[u8]));

    /// Reads everything about a patient: what refers to it as the official compartment says, and what
    /// that refers to outside of it. Nothing comes twice.
    fn everything(&mut self, patient: &str, found: &mut dyn FnMut(&[u8]));

    /// How many rows there are, by table; nothing if the store does not tell.
    fn rows(&mut self) -> Value;

    /// Closes every file. Only [`open`](Self::open) follows.
    fn close(&mut self);

    /// Opens the store with the key at hand.
    fn open(&mut self);
}
