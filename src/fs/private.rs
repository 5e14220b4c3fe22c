//! What makes a file or a directory private, and the ways to create, open and read such a file.
//!
//! **Does** refuse links, other kinds of file, other owners and loose modes, each with a kind of its
//! own; create with 0600 whatever the umask.
//! **Never** trusts what it saw under a name for what it then opened, and never waits for a FIFO.
//! **Format** none.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, openat, statat};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;
use rustix::process::geteuid;

use super::errno;
use crate::error::{Error, ErrorKind, Result};

/// What lies under `name`, not following a link; none where nothing does.
pub(super) fn look(dir: impl AsFd, name: impl Arg) -> Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(errno::reading(error)),
    }
}

/// Whether there is a file under `name`, and that it is a private one. Does not open it.
pub(super) fn check(dir: impl AsFd, name: &str) -> Result<bool> {
    let Some(stat) = look(dir, name)? else {
        return Ok(false);
    };
    judge_file(&stat)?;
    Ok(true)
}

/// How long a private file is; 0 where there is none. Does not open it.
pub(super) fn length(dir: impl AsFd, name: &str) -> Result<u64> {
    let Some(stat) = look(dir, name)? else {
        return Ok(0);
    };
    judge_file(&stat)?;
    u64::try_from(stat.st_size).map_err(|_| ErrorKind::Io.into())
}

/// Makes a new empty file, 0600 whatever the umask.
pub(super) fn create(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | ALWAYS;
    let file = retry_on_intr(|| openat(dir.as_fd(), name, flags, PRIVATE_FILE))?;
    fchmod(&file, PRIVATE_FILE)?;
    Ok(file)
}

/// Opens a private file; none where there is none.
///
/// # Security
///
/// The name is looked at first, so that a device or a FIFO is refused without being opened, and
/// the open file must be the one that was seen. A file that is legitimately replaced in between
/// is looked at again; a name that never holds still is taken for an attack.
///
/// No link is ever followed, however fast it comes and goes. A second name is only seen while it
/// exists: whoever can add and remove names in the vault's directory at the right moment can have
/// a file of ours from elsewhere read in its place, as they could by moving it there. The content
/// is what the header's MAC is for.
pub(super) fn open(dir: impl AsFd, name: &str, access: OFlags) -> Result<Option<OwnedFd>> {
    for _ in 0..ATTEMPTS {
        let Some(seen) = look(dir.as_fd(), name)? else {
            return Ok(None);
        };
        judge_file(&seen)?;
        if let Some(file) = open_seen(dir.as_fd(), name, access, &seen)? {
            return Ok(Some(file));
        }
    }
    Err(ErrorKind::TamperDetected.into())
}

/// The whole content of a private file of at most `limit` bytes; none where there is none.
pub(super) fn read(dir: impl AsFd, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
    let Some(file) = open(dir, name, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let size = fstat(&file).map_err(errno::reading)?.st_size;
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= limit)
        .ok_or(ErrorKind::HeaderDamaged)?;

    read_announced(file, size).map(Some)
}

/// Whether both describe the same file.
pub(super) fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Refuses what is not a directory of ours that only we can reach.
pub(super) fn judge_directory(stat: &Stat) -> Result<()> {
    judge(stat, FileType::Directory)
}

/// Opens the file that was seen under `name`; none where another is there by now, or none.
fn open_seen(dir: impl AsFd, name: &str, access: OFlags, seen: &Stat) -> Result<Option<OwnedFd>> {
    let file = match retry_on_intr(|| openat(dir.as_fd(), name, access | ALWAYS, Mode::empty())) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) if access.contains(OFlags::RDWR) => return Err(errno::writing(error)),
        Err(error) => return Err(errno::reading(error)),
    };
    let opened = fstat(&file).map_err(errno::reading)?;
    judge_file(&opened)?;
    Ok(is_same(seen, &opened).then_some(file))
}

/// Reads a file that said it had `size` bytes, and refuses one that has fewer or more.
fn read_announced(file: OwnedFd, size: usize) -> Result<Vec<u8>> {
    let one_more = size.saturating_add(1);
    let mut bytes = Vec::with_capacity(one_more);
    File::from(file)
        .take(u64::try_from(one_more).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|error| errno::of_io(&error, unreadable))?;
    if bytes.len() != size {
        return Err(ErrorKind::HeaderDamaged.into());
    }
    Ok(bytes)
}

