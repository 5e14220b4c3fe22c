//! Where a child process runs: everything it may write to is here, or is noticed elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::canary::{Finding, Search};

/// Private directories, removed with the value.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    elsewhere: BTreeSet<PathBuf>,
}

/// Other tests of this process make directories of this name, with vaults that must not be read.
const PREFIX: &str = "vitalock-leak-";

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap();
        for name in ["work", "tmp", "home", "cwd"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self {
            dir,
            elsewhere: shared_files(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the vault goes.
    pub(crate) fn vault(&self) -> PathBuf {
        self.path().join("work/vault")
    }

    /// A command that finds its temporary, home and working directories here.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("TMPDIR", self.path().join("tmp"))
            .env("HOME", self.path().join("home"))
            .current_dir(self.path().join("cwd"));
        command
    }

    /// Searches everything here but what the test itself keeps in `kept/`, and every file that has
    /// come up meanwhile where all programs may write.
    pub(crate) fn search(&self, search: &Search, title: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        for name in ["work", "tmp", "home", "cwd"] {
            let searched = search.folder(&self.path().join(name));
            for (file, length, entropy) in searched.files {
                println!("  {title}: {name}/{file}: {length} bytes, {entropy:.2} bits a byte");
            }
            findings.extend(searched.findings);
        }
        for new in shared_files().difference(&self.elsewhere) {
            if new.is_dir() {
                findings.extend(search.folder(new).findings);
            } else if let Ok(bytes) = fs::read(new) {
                findings.extend(search.bytes("elsewhere", &bytes));
            }
        }
        findings
    }
}

/// What lies where all programs may write.
fn shared_files() -> BTreeSet<PathBuf> {
    let folders = ["/tmp", "/var/tmp", "/dev/shm"];
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let paths = entries.flatten().flatten().map(|entry| entry.path());
    paths
        .filter(|path| {
            !path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(PREFIX)
        })
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() || meta.is_file()))
        .collect()
}
