//! Where a vault's directory may be.
//!
//! **Does** resolve the path above the directory once, refuse a place that others can rearrange,
//! and make or open the directory by descriptor.
//! **Never** follows a link at the path's end.
//! **Format** none.

use std::ffi::OsString;
use std::fs::canonicalize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, chmodat, fstat, mkdirat, openat, statat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::getegid;

use super::{atomic, errno, private};
use crate::error::{ErrorKind, Result};

/// Where a vault's directory is or will be: a checked directory, and a name in it.
pub(super) struct Place {
    parent: OwnedFd,
    name: OsString,
    pub(super) path: PathBuf,
}

impl Place {
    /// Resolves links in everything but the last name, and checks every directory on the way.
    /// None where the directory above does not exist.
    pub(super) fn find(path: &Path) -> Result<Option<Self>> {
        // Without a trailing slash, with which a look at a link would follow it.
        let name = path.file_name().ok_or(ErrorKind::PathWrongType)?;
        let above = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let above = match canonicalize(above) {
            Ok(above) => above,
            Err(error) => {
                return match Errno::from_io_error(&error) {
                    Some(Errno::NOENT) => Ok(None),
                    _ => Err(errno::of_io(&error, errno::reading)),
                };
            }
        };
        judge_ancestors(&above)?;
        let parent = retry_on_intr(|| openat(CWD, &above, DIRECTORY, Mode::empty()))
            .map_err(errno::reading)?;
        judge_parent(&fstat(&parent).map_err(errno::reading)?)?;
        Ok(Some(Self {
            parent,
            path: above.join(name),
            name: name.to_owned(),
        }))
    }

    /// Makes the directory unless something is there already, and makes its name durable.
    pub(super) fn make_directory(&self) -> Result<()> {
        match mkdirat(&self.parent, &self.name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => return atomic::sync(&self.parent),
            Err(error) => return Err(errno::writing(error)),
        }
        // A umask can only have taken bits away. Without the owner's the directory cannot be
        // opened, so it is the name that gets them; nobody else can have changed the name, because
        // the parent was checked.
        let made = private::look(&self.parent, &self.name)?.ok_or(ErrorKind::TamperDetected)?;
        if !Mode::from_raw_mode(made.st_mode).contains(Mode::RWXU) {
            chmodat(&self.parent, &self.name, Mode::RWXU, AtFlags::empty())
                .map_err(errno::writing)?;
        }
        atomic::sync(&self.parent)
    }

    /// Opens the directory, and checks both what was under its name and what was opened.
    pub(super) fn enter(&self) -> Result<OwnedFd> {
        let seen = private::look(&self.parent, &self.name)?.ok_or(ErrorKind::VaultNotFound)?;
        private::judge_directory(&seen)?;
        let opened = retry_on_intr(|| openat(&self.parent, &self.name, DIRECTORY, Mode::empty()));
        let descriptor = opened.map_err(errno::reading)?;
        private::judge_directory(&fstat(&descriptor).map_err(errno::reading)?)?;
        Ok(descriptor)
    }
}

/// Refuses the directory that the vault's directory is in, if others can put names into it.
///
/// # Security
///
/// The sticky bit does not help here: it leaves others free to take the vault's name first. The
/// caller's own group may write, because Android gives an application's directory to that group;
/// the owner may be another, because Android's installer makes it.
fn judge_parent(stat: &Stat) -> Result<()> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let foreign_group = stat.st_gid != getegid().as_raw();
    if mode.contains(Mode::WOTH) || (mode.contains(Mode::WGRP) && foreign_group) {
        return Err(ErrorKind::PathWritableParent.into());
    }
    Ok(())
}

