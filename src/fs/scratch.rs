//! A private place for this room's tests, and a second process to share it with.
//!
//! **Does** make a directory that passes every check, spoil it on request, and run one test of this
//! binary in a process of its own.
//! **Never** is part of a build.
//! **Format** none.

use std::ffi::OsStr;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{VaultDir, VaultLock};
use crate::error::{ErrorKind, Result};

/// A directory of mode 0700 that is removed at the end.
pub(super) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(super) fn make() -> Self {
        let mut builder = tempfile::Builder::new();
        builder.permissions(Permissions::from_mode(0o700));
        Self(builder.tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A vault's directory in it, set up and locked.
    pub(super) fn vault(&self) -> (VaultDir, VaultLock) {
        let vault = VaultDir::create(&self.join("vault")).unwrap();
        let lock = vault.lock().unwrap();
        vault.begin_setup(&lock).unwrap();
        vault.finish_setup().unwrap();
        (vault, lock)
    }
}

/// The kind a call failed with, or none where it succeeded.
pub(super) fn refusal<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(super) fn set_mode(path: impl AsRef<Path>, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The permission bits of what is at `path`.
pub(super) fn mode_of(path: impl AsRef<Path>) -> u32 {
    path.as_ref().metadata().unwrap().permissions().mode() & 0o7777
}

/// Runs one ignored test of this binary in another process, which finds `told` where
/// [`told`] reads it.
pub(super) fn elsewhere(test: &str, told: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--test-threads=1", test]);
    command.env(TOLD, told);
    command
}

/// The same under a limit of a few kilobytes for each file, with which writing more fails instead
/// of ending the process.
pub(super) fn elsewhere_with_small_files(test: &str, told: impl AsRef<OsStr>) -> Command {
    let inner = elsewhere(test, &told);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env(TOLD, told);
    command
}

/// What the test that runs in another process was told; none where it was started by hand.
pub(super) fn told() -> Option<String> {
    std::env::var(TOLD).ok()
}

/// Whether chown is ours to call. Says so where it is not.
pub(super) fn may_give_away(test: &str) -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        println!("SKIPPED: {test} needs root to give a file to another user");
    }
    may
}

/// A user and group that are nobody's here.
pub(super) const STRANGER: u32 = 12_345;
const TOLD: &str = "VITALOCK_TEST_TOLD";
