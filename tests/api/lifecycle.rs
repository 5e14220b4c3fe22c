//! What a host tells the vault of the app around it, and what is left of the vault in a process that
//! is about to be suspended.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use vitalock::{
    Batch, Class, Credentials, ErrorKind, LockReason, Query, Record, Session, SessionPolicy, Vault,
};

use crate::support::fixture::{Twin, make_quick_vault, step_up, unlock};
use crate::support::{Scratch, files_of, options, words};

/// What this process has open of a directory: the files, and the directory itself.
fn open_files(dir: &Path) -> BTreeSet<String> {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets
        .filter(|target| target.starts_with(dir))
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

/// Whether any process holds a lock, of any kind, on a file of a directory.
fn has_locks(dir: &Path) -> bool {
    let inodes: BTreeSet<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().ino().to_string())
        .collect();
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5)?.rsplit(':').next())
        .any(|inode| inodes.contains(inode))
}

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// Waits for what another thread brings about, and gives up late.
#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the library's timer goes by the system's clock"
)]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn quick_vault_with(dir: &Path, policy: SessionPolicy) -> Vault {
    drop(make_quick_vault(dir, false));
    let vault = Vault::open(dir).unwrap();
    let session = unlock(&vault);
    step_up(&session).set_session_policy(policy).unwrap();
    session.lock();
    vault
}

#[test]
fn nothing_of_a_paused_vault_is_open_or_locked_in_the_process() {
    let scratch = Scratch::new();
    let dir = std::fs::canonicalize(scratch.path()).unwrap().join("vault");
    let vault = make_quick_vault(&dir, true);
    let session = unlock(&vault);
    let lease = step_up(&session);
    for class in Class::ALL {
        lease.put(Record::new("Note", "body").class(class)).unwrap();
    }
    let mut matches = session.query(&Query::new());
    let first = matches.next().unwrap().unwrap().id().unwrap();
    // The control: what is looked for is there before.
    assert!(open_files(&dir).len() > 5, "{:?}", open_files(&dir));
    assert!(has_locks(&dir));

    vault.pause();
    assert_eq!(open_files(&dir), BTreeSet::new());
    assert!(!has_locks(&dir));
    // The logs were emptied: everything is in the databases.
    for (name, bytes) in files_of(&dir) {
        assert!(!name.ends_with("-wal") || bytes.is_empty(), "{name}");
    }
    let paused = Some(ErrorKind::Paused);
    assert_eq!(kind(session.get(first)), paused);
    assert_eq!(kind(session.put(Record::new("Note", "late"))), paused);
    assert_eq!(kind(session.count(&Query::new())), paused);
    assert_eq!(kind(session.touch()), paused);
    assert_eq!(kind(session.step_up(&Credentials::share(&Twin))), paused);
    assert_eq!(kind(lease.slots().list()), paused);
    assert_eq!(kind(vault.unlock(&Credentials::share(&Twin))), paused);
    assert_eq!(kind(vault.size()), paused);
    assert_eq!(kind(matches.next().unwrap()), paused);
    assert_eq!(vault.slots().len(), 2);
    assert!(!session.is_locked());
    vault.pause();

    vault.resume().unwrap();
    assert!(has_locks(&dir));
    assert!(session.get(first).unwrap().is_some());
    assert_eq!(session.count(&Query::new()).unwrap(), 2);
    session.put(Record::new("Note", "after")).unwrap();
    assert_eq!(kind(lease.get(first)), Some(ErrorKind::LeaseExpired));
    assert_eq!(step_up(&session).count(&Query::new()).unwrap(), 4);
    vault.resume().unwrap();
    drop(lease);
    assert_eq!(session.count(&Query::new()).unwrap(), 3);
}

