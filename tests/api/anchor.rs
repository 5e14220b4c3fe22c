//! An older copy that is put back is noticed, a crash is not taken for one, and a lost anchor locks
//! nobody out.

use std::path::Path;
use std::sync::Arc;

use vitalock::{
    AuditAction, AuditQuery, Batch, Class, Credentials, ErrorKind, LockReason, Passphrase, Query,
    Record, RecoveryCode, Session, SessionPolicy, Vault,
};

use crate::support::anchors::Memory;
use crate::support::fixture::{DATABASES, copy};
use crate::support::{Keystore, Scratch, make_vault_with, options, words};

struct Place {
    scratch: Scratch,
    keystore: Keystore,
    words: Passphrase,
    anchor: Arc<Memory>,
    code: String,
}

impl Place {
    /// An anchored vault with one record in each class, closed.
    fn new() -> Self {
        let (scratch, keystore) = (Scratch::new(), Keystore::new());
        let anchor = Arc::new(Memory::default());
        let options = options().anchor(anchor.clone());
        let (vault, code) = make_vault_with(&scratch.vault(), &keystore, options);
        drop(vault);
        let place = Self {
            scratch,
            keystore,
            words: words(),
            anchor,
            code,
        };
        place.live_on();
        place
    }

    /// Another record in each class, and closed again.
    fn live_on(&self) {
        let vault = self.open();
        let session = self.unlock(&vault).unwrap();
        self.put(&session, "body");
        session.lock();
    }

    fn factors(&self) -> Credentials<'_> {
        Credentials::passphrase(&self.words).and(&self.keystore)
    }

    fn open(&self) -> Vault {
        let vault = Vault::open(self.scratch.vault()).unwrap();
        vault.anchored(self.anchor.clone())
    }

    fn unlock(&self, vault: &Vault) -> vitalock::Result<Session> {
        vault.unlock(&self.factors())
    }

    /// One record in each class, in a commit of its own.
    fn put(&self, session: &Session, body: &str) {
        let lease = session.step_up(&self.factors()).unwrap();
        for class in Class::ALL {
            lease.put(Record::new("Note", body).class(class)).unwrap();
        }
    }

    /// How an unlock, and then a step-up, ends.
    fn outcome(&self) -> (Option<ErrorKind>, Option<ErrorKind>) {
        let vault = self.open();
        match self.unlock(&vault) {
            Err(error) => (Some(error.kind()), None),
            Ok(session) => {
                let lease = session.step_up(&self.factors());
                (None, lease.err().map(|error| error.kind()))
            }
        }
    }

    /// A copy of the files as they are, also while they are open.
    fn keep(&self, name: &str) -> std::path::PathBuf {
        let there = self.scratch.path().join(name);
        copy(&self.scratch.vault(), &there);
        there
    }

    /// Puts these files of a copy back.
    fn put_back(&self, from: &Path, names: &[&str]) {
        for name in names {
            let (from, to) = (from.join(name), self.scratch.vault().join(name));
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            } else {
                std::fs::remove_file(to).unwrap();
            }
        }
    }
}

const ROLLBACK: Option<ErrorKind> = Some(ErrorKind::RollbackDetected);

#[test]
fn any_older_file_of_the_vault_is_noticed_and_nothing_is_handed_out() {
    let place = Place::new();
    let older = place.keep("older");
    place.live_on();
    let newer = place.keep("newer");
    let kept = place.anchor.state.lock().unwrap().clone().unwrap();
    let everything = [&DATABASES[..], &["header", "header.2", "attempts"]].concat();
    for (names, expected) in [
        (&everything[..], (ROLLBACK, None)),
        (&DATABASES[..], (ROLLBACK, None)),
        (&["emergency.db"], (ROLLBACK, None)),
        (&["standard.db"], (ROLLBACK, None)),
        (&["priority.db"], (None, ROLLBACK)),
        // Nothing changed there.
        (&["header", "header.2"], (None, None)),
    ] {
        place.put_back(&newer, &everything);
        *place.anchor.state.lock().unwrap() = Some(kept.clone());
        assert_eq!(place.outcome(), (None, None), "the control");
        place.put_back(&newer, &everything);
        *place.anchor.state.lock().unwrap() = Some(kept.clone());
        place.put_back(&older, names);
        assert_eq!(place.outcome(), expected, "{names:?}");
        // Refusing is no way to be let in at the second try.
        assert_eq!(place.outcome(), expected, "{names:?}");
    }
    place.put_back(&newer, &everything);
    *place.anchor.state.lock().unwrap() = Some(kept);
    let vault = place.open();
    let lease = place.unlock(&vault).unwrap();
    let lease = lease.step_up(&place.factors()).unwrap();
    assert_eq!(lease.count(&Query::new()).unwrap(), 6);
}