/// Refuses a canonical path with a directory on it whose entries anyone can rename.
///
/// # Security
///
/// Whoever can walk a path can also look at every directory on it, as far as modes and owners
/// decide. Where the look is refused all the same, it is the operating system's own sandbox that
/// refuses it, and the directory is the system's: it is passed over.
fn judge_ancestors(path: &Path) -> Result<()> {
    for ancestor in path.ancestors() {
        let stat = match statat(CWD, ancestor, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ACCESS | Errno::PERM) => continue,
            Err(error) => return Err(errno::reading(error)),
        };
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
            return Err(ErrorKind::PathWritableParent.into());
        }
    }
    Ok(())
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {

    use std::fs::{create_dir, create_dir_all, rename, write};
    use std::os::unix::fs::{chown, symlink};

    use super::super::scratch::{STRANGER, Scratch, may_give_away, mode_of, refusal, set_mode};
    use super::super::{FileName, VaultDir};
    use super::*;

    /// What both ways in say of a directory that is there already.
    fn refusals(path: &Path) -> [Option<ErrorKind>; 2] {
        [
            refusal(VaultDir::create(path)),
            refusal(VaultDir::open(path)),
        ]
    }

    fn both(kind: ErrorKind) -> [Option<ErrorKind>; 2] {
        [Some(kind); 2]
    }

    #[test]
    fn a_directory_of_ours_alone_is_taken() {
        let scratch = Scratch::make();
        let path = scratch.join("vault");
        create_dir(&path).unwrap();
        set_mode(&path, 0o700);
        assert_eq!(refusals(&path), [None; 2]);
    }

    #[test]
    fn a_new_directory_is_private() {
        let scratch = Scratch::make();
        let vault = VaultDir::create(&scratch.join("vault")).unwrap();
        assert_eq!(mode_of(scratch.join("vault")), 0o700);
        vault.same_place().unwrap();
    }

    #[test]
    fn an_absent_path_is_not_a_vault() {
        let scratch = Scratch::make();
        let missing = Some(ErrorKind::VaultNotFound);
        assert_eq!(refusal(VaultDir::open(&scratch.join("vault"))), missing);
        let deep = scratch.join("absent").join("vault");
        assert_eq!(refusal(VaultDir::open(&deep)), missing);
        let error = VaultDir::create(&deep).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.os_code(), Some(Errno::NOENT.raw_os_error()));
        assert!(!scratch.join("absent").exists());
    }

    #[test]
    fn a_path_without_a_last_name_is_refused() {
        for path in ["", "/", "..", "a/.."] {
            assert_eq!(refusals(Path::new(path)), both(ErrorKind::PathWrongType));
        }
    }

    #[test]
    fn a_link_to_a_directory_is_refused_however_it_is_written() {
        let scratch = Scratch::make();
        create_dir(scratch.join("real")).unwrap();
        set_mode(scratch.join("real"), 0o700);
        symlink(scratch.join("real"), scratch.join("vault")).unwrap();
        symlink(scratch.join("nowhere"), scratch.join("dangling")).unwrap();
        for name in ["vault", "vault/", "vault/.", "dangling"] {
            assert_eq!(
                refusals(&scratch.join(name)),
                both(ErrorKind::PathIsSymlink),
                "{name}"
            );
        }
        assert!(!scratch.join("nowhere").exists());
    }

    #[test]
    fn a_file_is_not_a_vault() {
        let scratch = Scratch::make();
        write(scratch.join("vault"), "").unwrap();
        assert_eq!(
            refusals(&scratch.join("vault")),
            both(ErrorKind::PathWrongType)
        );
        let below = scratch.join("vault").join("vault");
        assert_eq!(refusals(&below), both(ErrorKind::PathWrongType));
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let scratch = Scratch::make();
        let path = scratch.join("vault");
        create_dir(&path).unwrap();
        for mode in [0o750, 0o705, 0o710, 0o701, 0o720, 0o702] {
            set_mode(&path, mode);
            assert_eq!(refusals(&path), both(ErrorKind::PathLooseMode), "{mode:o}");
        }
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        if !may_give_away("a_directory_of_another_user_is_refused") {
            return;
        }
        let scratch = Scratch::make();
        let path = scratch.join("vault");
        create_dir(&path).unwrap();
        set_mode(&path, 0o700);
        chown(&path, Some(STRANGER), None).unwrap();
        assert_eq!(refusals(&path), both(ErrorKind::PathForeignOwner));
    }

    #[test]
    fn a_parent_that_anyone_can_write_is_refused_even_if_sticky() {
        let scratch = Scratch::make();
        let path = scratch.join("parent").join("vault");
        create_dir_all(&path).unwrap();
        set_mode(&path, 0o700);
        for mode in [0o777, 0o1777, 0o702] {
            set_mode(scratch.join("parent"), mode);
            assert_eq!(
                refusals(&path),
                both(ErrorKind::PathWritableParent),
                "{mode:o}"
            );
        }
        set_mode(scratch.join("parent"), 0o755);
        assert_eq!(refusals(&path), [None; 2]);
    }

    #[test]
    fn nothing_is_made_in_a_parent_that_is_refused() {
        let scratch = Scratch::make();
        set_mode(scratch.path(), 0o777);
        let path = scratch.join("vault");
        assert_eq!(
            refusal(VaultDir::create(&path)),
            Some(ErrorKind::PathWritableParent)
        );
        assert!(!path.exists());
    }

    #[test]
    fn an_ancestor_that_anyone_can_write_is_refused_unless_sticky() {
        let scratch = Scratch::make();
        let path = scratch.join("above").join("parent").join("vault");
        create_dir_all(&path).unwrap();
        set_mode(scratch.join("above").join("parent"), 0o700);
        set_mode(&path, 0o700);
        set_mode(scratch.join("above"), 0o777);
        assert_eq!(refusals(&path), both(ErrorKind::PathWritableParent));
        set_mode(scratch.join("above"), 0o1777);
        assert_eq!(refusals(&path), [None; 2]);
    }

    #[test]
    fn a_parent_that_a_group_can_write_must_be_our_groups() {
        if !may_give_away("a_parent_that_a_group_can_write_must_be_our_groups") {
            return;
        }
        let scratch = Scratch::make();
        let parent = scratch.join("parent");
        let path = parent.join("vault");
        create_dir_all(&path).unwrap();
        set_mode(&path, 0o700);
        chown(&parent, Some(STRANGER), Some(getegid().as_raw())).unwrap();
        set_mode(&parent, 0o771);
        assert_eq!(refusals(&path), [None; 2]);
        chown(&parent, None, Some(STRANGER)).unwrap();
        assert_eq!(refusals(&path), both(ErrorKind::PathWritableParent));
        set_mode(&parent, 0o751);
        assert_eq!(refusals(&path), [None; 2]);
    }

    #[test]
    fn a_link_above_the_directory_is_resolved_once() {
        let scratch = Scratch::make();
        create_dir(scratch.join("real")).unwrap();
        set_mode(scratch.join("real"), 0o700);
        symlink(scratch.join("real"), scratch.join("link")).unwrap();
        let vault = VaultDir::create(&scratch.join("link").join("vault")).unwrap();
        let real = canonicalize(scratch.join("real")).unwrap();
        assert_eq!(
            vault.path_of(FileName::Standard),
            real.join("vault").join("standard.db")
        );
    }

    #[test]
    fn a_directory_that_is_swapped_after_it_was_opened_is_noticed() {
        let scratch = Scratch::make();
        let path = scratch.join("vault");
        let vault = VaultDir::create(&path).unwrap();
        rename(&path, scratch.join("aside")).unwrap();
        let tampered = Some(ErrorKind::TamperDetected);
        assert_eq!(refusal(vault.same_place()), tampered);
        symlink(scratch.join("aside"), &path).unwrap();
        assert_eq!(refusal(vault.same_place()), tampered);
        std::fs::remove_file(&path).unwrap();
        create_dir(&path).unwrap();
        assert_eq!(refusal(vault.same_place()), tampered);
        create_dir(scratch.join("third")).unwrap();
        std::fs::remove_dir(&path).unwrap();
        rename(scratch.join("aside"), &path).unwrap();
        assert_eq!(refusal(vault.same_place()), None);
    }
}
