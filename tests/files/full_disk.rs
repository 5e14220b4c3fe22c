//! A full disk: nothing acknowledged is lost, reading and locking go on, and space heals it.

use std::fs::{File, remove_file};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use vitalock::{ErrorKind, Passphrase, Query, Record, RecordId, Session, Vault};

use crate::child::line;
use crate::process::{Talking, elsewhere, factors, make_plain};
use crate::support::data::tell;
use crate::support::{Scratch, words};

/// A disk of a few megabytes, mounted for one test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, and a loud word, where mounting is not permitted.
    fn mount(scratch: &Scratch, test: &str) -> Option<Self> {
        let at = scratch.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=7m,mode=700", "none"])
            .arg(&at)
            .output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            tell(&format!("SKIPPED: {test}: a small disk cannot be mounted"));
            return None;
        }
        // What can be freed again: the vault alone would fill the disk to its brim.
        std::fs::write(at.join("ballast"), vec![0; 2 * 1024 * 1024]).unwrap();
        Some(Self(at))
    }

    fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    /// Takes every byte that is left.
    fn use_up(&self) {
        let ballast = self.0.join("ballast");
        let mut ballast = File::options().append(true).open(ballast).unwrap();
        for size in [65_536, 4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that another test is just starting has this one's descriptors until it runs.
        let unmounted = (0..100).any(|_| {
            let output = Command::new("umount").arg(&self.0).output();
            output.is_ok_and(|output| output.status.success())
        });
        assert!(std::thread::panicking() || unmounted);
    }
}

/// Puts records until the disk is full; those that were acknowledged.
pub(crate) fn fill(session: &Session) -> Vec<RecordId> {
    let mut acknowledged = Vec::new();
    loop {
        let number = acknowledged.len();
        let record = Record::new("Scan", vec![u8::try_from(number % 251).unwrap(); 30_000]);
        match session.put(record.subject("Patient/1")) {
            Ok(stored) => acknowledged.push(stored.id),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                return acknowledged;
            }
        }
    }
}

fn all_are_there(session: &Session, acknowledged: &[RecordId]) {
    assert_eq!(
        session.count(&Query::new()).unwrap(),
        u64::try_from(acknowledged.len()).unwrap()
    );
    for (number, id) in acknowledged.iter().enumerate() {
        let record = session.get(*id).unwrap().unwrap();
        assert_eq!(record.body().len(), 30_000);
        assert_eq!(usize::from(record.body()[0]), number % 251);
    }
}

fn unlock(dir: &Path) -> (Vault, Session) {
    let vault = Vault::open(dir).unwrap();
    let session = vault.unlock(&factors(&words())).unwrap();
    (vault, session)
}

#[test]
fn on_a_full_disk_everything_but_writing_goes_on() {
    let scratch = Scratch::new();
    let test = "on_a_full_disk_everything_but_writing_goes_on";
    let Some(disk) = SmallDisk::mount(&scratch, test) else {
        return;
    };
    let words = words();
    let vault = make_plain(&disk.vault(), &words).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    let mut acknowledged = fill(&session);
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    disk.use_up();
    all_are_there(&session, &acknowledged);
    assert_eq!(fill(&session), [], "still full");
    // An erasure has the room of the reserve. The log may be longer than that, and its traces wait in
    // it until there is room.
    let erased = acknowledged.pop().unwrap();
    match session.erase(erased) {
        Ok(there) => assert!(there),
        Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
    }
    assert!(session.get(erased).unwrap().is_none());
    all_are_there(&session, &acknowledged);
    session.lock();
    drop((session, vault));

    disk.use_up();
    let (vault, session) = unlock(&disk.vault());
    all_are_there(&session, &acknowledged);
    drop(session.step_up(&factors(&words)).unwrap());
    session.lock();
    drop((session, vault));

    disk.free();
    let (_vault, session) = unlock(&disk.vault());
    all_are_there(&session, &acknowledged);
    for id in acknowledged.drain(..).skip(1) {
        assert!(session.erase(id).unwrap());
    }
    let more = fill(&session);
    assert!(more.len() > 20, "{}", more.len());
}

#[test]
fn on_a_full_disk_a_failed_attempt_is_counted_and_the_right_words_open() {
    let scratch = Scratch::new();
    let test = "on_a_full_disk_a_failed_attempt_is_counted_and_the_right_words_open";
    let Some(disk) = SmallDisk::mount(&scratch, test) else {
        return;
    };
    drop(make_plain(&disk.vault(), &words()).unwrap());
    disk.use_up();
    let wrong = Passphrase::new(b"five loud herons wade here").unwrap();
    for failures in 1..=2 {
        let vault = Vault::open(disk.vault()).unwrap();
        let refused = vault.unlock(&factors(&wrong)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnlockFailed);
        assert_eq!(vault.slots()[0].failed_attempts, failures);
    }
    let (vault, session) = unlock(&disk.vault());
    assert_eq!(vault.slots()[0].failed_attempts, 0);
    session.lock();
}

#[test]
fn a_vault_whose_process_died_on_a_full_disk_opens_there() {
    let scratch = Scratch::new();
    let test = "a_vault_whose_process_died_on_a_full_disk_opens_there";
    let Some(disk) = SmallDisk::mount(&scratch, test) else {
        return;
    };
    drop(make_plain(&disk.vault(), &words()).unwrap());
    let mut child = Talking::start(elsewhere(&line("fill", &disk.vault())));
    let acknowledged: u64 = child.hear().unwrap().parse().unwrap();
    disk.use_up();
    child.kill();
    let log = disk.vault().join("standard.db-wal");
    assert!(log.metadata().unwrap().len() > 0, "there is a log to read");

    let (vault, session) = unlock(&disk.vault());
    assert_eq!(session.count(&Query::new()).unwrap(), acknowledged);
    let read = session.query(&Query::new()).map(|record| record.unwrap());
    let read: Vec<Record> = read.collect();
    assert_eq!(u64::try_from(read.len()).unwrap(), acknowledged);
    let oldest = session.query(&Query::new()).next().unwrap().unwrap();
    session.lock();
    drop((session, vault));

    disk.free();
    let (_vault, session) = unlock(&disk.vault());
    assert_eq!(session.count(&Query::new()).unwrap(), acknowledged);
    assert!(session.erase(oldest.id().unwrap()).unwrap());
    session.put(Record::new("Note", "space again")).unwrap();
}

#[test]
fn a_vault_that_finds_no_space_is_not_made_by_half() {
    let scratch = Scratch::new();
    let test = "a_vault_that_finds_no_space_is_not_made_by_half";
    let Some(disk) = SmallDisk::mount(&scratch, test) else {
        return;
    };
    disk.use_up();
    let ballast = disk.0.join("ballast");
    let left = ballast.metadata().unwrap().len();
    let words = words();
    let mut refused = 0;
    // Page by page: each time the making gets a little further.
    for pages in 0.. {
        let ballast = File::options().write(true).open(&ballast).unwrap();
        ballast.set_len(left - pages * 8 * 4096).unwrap();
        match make_plain(&disk.vault(), &words) {
            Ok(vault) => {
                drop(vault.unlock(&factors(&words)).unwrap());
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
        }
        refused += 1;
        let opened = Vault::open(disk.vault()).unwrap_err().kind();
        let kinds = [ErrorKind::VaultIncomplete, ErrorKind::VaultNotFound];
        assert!(kinds.contains(&opened), "{opened:?}");
    }
    assert!(refused > 3, "{refused}");
}