/// A bad block is damage to this file alone: its twin may still be read.
fn unreadable(errno: Errno) -> Error {
    match errno {
        Errno::IO => Error::os(ErrorKind::HeaderDamaged, errno.raw_os_error()),
        _ => errno::reading(errno),
    }
}

fn judge_file(stat: &Stat) -> Result<()> {
    judge(stat, FileType::RegularFile)?;
    // An open file whose name was just taken over by its replacement has no link at all.
    if stat.st_nlink > 1 {
        return Err(ErrorKind::PathIsHardLink.into());
    }
    Ok(())
}

fn judge(stat: &Stat, wanted: FileType) -> Result<()> {
    let found = FileType::from_raw_mode(stat.st_mode);
    let mode = Mode::from_raw_mode(stat.st_mode);
    if found == FileType::Symlink {
        return Err(ErrorKind::PathIsSymlink.into());
    }
    if found != wanted {
        return Err(ErrorKind::PathWrongType.into());
    }
    if stat.st_uid != geteuid().as_raw() {
        return Err(ErrorKind::PathForeignOwner.into());
    }
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        return Err(ErrorKind::PathLooseMode.into());
    }
    Ok(())
}

/// Every open says these: not a link, not in a child process, not waiting for a FIFO's other end.
const ALWAYS: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// How often a name that changes between the look and the opening is looked at again.
const ATTEMPTS: usize = 16;

#[cfg(test)]
mod tests {

