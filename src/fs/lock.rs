//! One handle per vault.
//!
//! **Does** hold an advisory lock on the vault's lock file, against other processes and against
//! other handles of this one.
//! **Never** waits, and never locks a database file, whose locks are SQLite's.
//! **Format** an empty file.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::{Errno, retry_on_intr};

use super::{errno, private};
use crate::error::{Error, ErrorKind, Result};

/// The proof that no other handle has the vault; given back on drop.
pub(crate) struct VaultLock(Option<OwnedFd>);

impl VaultLock {
    /// Takes the lock on the file `name`, making the file if need be.
    pub(super) fn take(dir: impl AsFd, name: &str) -> Result<Self> {
        let file = open_or_create(dir, name)?;
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Self(Some(file))),
            Err(error @ Errno::WOULDBLOCK) => {
                Err(Error::os(ErrorKind::VaultBusy, error.raw_os_error()))
            }
            Err(error) => Err(errno::writing(error)),
        }
    }

    /// Of a vault in memory, which nobody else can reach.
    pub(super) fn of_memory() -> Self {
        Self(None)
    }
}

impl Drop for VaultLock {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child process that was forked a moment ago and
        // has not yet closed its copy of the descriptor.
        if let Some(file) = &self.0 {
            _ = flock(file, FlockOperation::Unlock);
        }
    }
}

fn open_or_create(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    match private::create(dir.as_fd(), name) {
        Ok(file) => return Ok(file),
        Err(Errno::EXIST) => {}
        Err(error) => return Err(errno::writing(error)),
    }
    // Nothing of ours removes a lock file.
    private::open(dir, name, OFlags::RDWR)?.ok_or_else(|| ErrorKind::TamperDetected.into())
}

#[cfg(test)]
mod tests {

    use std::fs::{remove_file, write};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::scratch::{Scratch, elsewhere, mode_of, refusal, set_mode, told};
    use super::super::{FileName, VaultDir};
    use super::*;

    #[test]
    fn a_second_handle_in_this_process_is_kept_out_until_the_first_lets_go() {
        let scratch = Scratch::make();
        let first = VaultDir::create(&scratch.join("vault")).unwrap();
        let second = VaultDir::open(&scratch.join("vault")).unwrap();
        let lock = first.lock().unwrap();
        assert_eq!(mode_of(first.path_of(FileName::Lock)), 0o600);
        assert_eq!(refusal(second.lock()), Some(ErrorKind::VaultBusy));
        assert_eq!(refusal(first.lock()), Some(ErrorKind::VaultBusy));
        drop(lock);
        let lock = second.lock().unwrap();
        assert_eq!(refusal(first.lock()), Some(ErrorKind::VaultBusy));
        drop(lock);
    }

    #[test]
    fn a_second_process_is_kept_out_until_the_first_lets_go() {
        let scratch = Scratch::make();
        let vault = VaultDir::create(&scratch.join("vault")).unwrap();
        let lock = vault.lock().unwrap();
        let attempt = |expected: &str| {
            let told = format!("{expected} {}", scratch.join("vault").display());
            let child = "fs::lock::tests::a_process_that_wants_the_vault";
            let output = elsewhere(child, told).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert!(scratch.join(expected).exists(), "the other process ran");
        };
        attempt("busy");
        drop(lock);
        attempt("free");
    }

    #[test]
    #[ignore = "the other process of a_second_process_is_kept_out_until_the_first_lets_go"]
    fn a_process_that_wants_the_vault() {
        let Some(told) = told() else { return };
        let (expected, path) = told.split_once(' ').unwrap();
        let vault = VaultDir::open(Path::new(path)).unwrap();
        let outcome = refusal(vault.lock());
        let busy = (expected == "busy").then_some(ErrorKind::VaultBusy);
        assert_eq!(outcome, busy);
        write(Path::new(path).with_file_name(expected), "").unwrap();
    }

    #[test]
    fn a_lock_file_that_is_not_private_is_refused() {
        let scratch = Scratch::make();
        let vault = VaultDir::create(&scratch.join("vault")).unwrap();
        let lock = vault.path_of(FileName::Lock);
        symlink(scratch.join("outside"), &lock).unwrap();
        assert_eq!(refusal(vault.lock()), Some(ErrorKind::PathIsSymlink));
        assert!(!scratch.join("outside").exists());
        remove_file(&lock).unwrap();
        write(&lock, "").unwrap();
        set_mode(&lock, 0o644);
        assert_eq!(refusal(vault.lock()), Some(ErrorKind::PathLooseMode));
    }
}
