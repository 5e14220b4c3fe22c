//! A directory as it is: names, kinds, modes, owners, contents.

use std::fmt::{self, Debug, Formatter};
use std::fs::{self, DirEntry};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// One thing in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) content: Vec<u8>,
}

impl Debug for Found {
    /// The content as its length and a checksum, so that two trees can be compared by eye.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut sum = DefaultHasher::new();
        self.content.hash(&mut sum);
        let (len, sum) = (self.content.len(), sum.finish());
        let Self { name, kind, .. } = self;
        let (mode, owner) = (self.mode, self.owner);
        write!(
            f,
            "{name}: {kind} {mode:o} of {owner}, {len} bytes, {sum:x}"
        )
    }
}

/// Everything below a directory, itself first, without following a link.
pub(crate) fn tree(root: &Path) -> Vec<Found> {
    let mut all = Vec::new();
    walk(root, root, true, &mut all);
    all.sort();
    all
}

/// The same without contents, which a process may be writing, and without what went meanwhile.
pub(crate) fn names(root: &Path) -> Vec<Found> {
    let mut all = Vec::new();
    walk(root, root, false, &mut all);
    all.sort();
    all
}

fn walk(root: &Path, path: &Path, contents: bool, all: &mut Vec<Found>) {
    let Ok(metadata) = path.symlink_metadata() else {
        return;
    };
    let kind = metadata.file_type();
    let (kind, content) = if kind.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        ("link", target.into_os_string().into_encoded_bytes())
    } else if kind.is_dir() {
        ("directory", Vec::new())
    } else if kind.is_fifo() {
        ("fifo", Vec::new())
    } else if kind.is_file() && contents && !written_in_vain(path) {
        ("file", fs::read(path).unwrap())
    } else if kind.is_file() {
        ("file", Vec::new())
    } else {
        ("device", Vec::new())
    };
    let name = path.strip_prefix(root).unwrap();
    all.push(Found {
        name: name.to_str().unwrap().to_owned(),
        kind,
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
        content,
    });
    if metadata.is_dir() {
        let entries = fs::read_dir(path).map(|entries| entries.collect::<Vec<_>>());
        for entry in entries.into_iter().flatten() {
            let entry: Option<DirEntry> = entry.ok();
            if let Some(entry) = entry {
                walk(root, &entry.path(), contents, all);
            }
        }
    }
}

/// What every attempt writes into, whatever comes of it. The content is left out.
fn written_in_vain(path: &Path) -> bool {
    ["attempts", "events"]
        .map(|name| Some(name.as_ref()))
        .contains(&path.file_name())
}