#[test]
fn an_older_header_brings_no_removed_slot_back() {
    let place = Place::new();
    let words = Passphrase::new(b"five quiet herons wade here").unwrap();
    let alone = Credentials::passphrase(&words);
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    let lease = session.step_up(&place.factors()).unwrap();
    let slot = lease.slots().add(&alone).unwrap();
    let other = Passphrase::new(b"six other herons fly away").unwrap();
    session.lock();
    drop((lease, session));
    vault.unlock(&alone).unwrap().lock();
    let older = place.keep("older");
    let session = place.unlock(&vault).unwrap();
    let lease = session.step_up(&place.factors()).unwrap();
    let other = Credentials::passphrase(&other);
    lease.slots().replace(slot, &other).unwrap();
    session.lock();
    drop((lease, session, vault));
    let refused = |factors: &Credentials<'_>| place.open().unlock(factors).unwrap_err().kind();
    assert_eq!(refused(&alone), ErrorKind::UnlockFailed);
    place.put_back(&older, &["header", "header.2"]);
    assert_eq!(Some(refused(&alone)), ROLLBACK);
    assert_eq!(Some(refused(&place.factors())), ROLLBACK);
}

#[test]
fn a_log_that_is_cut_before_what_was_anchored_is_noticed_and_after_it_is_not() {
    for anchored in [true, false] {
        let place = Place::new();
        let vault = place.open();
        let session = place.unlock(&vault).unwrap();
        // The first call since the vault was opened, and then 30 seconds, anchor by themselves.
        session.put(Record::new("Note", "first")).unwrap();
        let first = place.anchor.state.lock().unwrap().clone();
        let before = place.keep("before");
        session.put(Record::new("Note", "second")).unwrap();
        if anchored {
            session.anchor().unwrap();
        }
        let killed = place.keep("killed");
        let kept = place.anchor.state.lock().unwrap().clone();
        // What a crash leaves, and then without the last commit.
        drop((session, vault));
        let log = std::fs::metadata(before.join("standard.db-wal"))
            .unwrap()
            .len();
        std::fs::remove_dir_all(place.scratch.vault()).unwrap();
        copy(&killed, &place.scratch.vault());
        // Dropping the session has anchored as well: as it was when the process died.
        *place.anchor.state.lock().unwrap() = if anchored { kept } else { first };
        let file = std::fs::File::options()
            .write(true)
            .open(place.scratch.vault().join("standard.db-wal"))
            .unwrap();
        file.set_len(log).unwrap();
        let expected = if anchored { ROLLBACK } else { None };
        assert_eq!(place.outcome().0, expected, "anchored: {anchored}");
    }
}