    use std::fs::{create_dir, hard_link, rename, write};
    use std::os::unix::fs::{chown, symlink};
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    #[expect(
        clippy::disallowed_types,
        reason = "a bound on how long a refusal may take"
    )]
    use std::time::{Duration, Instant};

    use rustix::fs::RawMode;
    use rustix::process::umask;

    use super::super::scratch::{
        STRANGER, Scratch, elsewhere, may_give_away, mode_of, refusal, set_mode, told,
    };
    use super::super::{FileName, VaultDir};
    use super::*;

    const NAMES: [FileName; 2] = [FileName::Header, FileName::Standard];

    /// What the vault says of whatever `prepare` puts in the place of a header and of a database.
    fn refusals(prepare: impl Fn(&Scratch, &Path)) -> [Option<ErrorKind>; 3] {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        for name in NAMES {
            prepare(&scratch, &vault.path_of(name));
        }
        let [header, database] = NAMES;
        [
            refusal(vault.read(header, 64)),
            refusal(vault.check(header)),
            refusal(vault.check(database)),
        ]
    }

    fn private_file(path: &Path, content: &str) {
        write(path, content).unwrap();
        set_mode(path, 0o600);
    }

    fn fifo(path: &Path) {
        let made = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
        set_mode(path, 0o600);
    }

    #[test]
    fn a_private_file_is_read_whole() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        assert_eq!(vault.read(FileName::Header, 5).unwrap(), None);
        assert!(!vault.check(FileName::Header).unwrap());
        private_file(&vault.path_of(FileName::Header), "inside");
        assert_eq!(vault.read(FileName::Header, 6).unwrap().unwrap(), b"inside");
        assert!(vault.check(FileName::Header).unwrap());
    }

    #[test]
    fn a_file_longer_than_the_limit_is_not_read() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        private_file(&vault.path_of(FileName::Header), "inside");
        let damaged = Some(ErrorKind::HeaderDamaged);
        assert_eq!(refusal(vault.read(FileName::Header, 5)), damaged);
        let sparse = File::create(vault.path_of(FileName::Header)).unwrap();
        sparse.set_len(1 << 40).unwrap();
        assert_eq!(refusal(vault.read(FileName::Header, 5)), damaged);
    }

    #[test]
    fn a_link_is_refused() {
        let found = refusals(|scratch, path| {
            private_file(&scratch.join("outside"), "outside");
            symlink(scratch.join("outside"), path).unwrap();
        });
        assert_eq!(found, [Some(ErrorKind::PathIsSymlink); 3]);
    }

    #[test]
    fn a_second_name_is_refused() {
        let found = refusals(|scratch, path| {
            private_file(&scratch.join("outside"), "outside");
            hard_link(scratch.join("outside"), path).unwrap();
        });
        assert_eq!(found, [Some(ErrorKind::PathIsHardLink); 3]);
    }

    #[test]
    fn a_mode_that_lets_others_in_is_refused() {
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666] {
            let found = refusals(|_, path| {
                private_file(path, "inside");
                set_mode(path, mode);
            });
            assert_eq!(found, [Some(ErrorKind::PathLooseMode); 3], "{mode:o}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        if !may_give_away("a_file_of_another_user_is_refused") {
            return;
        }
        let found = refusals(|_, path| {
            private_file(path, "inside");
            chown(path, Some(STRANGER), None).unwrap();
        });
        assert_eq!(found, [Some(ErrorKind::PathForeignOwner); 3]);
    }

    #[test]
    fn a_directory_or_a_socket_is_not_a_file() {
        let found = refusals(|_, path| create_dir(path).unwrap());
        assert_eq!(found, [Some(ErrorKind::PathWrongType); 3]);
        let found = refusals(|_, path| drop(UnixListener::bind(path).unwrap()));
        assert_eq!(found, [Some(ErrorKind::PathWrongType); 3]);
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_its_other_end() {
        let (answer, answered) = channel();
        std::thread::spawn(move || answer.send(refusals(|_, path| fifo(path))));
        let found = answered.recv_timeout(PATIENCE).unwrap();
        assert_eq!(found, [Some(ErrorKind::PathWrongType); 3]);
    }

    /// Whether an opening succeeds, and how it fails, that finds what `prepare` puts in the place
    /// of the file it saw.
    fn after_the_look(prepare: impl Fn(&Scratch, &Path)) -> (bool, Option<ErrorKind>) {
        let scratch = Scratch::make();
        let header = scratch.join("header");
        private_file(&header, "inside");
        let directory = File::open(scratch.path()).unwrap();
        let seen = look(&directory, "header").unwrap().unwrap();
        rename(&header, scratch.join("aside")).unwrap();
        prepare(&scratch, &header);
        let outcome = open_seen(&directory, "header", OFlags::RDONLY, &seen);
        (matches!(outcome, Ok(Some(_))), refusal(outcome))
    }

    #[test]
    fn what_takes_the_place_of_a_file_after_the_look_is_not_opened() {
        let linked = after_the_look(|scratch, path| symlink(scratch.join("aside"), path).unwrap());
        assert_eq!(linked, (false, Some(ErrorKind::PathIsSymlink)));
        let named_twice =
            after_the_look(|scratch, path| hard_link(scratch.join("aside"), path).unwrap());
        assert_eq!(named_twice, (false, Some(ErrorKind::PathIsHardLink)));
        let other = after_the_look(|_, path| private_file(path, "another"));
        assert_eq!(other, (false, None));
        assert_eq!(after_the_look(|_, _| {}), (false, None));
        let same = after_the_look(|scratch, path| rename(scratch.join("aside"), path).unwrap());
        assert_eq!(same, (true, None));
    }

    #[test]
    fn a_fifo_that_takes_the_place_of_a_file_after_the_look_is_refused_without_waiting() {
        let (answer, answered) = channel();
        std::thread::spawn(move || answer.send(after_the_look(|_, path| fifo(path))));
        let found = answered.recv_timeout(PATIENCE).unwrap();
        assert_eq!(found, (false, Some(ErrorKind::PathWrongType)));
    }

    #[test]
    fn a_file_that_is_not_as_long_as_announced_is_refused() {
        let scratch = Scratch::make();
        let path = scratch.join("header");
        private_file(&path, "inside");
        let read = |size| read_announced(File::open(&path).unwrap().into(), size);
        assert_eq!(read(6).unwrap(), b"inside");
        for size in [0, 5, 7] {
            assert_eq!(
                refusal(read(size)),
                Some(ErrorKind::HeaderDamaged),
                "{size}"
            );
        }
    }

    #[test]
    fn a_race_between_a_file_and_a_link_never_reads_outside() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        let outside = scratch.join("outside");
        private_file(&outside, "outside");
        let header = vault.path_of(FileName::Header);
        let outcomes = flip(
            &header,
            || vault.read(FileName::Header, 64),
            |aside, turn| match turn % 2 {
                0 => private_file(aside, "inside"),
                _ => symlink(&outside, aside).unwrap(),
            },
        );
        assert!(outcomes.iter().flatten().any(Option::is_some));
        assert!(outcomes.iter().any(Result::is_err));
        for outcome in outcomes {
            match outcome {
                Ok(content) => assert_eq!(content.unwrap(), b"inside"),
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::PathIsSymlink | ErrorKind::TamperDetected
                    ),
                    "{error}"
                ),
            }
        }
    }

    type Outcome = Result<Option<Vec<u8>>>;

    /// Reads over and over while another thread renames one thing after another over `path`, until
    /// there have been many reads of either outcome.
    fn flip(
        path: &Path,
        read: impl Fn() -> Outcome,
        prepare: impl Fn(&Path, u32) + Sync,
    ) -> Vec<Outcome> {
        let stop = AtomicBool::new(false);
        let aside = path.with_extension("aside");
        prepare(path, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    prepare(&aside, turn);
                    rename(&aside, path).unwrap();
                }
            });
            let mut outcomes = Vec::new();
            #[expect(clippy::disallowed_types, reason = "as above")]
            let begun = Instant::now();
            let enough = |outcomes: &[Outcome]| {
                let good = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                good.min(outcomes.len() - good) >= 300
            };
            while begun.elapsed() < PATIENCE && !(outcomes.len() % 100 == 0 && enough(&outcomes)) {
                outcomes.push(read());
            }
            stop.store(true, Ordering::Relaxed);
            outcomes
        })
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn the_content_of_a_file_that_is_being_replaced_is_the_old_or_the_new() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        let versions = [vec![b'a'; 30_000], vec![b'b'; 40_000]];
        let put = |turn: usize| {
            let version = versions.iter().cycle().nth(turn).unwrap();
            vault.replace(FileName::Header, version).unwrap();
        };
        put(0);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..200).for_each(put));
            while !writer.is_finished() {
                match vault.read(FileName::Header, 64_000) {
                    Ok(content) => assert!(versions.contains(&content.unwrap())),
                    // More replacements than looks: the reader gave up, and was given nothing.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::TamperDetected),
                }
            }
        });
    }

    #[test]
    fn a_descriptor_is_not_inherited() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        private_file(&vault.path_of(FileName::Header), "inside");
        let directory = File::open(scratch.join("vault")).unwrap();
        let opened = open(&directory, "header", OFlags::RDONLY).unwrap().unwrap();
        let created = create(&directory, "header.2").unwrap();
        for file in [opened, created] {
            let flags = rustix::io::fcntl_getfd(&file).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn every_mode_is_private_whatever_the_umask() {
        let child = "fs::private::tests::a_vault_made_under_a_umask";
        for mask in ["000", "022", "077", "0777"] {
            let scratch = Scratch::make();
            let mut command = elsewhere(child, format!("{mask} {}", scratch.path().display()));
            // Root writes and enters whatever the mode says, so somebody else does it.
            if may_give_away("every_mode_is_private_whatever_the_umask, in part,") {
                chown(scratch.path(), Some(STRANGER), Some(STRANGER)).unwrap();
                command.uid(STRANGER).gid(STRANGER);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{mask}: {output:?}");

            let vault = scratch.join("vault");
            assert_eq!(mode_of(&vault), 0o700, "{mask}");
            let mut files = 0;
            for entry in vault.read_dir().unwrap() {
                files += 1;
                assert_eq!(mode_of(entry.unwrap().path()), 0o600, "{mask}");
            }
            assert_eq!(files, 7, "lock, setup, two headers and three databases");
        }
    }

    #[test]
    #[ignore = "the other process of every_mode_is_private_whatever_the_umask"]
    fn a_vault_made_under_a_umask() {
        let Some(told) = told() else { return };
        let (mask, path) = told.split_once(' ').unwrap();
        umask(Mode::from_raw_mode(
            RawMode::from_str_radix(mask, 8).unwrap(),
        ));
        let vault = VaultDir::create(&Path::new(path).join("vault")).unwrap();
        let lock = vault.lock().unwrap();
        vault.begin_setup(&lock).unwrap();
        for name in [FileName::Emergency, FileName::Standard, FileName::Priority] {
            vault.create_empty(name).unwrap();
        }
        for name in [FileName::Header, FileName::HeaderTwin] {
            vault.replace(name, b"inside").unwrap();
            assert_eq!(vault.read(name, 6).unwrap().unwrap(), b"inside");
        }
    }
}