#[test]
fn an_iterator_goes_on_where_it_was_when_the_vault_is_resumed() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let mut batch = Batch::new();
    for number in 0..100 {
        let class = Class::ALL[number % 2];
        let record = Record::new("Note", format!("{number}").as_str());
        batch.put(record.subject("p1").class(class));
    }
    session.commit(&batch).unwrap();
    let query = Query::new().subject("p1");
    let expected: Vec<_> = session
        .query(&query)
        .map(|record| record.unwrap().body().to_vec())
        .collect();
    assert_eq!(expected.len(), 100);
    let mut matches = session.query(&query);
    let mut met = Vec::new();
    for _ in 0..37 {
        met.push(matches.next().unwrap().unwrap().body().to_vec());
    }
    vault.pause();
    vault.resume().unwrap();
    met.extend(matches.map(|record| record.unwrap().body().to_vec()));
    assert_eq!(met, expected);
}

#[test]
fn another_handle_has_a_paused_vault_and_it_is_resumed_when_that_lets_go() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let id = session.put(Record::new("Note", "one")).unwrap().id;
    assert_eq!(
        kind(Vault::open(scratch.vault())),
        Some(ErrorKind::VaultBusy)
    );
    vault.pause();

    let other = Vault::open(scratch.vault()).unwrap();
    let theirs = unlock(&other);
    assert_eq!(theirs.get(id).unwrap().unwrap().body(), b"one");
    let more = theirs.put(Record::new("Note", "two")).unwrap().id;
    assert_eq!(kind(vault.resume()), Some(ErrorKind::VaultBusy));
    assert_eq!(kind(session.get(id)), Some(ErrorKind::Paused));
    drop((theirs, other));

    vault.resume().unwrap();
    assert_eq!(session.get(more).unwrap().unwrap().body(), b"two");
    assert_eq!(
        session.put(Record::new("Note", "three")).map(|_| ()).ok(),
        Some(())
    );
}

#[test]
fn a_session_ends_whose_header_was_changed_while_it_was_paused() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    vault.pause();
    let other = Vault::open(scratch.vault()).unwrap();
    let theirs = unlock(&other);
    let lease = step_up(&theirs);
    lease.slots().remove(theirs.slot(), Some(&Twin)).unwrap();
    drop((lease, theirs, other));

    vault.resume().unwrap();
    assert_eq!(kind(session.touch()), Some(ErrorKind::Locked));
    assert_eq!(session.lock_reason(), Some(LockReason::HeaderChanged));
    assert_eq!(vault.slots().len(), 1);
    // The slot is gone for this handle too.
    let refused = vault.unlock(&Credentials::share(&Twin));
    assert_eq!(kind(refused), Some(ErrorKind::NoMatchingSlot));
    let words = words();
    let factors = Credentials::passphrase(&words).and(&Twin);
    vault.unlock(&factors).unwrap().touch().unwrap();
}

#[test]
fn a_changed_header_ends_the_session_also_where_resuming_failed_at_first() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    vault.pause();
    let other = Vault::open(scratch.vault()).unwrap();
    let theirs = unlock(&other);
    let lease = step_up(&theirs);
    lease.slots().remove(theirs.slot(), Some(&Twin)).unwrap();
    drop((lease, theirs, other));
    let attempts = scratch.vault().join("attempts");
    let mode = |mode| std::fs::set_permissions(&attempts, Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert_eq!(kind(vault.resume()), Some(ErrorKind::PathLooseMode));
    assert_eq!(kind(session.touch()), Some(ErrorKind::Paused));
    mode(0o600);
    vault.resume().unwrap();
    assert_eq!(kind(session.touch()), Some(ErrorKind::Locked));
    assert_eq!(session.lock_reason(), Some(LockReason::HeaderChanged));
}

#[test]
fn in_the_background_nobody_steps_up() {
    let scratch = Scratch::new();
    let policy = SessionPolicy::new()
        .background(Duration::from_secs(30))
        .unwrap();
    let vault = quick_vault_with(&scratch.vault(), policy);
    let session = unlock(&vault);
    vault.entered_background();
    let factors = Credentials::share(&Twin);
    assert_eq!(
        kind(session.step_up(&factors)),
        Some(ErrorKind::LeaseExpired)
    );
    session.touch().unwrap();
    vault.entering_foreground();
    step_up(&session).touch().unwrap();
}

