//! How much of a document the reader takes.
//!
//! **Does** hold five bounds, each with a default that real documents keep.
//! **Never** has an unlimited setting.
//! **Format** none.

/// The deepest nesting that may be allowed: what common JSON parsers downstream still read.
const DEEPEST: u32 = 127;

/// Bounds on what a [`Reader`](super::Reader) takes.
///
/// The deepest of the official R4 examples has 21 levels, the largest is under 3 MiB.
///
/// # Examples
///
/// ```
/// use vitalock::fhir::{Limits, Reader};
///
/// let reader = Reader::with_limits(Limits::default().max_depth(2));
/// let error = reader.resource(br#"{"resourceType":"Basic","code":{"coding":[]}}"#).unwrap_err();
/// assert_eq!(error.kind(), vitalock::ErrorKind::FhirTooDeep);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub(super) document_bytes: usize,
    pub(super) resource_bytes: usize,
    pub(super) resources: usize,
    pub(super) members: usize,
    pub(super) depth: u32,
}

impl Limits {
    /// The longest document, in bytes. By default 64 MiB.
    #[must_use]
    pub fn max_document_bytes(mut self, bytes: usize) -> Self {
        self.document_bytes = bytes;
        self
    }

    /// The longest single resource, in bytes. By default 16 MiB.
    #[must_use]
    pub fn max_resource_bytes(mut self, bytes: usize) -> Self {
        self.resource_bytes = bytes;
        self
    }

    /// The most entries of a Bundle, with or without a resource, or lines of NDJSON, blank ones
    /// not counted. By default 100,000.
    #[must_use]
    pub fn max_resources(mut self, count: usize) -> Self {
        self.resources = count;
        self
    }

    /// The most members of one object. By default 1,024: no object of R4 comes near it.
    #[must_use]
    pub fn max_members(mut self, count: usize) -> Self {
        self.members = count;
        self
    }

    /// The deepest nesting of objects and arrays, the outermost object being 1. By default 64;
    /// more than 127 is taken as 127.
    #[must_use]
    pub fn max_depth(mut self, depth: u32) -> Self {
        self.depth = depth.min(DEEPEST);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 64 << 20,
            resource_bytes: 16 << 20,
            resources: 100_000,
            members: 1024,
            depth: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_allows_more_depth_than_parsers_downstream_take() {
        assert_eq!(Limits::default().max_depth(u32::MAX).depth, 127);
    }
}
