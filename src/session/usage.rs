//! What takes the room: by class and kind, and by file.

use std::fmt;

use super::classes::{Reach, database};
use super::live::Inner;
use super::names::as_u64;
use crate::class::Class;
use crate::error::Result;
use crate::fs::{FileSize, VaultSize};
use crate::keys::TokenSpace;
use crate::secret::SecretText;
use crate::storage::KindUsage;

/// What takes the room in a vault, as far as whoever asks may know.
#[derive(Debug)]
#[non_exhaustive]
pub struct Usage {
    /// The records of each kind, those that take most first.
    pub kinds: Vec<KindSize>,
    /// The files, of all classes together.
    pub size: VaultSize,
    /// Each file: the databases that are open and their logs, and those that are no class's.
    pub files: Vec<FileSize>,
}

/// What the records of one kind in one class take.
pub struct KindSize {
    class: Class,
    kind: SecretText,
    records: u64,
    revisions: u64,
    bytes: u64,
}

impl KindSize {
    /// The class they are in.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The kind.
    pub fn kind(&self) -> &str {
        self.kind.expose()
    }

    /// How many records, those that have expired and are not yet erased among them.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many earlier revisions.
    pub fn revisions(&self) -> u64 {
        self.revisions
    }

    /// How many bytes their sealed bodies take, with the fields that are sealed with them. Indexes,
    /// pages that are not full and the audit trail come on top; the files say how much that is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Debug for KindSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindSize")
            .field("class", &self.class)
            .field("records", &self.records)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

pub(super) fn usage(inner: &Inner, reach: Reach) -> Result<Usage> {
    let anything = SecretText::copy_of("");
    inner.with(reach, |open| {
        let mut kinds = Vec::new();
        open.steadily(|| {
            for class in open.within(reach) {
                class.store.read(|reading| {
                    for size in reading.usage()? {
                        let KindUsage { kind, .. } = size;
                        let term = class
                            .names
                            .term(&class.keys, reading, kind, TokenSpace::Kind);
                        kinds.push(KindSize {
                            class: class.class(),
                            kind: term?.text.clone(),
                            records: as_u64(size.records),
                            revisions: as_u64(size.revisions),
                            bytes: as_u64(size.bytes),
                        });
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        for class in open.within(reach) {
            inner.tally_query(reach, class.class(), &anything);
            if kinds.iter().any(|size| size.class == class.class()) {
                inner.admit(open, reach, class, &anything)?;
            }
        }
        kinds.sort_by_key(|size| std::cmp::Reverse(size.bytes));
        let (size, mut files) = inner
            .opening
            .with_dir(|dir| Ok((dir.size()?, dir.files()?)))?;
        let closed: Vec<_> = Class::ALL
            .into_iter()
            .filter(|class| open.class(reach, *class).is_err())
            .map(|class| database(class).text())
            .collect();
        files.retain(|file| !closed.iter().any(|closed| file.name.starts_with(closed)));
        Ok(Usage { kinds, size, files })
    })
}