#[test]
fn what_is_not_the_vault_that_was_paused_is_not_resumed() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    vault.pause();
    let aside = scratch.path().join("aside");
    std::fs::rename(scratch.vault(), &aside).unwrap();
    assert_eq!(kind(vault.resume()), Some(ErrorKind::VaultNotFound));
    drop(make_quick_vault(&scratch.vault(), false));
    assert_eq!(kind(vault.resume()), Some(ErrorKind::TamperDetected));
    std::fs::remove_dir_all(scratch.vault()).unwrap();
    std::fs::rename(&aside, scratch.vault()).unwrap();
    // A database that is not what it was, while the header is.
    let database = scratch.vault().join("standard.db");
    let whole = std::fs::read(&database).unwrap();
    let mut damaged = whole.clone();
    damaged[50] ^= 1;
    std::fs::write(&database, &damaged).unwrap();
    let refused = kind(vault.resume());
    assert_eq!(refused, Some(ErrorKind::TamperDetected));
    assert_eq!(kind(session.touch()), Some(ErrorKind::Paused));
    assert_eq!(
        open_files(&std::fs::canonicalize(scratch.vault()).unwrap()),
        BTreeSet::new()
    );
    std::fs::write(&database, &whole).unwrap();
    vault.resume().unwrap();
    session.touch().unwrap();
}

#[test]
fn pausing_lets_calls_under_way_end_whole_and_refuses_the_rest() {
    let scratch = Scratch::new();
    let dir = std::fs::canonicalize(scratch.path()).unwrap().join("vault");
    let vault = make_quick_vault(&dir, false);
    let session = unlock(&vault);
    let enough = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    let write = |session: &Session| {
        while !enough.load(Ordering::Acquire) {
            let mut batch = Batch::new();
            for number in 0..20 {
                let class = Class::ALL[number % 2];
                batch.put(Record::new("Note", "body").class(class));
            }
            match session.commit(&batch) {
                Ok(stored) => _ = done.fetch_add(stored.len(), Ordering::AcqRel),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Paused),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| write(&session));
        }
        for turn in 1..=40 {
            eventually("a batch is committed", || {
                done.load(Ordering::Acquire) >= turn * 20
            });
            vault.pause();
            assert_eq!(open_files(&dir), BTreeSet::new());
            assert!(!has_locks(&dir));
            vault.resume().unwrap();
        }
        enough.store(true, Ordering::Release);
    });
    let done = done.into_inner();
    assert_eq!(session.count(&Query::new()).unwrap(), done as u64);
}

#[test]
fn without_a_call_the_files_are_closed_when_the_idle_limit_is_reached() {
    let scratch = Scratch::new();
    let dir = std::fs::canonicalize(scratch.path()).unwrap().join("vault");
    let policy = SessionPolicy::new().idle(Duration::from_secs(1)).unwrap();
    let vault = quick_vault_with(&dir, policy);
    let session = unlock(&vault);
    let database = dir.join("standard.db").to_string_lossy().into_owned();
    eventually("the database is closed", || {
        !open_files(&dir).contains(&database)
    });
    assert_eq!(session.lock_reason(), Some(LockReason::Idle));
    assert_eq!(kind(session.touch()), Some(ErrorKind::Locked));
    drop(session);
    assert!(!unlock(&vault).is_locked());
}