#[test]
fn a_lost_anchor_is_established_again_with_fresh_factors_for_every_class() {
    let place = Place::new();
    let state = place.anchor.state.lock().unwrap().take();
    assert_eq!(place.outcome().0, Some(ErrorKind::AnchorMissing));
    // An anchor of another vault is none of this one's.
    let other = Place::new();
    *place.anchor.state.lock().unwrap() = other.anchor.state.lock().unwrap().clone();
    assert_eq!(place.outcome().0, Some(ErrorKind::AnchorMissing));
    // Without bringing one there is no way around it.
    let vault = Vault::open(place.scratch.vault()).unwrap();
    let kind = |result: vitalock::Result<Session>| result.err().map(|error| error.kind());
    assert_eq!(kind(place.unlock(&vault)), Some(ErrorKind::AnchorMissing));
    let restored = vault.unlock_restored(&place.factors());
    assert_eq!(kind(restored), Some(ErrorKind::AnchorMissing));
    drop(vault);

    let vault = place.open();
    let wrong = Passphrase::new(b"five loud herons wade here").unwrap();
    let wrong = Credentials::passphrase(&wrong).and(&place.keystore);
    assert_eq!(
        kind(vault.unlock_restored(&wrong)),
        Some(ErrorKind::UnlockFailed)
    );
    let session = vault.unlock_restored(&place.factors()).unwrap();
    assert_eq!(session.count(&Query::new()).unwrap(), 2);
    session.lock();
    drop((session, vault));
    // As far as before, and further by what was just done; and it holds again.
    let now = place.anchor.state.lock().unwrap().clone().unwrap();
    let (before, now) = (generations(&state.unwrap()), generations(&now));
    assert!(before.iter().zip(&now).all(|(before, now)| before <= now));
    assert_eq!(place.outcome(), (None, None));
}

#[test]
fn a_backup_that_is_put_back_is_accepted_when_the_owner_says_so_and_counts_from_then_on() {
    let place = Place::new();
    let backup = place.keep("backup");
    place.live_on();
    let newer = place.keep("newer");
    let everything = [&DATABASES[..], &["header", "header.2"]].concat();
    place.put_back(&backup, &everything);
    assert_eq!(place.outcome().0, ROLLBACK);
    let vault = place.open();
    let session = vault.unlock_restored(&place.factors()).unwrap();
    assert_eq!(session.count(&Query::new()).unwrap(), 2);
    place.put(&session, "third");
    place.put(&session, "fourth");
    session.lock();
    drop((session, vault));
    assert_eq!(place.outcome(), (None, None));
    // What was given up is older now.
    place.put_back(&newer, &everything);
    assert_eq!(place.outcome().0, ROLLBACK);
}

#[test]
fn a_recovery_accepts_a_lost_anchor_and_an_older_vault_only_by_word() {
    let place = Place::new();
    let code = RecoveryCode::parse(place.code.as_bytes()).unwrap();
    let old = Credentials::recovery(&code).and_passphrase(&place.words);
    let recover_as = |anchor: Arc<Memory>, restored: bool| {
        let vault = Vault::open(place.scratch.vault()).unwrap().anchored(anchor);
        let mut recovery = vault.recover(&old, place.factors())?;
        if restored {
            recovery.accept_restored();
        }
        let typed = recovery.code().reveal(str::to_owned);
        recovery
            .confirm(typed.as_bytes())
            .map(|session| session.lock())
    };
    let recover = |anchor| recover_as(anchor, false);
    let older = place.keep("older");
    place.live_on();
    let newer = place.keep("newer");
    place.put_back(&older, &DATABASES);
    let refused = recover(place.anchor.clone()).unwrap_err().kind();
    assert_eq!(Some(refused), ROLLBACK);
    // The owner says that a backup was put back, and has forgotten the passphrase.
    let everything = [&DATABASES[..], &["header", "header.2"]].concat();
    recover_as(place.anchor.clone(), true).unwrap();
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    let restored = AuditQuery::new().action(AuditAction::Restored);
    assert_eq!(session.audit_trail(&restored).count(), 1);
    session.lock();
    drop((session, vault));
    // From there on what is older than that is refused again.
    place.put_back(&older, &DATABASES);
    assert_eq!(place.outcome().0, ROLLBACK);
    place.put_back(&newer, &everything);
    *place.anchor.state.lock().unwrap() = None;
    place.put_back(&newer, &DATABASES);
    // A new phone, whose anchor is empty.
    let fresh = Arc::new(Memory::default());
    recover(fresh.clone()).unwrap();
    assert!(fresh.state.lock().unwrap().is_some());
}

