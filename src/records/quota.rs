//! How much there may be of a kind.

use std::fmt;

use crate::secret::SecretText;

/// How much there may be of one kind in each class, for
/// [`Session::set_quotas`](crate::Session::set_quotas). What is pinned is not counted. A quota without
/// a limit removes nothing.
///
/// # Examples
///
/// ```
/// use vitalock::Quota;
///
/// let scans = Quota::new("DocumentReference").bytes(200 * 1024 * 1024);
/// let vitals = Quota::new("Observation").records(100_000).bytes(50 * 1024 * 1024);
/// # drop([scans, vitals]);
/// ```
#[derive(Clone)]
pub struct Quota {
    pub(crate) kind: SecretText,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Quota {
    /// A quota for records of this kind, which has no limit yet.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: SecretText::copy_of(kind),
            records: u64::MAX,
            bytes: u64::MAX,
        }
    }

    /// At most so many records.
    #[must_use]
    pub fn records(mut self, most: u64) -> Self {
        self.records = most;
        self
    }

    /// At most so many bytes, as [`KindSize::bytes`](crate::KindSize::bytes) counts them: sealed
    /// bodies, earlier revisions among them.
    #[must_use]
    pub fn bytes(mut self, most: u64) -> Self {
        self.bytes = most;
        self
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota")
            .field("records", &self.records)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
