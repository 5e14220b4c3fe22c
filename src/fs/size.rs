//! What a vault takes of the medium.
//!
//! **Does** add up how long the files are, without opening one.
//! **Never** follows a link, or counts what is not the vault's.
//! **Format** none.

use super::name::{FileName, WAL};
use super::root::Root;
use crate::error::Result;

/// What a vault's files take of the medium, in bytes, as long as they are at this moment. The file
/// system may round each up to its own blocks.
///
/// # Security
///
/// Whoever can see the files sees this too, locked or not, and which of them grows: see
/// `docs/threat-model.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VaultSize {
    /// The databases of all classes, which hold the records.
    pub databases: u64,
    /// Their write-ahead logs. They grow with what is written while a session is open, and are
    /// emptied into the databases as it goes on, where something is erased, and when it ends; after
    /// a crash, at the next unlock.
    pub logs: u64,
    /// The header's copies, with the key slots, the table of failed attempts, what happened while the
    /// vault was locked, and the reserve for a full disk.
    pub headers: u64,
}

impl VaultSize {
    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.databases
            .saturating_add(self.logs)
            .saturating_add(self.headers)
    }
}

/// What one file takes, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSize {
    /// Its name in the vault's directory.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
}

/// Every file that is there, in the order of their names.
pub(super) fn each(root: &Root) -> Result<Vec<FileSize>> {
    let databases = FileName::DATABASES.into_iter();
    let databases = databases.flat_map(|name| [name.companion(""), name.companion(WAL)]);
    let small = SMALL.iter().map(|name| name.companion(""));
    let mut files = Vec::new();
    for name in databases.chain(small) {
        let bytes = root.length(&name)?;
        if bytes > 0 {
            files.push(FileSize { name, bytes });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

const SMALL: [FileName; 6] = [
    FileName::Attempts,
    FileName::Events,
    FileName::Header,
    FileName::HeaderTwin,
    FileName::HeaderDraft,
    FileName::Reserve,
];

pub(super) fn of(root: &Root) -> Result<VaultSize> {
    let sum = |names: &[String]| -> Result<u64> {
        names.iter().try_fold(0, |sum: u64, name| {
            Ok(sum.saturating_add(root.length(name)?))
        })
    };
    Ok(VaultSize {
        databases: sum(&FileName::DATABASES.map(|name| name.companion("")))?,
        logs: sum(&FileName::DATABASES.map(|name| name.companion(WAL)))?,
        headers: sum(&SMALL.map(|name| name.companion("")))?,
    })
}