#[test]
fn an_anchor_that_cannot_be_reached_is_said_to_be_so_and_costs_no_record() {
    let place = Place::new();
    *place.anchor.unreachable.lock().unwrap() = true;
    assert_eq!(place.outcome().0, Some(ErrorKind::AnchorUnavailable));
    *place.anchor.unreachable.lock().unwrap() = false;
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    *place.anchor.unreachable.lock().unwrap() = true;
    session
        .put(Record::new("Note", "written all the same"))
        .unwrap();
    let refused = session.anchor().unwrap_err().kind();
    assert_eq!(refused, ErrorKind::AnchorUnavailable);
    // An attempt that cannot be counted outside is not made, and so does not fail.
    for _ in 0..4 {
        let refused = session.step_up(&place.factors()).unwrap_err().kind();
        assert_eq!(refused, ErrorKind::AnchorUnavailable);
    }
    assert!(vault.slots().iter().all(|slot| slot.failed_attempts == 0));
    session.lock();
    *place.anchor.unreachable.lock().unwrap() = false;
    drop((session, vault));
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    assert_eq!(session.count(&Query::new()).unwrap(), 3);
    // A vault is not made where its anchor cannot be.
    let elsewhere = place.scratch.path().join("elsewhere");
    *place.anchor.unreachable.lock().unwrap() = true;
    let options = options().anchor(place.anchor.clone());
    let setup = Vault::create(&elsewhere, options, place.factors()).unwrap();
    let before = place.keystore.live_keys();
    let refused = setup.dangerous_without_recovery().unwrap_err().kind();
    assert_eq!(refused, ErrorKind::AnchorUnavailable);
    assert_eq!(place.keystore.live_keys(), before);
}

#[test]
fn changes_that_change_nothing_move_no_generation() {
    let place = Place::new();
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    let record = || Record::new("Note", "body").client("c1", 1);
    session.put(record()).unwrap();
    session.anchor().unwrap();
    let (stored, state) = (
        place.anchor.times_stored(),
        place.anchor.state.lock().unwrap().clone(),
    );
    for _ in 0..50 {
        session.put(record()).unwrap();
        session.touch().unwrap();
        session.commit(&Batch::new()).unwrap();
        session.anchor().unwrap();
    }
    assert_eq!(place.anchor.times_stored(), stored);
    assert_eq!(*place.anchor.state.lock().unwrap(), state);
}

#[test]
fn a_vault_without_an_anchor_says_so_and_takes_none_by_the_way() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault_with(&scratch.vault(), &keystore, options());
    let anchor = Arc::new(Memory::default());
    let vault = vault.anchored(anchor.clone());
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    session.put(Record::new("Note", "body")).unwrap();
    let refused = session.anchor().unwrap_err().kind();
    assert_eq!(refused, ErrorKind::AnchorMissing);
    session.lock();
    assert_eq!(anchor.times_stored(), 0);
}

/// The generations in what was stored (spec 08): the header's and three classes'.
fn generations(state: &[u8]) -> Vec<u64> {
    let marks = state[25..].chunks_exact(48).map(|mark| &mark[..8]);
    [&state[17..25]]
        .into_iter()
        .chain(marks)
        .map(|number| u64::from_le_bytes(number.try_into().unwrap()))
        .collect()
}

#[test]
fn whatever_threads_do_at_once_the_anchor_never_goes_back() {
    let place = Place::new();
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let session = session.clone();
            scope.spawn(move || {
                for _ in 0..40 {
                    let class = Class::ALL[number % 2];
                    session
                        .put(Record::new("Note", "body").class(class))
                        .unwrap();
                    session.anchor().unwrap();
                }
            });
        }
    });
    session.lock();
    let stored = place.anchor.stored.lock().unwrap();
    assert!(stored.len() > 100, "{}", stored.len());
    for pair in stored.windows(2) {
        let (before, after) = (generations(&pair[0].0), generations(&pair[1].0));
        assert!(
            before
                .iter()
                .zip(&after)
                .all(|(before, after)| before <= after)
        );
        assert_ne!(pair[0].0, pair[1].0, "nothing is stored twice");
    }
}