#[test]
fn in_constant_use_a_session_ends_at_the_absolute_limit() {
    let scratch = Scratch::new();
    let policy = SessionPolicy::new()
        .absolute(Duration::from_secs(1))
        .unwrap();
    let vault = quick_vault_with(&scratch.vault(), policy);
    let session = unlock(&vault);
    let mut calls = 0;
    let ended = loop {
        match session.touch() {
            Ok(()) => calls += 1,
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(ended, ErrorKind::Locked);
    assert!(calls > 0);
    assert_eq!(session.lock_reason(), Some(LockReason::Absolute));
}

#[test]
fn the_background_locks_at_once_unless_the_policy_has_a_grace() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    vault.entered_background();
    assert_eq!(kind(session.touch()), Some(ErrorKind::Locked));
    assert_eq!(session.lock_reason(), Some(LockReason::Background));
    // There is no session to be had while the app is not seen.
    assert_eq!(unlock(&vault).lock_reason(), Some(LockReason::Background));
    vault.entering_foreground();
    let session = unlock(&vault);
    let policy = SessionPolicy::new()
        .background(Duration::from_secs(30))
        .unwrap();
    step_up(&session).set_session_policy(policy).unwrap();
    let lease = step_up(&session);
    vault.entered_background();
    assert_eq!(kind(lease.touch()), Some(ErrorKind::LeaseExpired));
    session.touch().unwrap();
    vault.pause();
    vault.resume().unwrap();
    vault.entering_foreground();
    session.touch().unwrap();
    let policy = SessionPolicy::new()
        .background(Duration::from_secs(1))
        .unwrap();
    drop(lease);
    step_up(&session).set_session_policy(policy).unwrap();
    vault.entered_background();
    eventually("the grace is over", || session.is_locked());
    assert_eq!(session.lock_reason(), Some(LockReason::Background));
    vault.entering_foreground();
    assert!(session.is_locked());
}

#[test]
fn a_locked_device_locks_the_session() {
    let scratch = Scratch::new();
    let dir = std::fs::canonicalize(scratch.path()).unwrap().join("vault");
    let vault = make_quick_vault(&dir, false);
    vault.device_locked();
    let session = unlock(&vault);
    vault.device_locked();
    assert_eq!(kind(session.touch()), Some(ErrorKind::Locked));
    assert_eq!(session.lock_reason(), Some(LockReason::DeviceLocked));
    let database = dir.join("standard.db").to_string_lossy().into_owned();
    assert!(!open_files(&dir).contains(&database));
    // The first reason counts.
    session.lock();
    assert_eq!(session.lock_reason(), Some(LockReason::DeviceLocked));
}

#[test]
fn a_policy_is_kept_in_the_header_and_every_later_session_has_it() {
    let scratch = Scratch::new();
    let policy = SessionPolicy::new()
        .idle(Duration::from_secs(900))
        .and_then(|policy| policy.absolute(Duration::from_secs(3600)))
        .and_then(|policy| policy.background(Duration::from_secs(7)))
        .and_then(|policy| policy.lease(Duration::from_secs(300)))
        .and_then(|policy| policy.lease_reads(12))
        .unwrap();
    let words = words();
    let factors = Credentials::passphrase(&words).and(&Twin);
    let setup = Vault::create(scratch.vault(), options().session_policy(policy), factors).unwrap();
    drop(setup.dangerous_without_recovery().unwrap());
    let vault = Vault::open(scratch.vault()).unwrap();
    assert_eq!(vault.session_policy(), policy);
    let session = vault.unlock(&factors).unwrap();
    let before = std::fs::read(scratch.vault().join("header")).unwrap();
    let lease = session.step_up(&factors).unwrap();
    lease.set_session_policy(SessionPolicy::new()).unwrap();
    let after = std::fs::read(scratch.vault().join("header")).unwrap();
    assert_ne!(before, after);
    assert_eq!(
        after,
        std::fs::read(scratch.vault().join("header.2")).unwrap()
    );
    // A change of slots keeps it.
    lease.set_session_policy(policy).unwrap();
    lease.slots().add_emergency().unwrap();
    drop((lease, session, vault));
    assert_eq!(
        Vault::open(scratch.vault()).unwrap().session_policy(),
        policy
    );
}
