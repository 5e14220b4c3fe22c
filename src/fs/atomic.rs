//! Replacing a small file so that a crash leaves the old content or the new.
//!
//! **Does** write a draft beside it, make it durable, rename it over the old file, and ask for the
//! rename to be made durable.
//! **Never** writes into a file that is in use, or outside the vault's directory.
//! **Format** none.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, renameat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::{errno, private};
use crate::error::Result;

/// Puts `bytes` under `name`, by way of `draft`. After an error the old content is there; without
/// one the new is.
pub(super) fn replace(dir: impl AsFd, name: &str, draft: &str, bytes: &[u8]) -> Result<()> {
    let dir = dir.as_fd();
    remove(dir, draft)?;
    let written = private::create(dir, draft)
        .map_err(errno::writing)
        .and_then(|file| write(file, bytes))
        .and_then(|()| renameat(dir, draft, dir, name).map_err(errno::writing));
    if let Err(error) = written {
        // On a full disk the half-written draft holds space that an erasure could use. Should the
        // removal fail too, the next replacement begins with it.
        _ = remove(dir, draft);
        return Err(error);
    }
    // The name holds the new content by now, and an error would say that it does not. What must
    // not happen before the medium has confirmed it begins with a `sync` of its own.
    _ = sync(dir);
    Ok(())
}

/// Removes a name, whatever it is short of a directory; no error where there is none.
pub(super) fn remove(dir: impl AsFd, name: &str) -> Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(errno::writing(error)),
    }
}

/// Makes a file, or the names in a directory, durable.
pub(super) fn sync(file: impl AsFd) -> Result<()> {
    retry_on_intr(|| flush(&file)).map_err(errno::writing)
}

fn write(file: OwnedFd, bytes: &[u8]) -> Result<()> {
    let mut file = File::from(file);
    file.write_all(bytes)
        .map_err(|error| errno::of_io(&error, errno::writing))?;
    sync(&file)
}

/// On Apple's systems `fsync` stops at the drive's own cache, and `F_FULLFSYNC` goes through it
/// where the file system knows how.
#[cfg(target_vendor = "apple")]
fn flush(file: impl AsFd) -> Result<(), Errno> {
    rustix::fs::fcntl_fullfsync(&file).or_else(|_| rustix::fs::fsync(&file))
}

#[cfg(not(target_vendor = "apple"))]
fn flush(file: impl AsFd) -> Result<(), Errno> {
    rustix::fs::fsync(file)
}

#[cfg(test)]
mod tests {

    use std::fs::{create_dir, hard_link, read, write};
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    use super::super::scratch::{
        Scratch, elsewhere_with_small_files, mode_of, refusal, set_mode, told,
    };
    use super::super::{FileName, VaultDir};
    use crate::error::ErrorKind;

    fn assert_replaced(vault: &VaultDir) {
        assert_eq!(vault.read(FileName::Header, 9).unwrap().unwrap(), b"new");
        assert_eq!(mode_of(vault.path_of(FileName::Header)), 0o600);
        assert!(!vault.check(FileName::HeaderDraft).unwrap());
    }

    #[test]
    fn a_replacement_is_a_new_file_under_the_old_name() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        let header = vault.path_of(FileName::Header);
        vault.replace(FileName::Header, b"old").unwrap();
        let old = std::fs::File::open(&header).unwrap();
        vault.replace(FileName::Header, b"new").unwrap();
        assert_replaced(&vault);
        assert_ne!(
            old.metadata().unwrap().ino(),
            header.metadata().unwrap().ino()
        );
        assert_eq!(old.metadata().unwrap().len(), 3);
    }

    #[test]
    fn a_stale_draft_is_no_hindrance_and_no_ingredient() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        vault.replace(FileName::Header, b"old").unwrap();
        let draft = vault.path_of(FileName::HeaderDraft);
        write(&draft, "half of something longer").unwrap();
        set_mode(&draft, 0o644);
        assert_eq!(vault.read(FileName::Header, 9).unwrap().unwrap(), b"old");
        vault.replace(FileName::Header, b"new").unwrap();
        assert_replaced(&vault);
    }

    #[test]
    fn a_draft_that_leads_outside_is_removed_and_not_written_through() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        let outside = scratch.join("outside");
        write(&outside, "outside").unwrap();
        let draft = vault.path_of(FileName::HeaderDraft);
        symlink(&outside, &draft).unwrap();
        vault.replace(FileName::Header, b"new").unwrap();
        assert_replaced(&vault);
        hard_link(&outside, &draft).unwrap();
        vault.replace(FileName::Header, b"new").unwrap();
        assert_replaced(&vault);
        assert_eq!(read(&outside).unwrap(), b"outside");
    }

    #[test]
    fn a_link_under_the_name_is_replaced_and_not_written_through() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        let outside = scratch.join("outside");
        write(&outside, "outside").unwrap();
        symlink(&outside, vault.path_of(FileName::Header)).unwrap();
        vault.replace(FileName::Header, b"new").unwrap();
        assert_replaced(&vault);
        assert_eq!(read(&outside).unwrap(), b"outside");
    }

    #[test]
    fn a_replacement_that_fails_leaves_the_old_content() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        vault.replace(FileName::Header, b"old").unwrap();
        create_dir(vault.path_of(FileName::HeaderDraft)).unwrap();
        assert!(vault.replace(FileName::Header, b"new").is_err());
        assert_eq!(vault.read(FileName::Header, 9).unwrap().unwrap(), b"old");
    }

    #[test]
    fn a_replacement_that_fails_leaves_no_draft() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        create_dir(vault.path_of(FileName::Header)).unwrap();
        assert_eq!(
            refusal(vault.replace(FileName::Header, b"new")),
            Some(ErrorKind::PathWrongType)
        );
        assert!(!vault.check(FileName::HeaderDraft).unwrap());
    }

    #[test]
    fn a_full_disk_keeps_the_old_content_and_gets_the_drafts_space_back() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        vault.replace(FileName::Header, b"old").unwrap();
        let child = "fs::atomic::tests::a_process_without_space";
        let output = elsewhere_with_small_files(child, scratch.join("vault"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_replaced(&vault);
    }

    #[test]
    #[ignore = "the other process of a_full_disk_keeps_the_old_content_and_gets_the_drafts_space_back"]
    fn a_process_without_space() {
        let Some(path) = told() else { return };
        let vault = VaultDir::open(Path::new(&path)).unwrap();
        assert_eq!(
            refusal(vault.replace(FileName::Header, &[0; 100_000])),
            Some(ErrorKind::StorageFull)
        );
        assert_eq!(vault.read(FileName::Header, 9).unwrap().unwrap(), b"old");
        assert!(!vault.check(FileName::HeaderDraft).unwrap());
        vault.replace(FileName::Header, b"new").unwrap();
    }
}