#[test]
fn what_is_not_opened_whole_is_not_accepted_and_leaves_the_anchor_as_it_is() {
    let place = Place::new();
    let older = place.keep("older");
    place.live_on();
    let newer = place.keep("newer");
    let before = place.anchor.state.lock().unwrap().clone();
    // Somebody has the owner accept the vault while Priority does not open.
    let priority = place.scratch.vault().join("priority.db");
    let mut damaged = std::fs::read(&priority).unwrap();
    damaged[50] ^= 1;
    std::fs::write(&priority, damaged).unwrap();
    let vault = place.open();
    let refused = vault.unlock_restored(&place.factors()).unwrap_err().kind();
    assert_eq!(refused, ErrorKind::TamperDetected);
    drop(vault);
    assert_eq!(*place.anchor.state.lock().unwrap(), before);
    place.put_back(&older, &["priority.db"]);
    assert_eq!(place.outcome(), (None, ROLLBACK));
    place.put_back(&newer, &["priority.db"]);
    assert_eq!(place.outcome(), (None, None));
}

#[test]
fn the_timer_never_calls_the_host_and_the_next_unlock_anchors_what_it_left() {
    let place = Place::new();
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    let lease = session.step_up(&place.factors()).unwrap();
    let policy = SessionPolicy::new()
        .idle(std::time::Duration::from_secs(1))
        .unwrap();
    lease.set_session_policy(policy).unwrap();
    drop(lease);
    session.anchor().unwrap();
    session.put(Record::new("Note", "not anchored")).unwrap();
    let before = place.anchor.times_stored();
    let database = std::fs::canonicalize(place.scratch.vault().join("standard.db")).unwrap();
    let is_open = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let mut open = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        open.any(|target| target == database)
    };
    while is_open() {
        std::thread::yield_now();
    }
    assert_eq!(place.anchor.times_stored(), before);
    assert_eq!(session.lock_reason(), Some(LockReason::Idle));
    drop((session, vault));
    let vault = place.open();
    drop(place.unlock(&vault).unwrap());
    // An attempt, that it succeeded, and what the timer left.
    assert_eq!(place.anchor.times_stored(), before + 3);
    let stored = place.anchor.stored.lock().unwrap();
    let timer = Some("vitalock-timer".to_owned());
    assert!(stored.iter().all(|(_, thread)| *thread != timer));
}

#[test]
fn a_table_of_attempts_that_is_put_back_or_damaged_forgets_no_attempt_that_the_anchor_knows() {
    let place = Place::new();
    let fresh = place.keep("fresh");
    let guess = || {
        let wrong = Passphrase::new(b"not what the owner knows").unwrap();
        let wrong = Credentials::passphrase(&wrong).and(&place.keystore);
        place.open().unlock(&wrong).unwrap_err().kind()
    };
    let failures = |vault: &Vault| {
        let of_slot = |slot: &vitalock::SlotInfo| slot.failed_attempts;
        vault.slots().iter().map(of_slot).max().unwrap()
    };
    let (table, damage) = (place.scratch.vault().join("attempts"), vec![1; 8192]);
    // Two mistakes, and a table that says nothing any more: without an anchor the next attempt would
    // wait for an hour.
    assert_eq!([guess(), guess()], [ErrorKind::UnlockFailed; 2]);
    std::fs::write(&table, &damage).unwrap();
    let alone = Vault::open(place.scratch.vault()).unwrap();
    assert_eq!(failures(&alone), 9);
    drop(alone);
    let vault = place.open();
    let session = place.unlock(&vault).unwrap();
    assert_eq!(failures(&vault), 0);
    drop((session, vault));
    // That it opened is known outside as well.
    std::fs::write(&table, &damage).unwrap();
    assert_eq!(place.outcome(), (None, None));
    for _ in 0..3 {
        place.put_back(&fresh, &["attempts"]);
        assert_eq!(failures(&place.open()), 0);
        assert_eq!(guess(), ErrorKind::UnlockFailed);
    }
    for forgetful in [true, false] {
        match forgetful {
            true => place.put_back(&fresh, &["attempts"]),
            false => std::fs::write(&table, &damage).unwrap(),
        }
        let vault = place.open();
        let waits = place.unlock(&vault).unwrap_err();
        assert_eq!(waits.kind(), ErrorKind::Throttled);
        let wait = waits.retry_after().unwrap().as_secs();
        assert!((1..30).contains(&wait), "{wait}");
        assert_eq!(failures(&vault), 3);
    }
}
