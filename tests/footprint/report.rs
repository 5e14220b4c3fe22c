//! The report on a vault's size where not all is as it should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use vitalock::{ErrorKind, Record, Vault};

use crate::support::Scratch;
use crate::support::fixture::{copy, make_quick_vault, unlock};

#[test]
fn a_log_that_a_crash_left_is_counted_before_anybody_unlocks() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    session.put(Record::new("Note", vec![7; 50_000])).unwrap();
    let crashed = scratch.path().join("crashed");
    copy(&scratch.vault(), &crashed);
    let vault = Vault::open(&crashed).unwrap();
    let size = vault.size().unwrap();
    let log = fs::metadata(crashed.join("standard.db-wal")).unwrap().len();
    assert!(log > 50_000 && size.logs >= log, "{size:?}");
    drop(unlock(&vault));
    assert_eq!(vault.size().unwrap().logs, 0, "unlocking emptied it");
}

#[test]
fn what_is_not_a_private_file_is_refused_by_kind_and_not_followed() {
    for name in ["emergency.db-wal", "header.2", "priority.db", "standard.db"] {
        for (kind, plant) in [
            (
                ErrorKind::PathIsSymlink,
                (|path, large| symlink(large, path).unwrap()) as fn(&Path, &Path),
            ),
            (ErrorKind::PathIsHardLink, |path, large| {
                fs::hard_link(large, path).unwrap();
            }),
            (ErrorKind::PathWrongType, |path, _| {
                fs::create_dir(path).unwrap();
            }),
            (ErrorKind::PathLooseMode, |path, _| {
                fs::write(path, "").unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            }),
        ] {
            let scratch = Scratch::new();
            let vault = make_quick_vault(&scratch.vault(), false);
            let large = scratch.path().join("large");
            fs::write(&large, vec![0; 1 << 20]).unwrap();
            fs::set_permissions(&large, fs::Permissions::from_mode(0o600)).unwrap();
            let path = scratch.vault().join(name);
            let _ = fs::remove_file(&path);
            plant(&path, &large);
            let refused = vault.size().map_err(|error| error.kind());
            assert_eq!(refused, Err(kind), "{name}");
        }
    }
}
