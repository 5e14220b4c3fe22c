//! What a write is answered.

use std::fmt;

use crate::id::RecordId;
use crate::records::Outcome;
use crate::secret::SecretText;

/// A resource that was written, or that was there already.
#[derive(Clone)]
pub struct SavedResource {
    pub(super) reference: SecretText,
    pub(super) version: u64,
    pub(super) outcome: Outcome,
    pub(super) record: RecordId,
}

impl SavedResource {
    /// What others refer to it by: its type and id, such as `Patient/p1`.
    pub fn reference(&self) -> &str {
        self.reference.expose()
    }

    /// The resource's logical id.
    pub fn id(&self) -> &str {
        let reference = self.reference();
        reference.split_once('/').map_or(reference, |(_, id)| id)
    }

    /// The number of the version that is there now: `meta.versionId`.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether something changed.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The record that holds the resource.
    pub fn record(&self) -> RecordId {
        self.record
    }
}

impl fmt::Debug for SavedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedResource")
            .field("version", &self.version)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
