//! What becomes of failed attempts, by a clock that the test holds.

use std::time::Duration;

use super::handle::Vault;
use super::options::Options;
use super::scene::{BEGAN, Recorder, SECOND, Scene};
use crate::error::{Error, ErrorKind};
use crate::keys::{
    Attempts, Credentials, EmergencyCode, Failed, Kdf, KdfParameters, Passphrase, RecoveryCode,
    SessionPolicy,
};
use crate::records::Record;
use crate::session::SlotInfo;

const WAITS: [u32; 9] = [0, 0, 30, 60, 120, 300, 900, 1800, 3600];

fn wrong() -> Passphrase {
    Passphrase::new(b"five loud herons wade here").unwrap()
}

impl Scene {
    fn new() -> Self {
        Self::with(SessionPolicy::new())
    }

    /// Tries wrong words, or the right ones.
    fn attempt(&self, words: &Passphrase) -> Result<(), Error> {
        let session = self.vault.unlock(&Credentials::passphrase(words))?;
        session.lock();
        Ok(())
    }

    fn fail(&self) -> ErrorKind {
        self.attempt(&wrong()).unwrap_err().kind()
    }

    /// Fails so often, waiting each time for as long as it takes; when the clock stands then.
    fn fail_times(&self, times: usize) -> i64 {
        let mut now = 0;
        for wait in &WAITS[..times] {
            self.hands.put(now);
            assert_eq!(self.fail(), ErrorKind::UnlockFailed);
            now += i64::from(*wait) * SECOND;
        }
        self.hands.put(now);
        now
    }

    fn slot(&self) -> SlotInfo {
        self.vault.slots().remove(0)
    }
}

#[test]
fn every_failure_is_answered_with_a_longer_wait_which_the_right_words_have_too() {
    let scene = Scene::new();
    let mut now = 0;
    for (failures, wait) in (1..).zip(WAITS) {
        assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
        assert_eq!(scene.slot().failed_attempts, failures);
        assert_eq!(scene.slot().retry_after.as_secs(), u64::from(wait));
        let end = now + i64::from(wait) * SECOND;
        for early in [now, end - 1] {
            if early < end && early >= now {
                scene.hands.put(early);
                for words in [&wrong(), &scene.words] {
                    let refused = scene.attempt(words).unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::Throttled);
                    let left = Duration::from_micros(u64::try_from(end - early).unwrap());
                    assert_eq!(refused.retry_after(), Some(left));
                }
            }
        }
        // Waiting is no failure.
        assert_eq!(scene.slot().failed_attempts, failures);
        now = end;
        scene.hands.put(now);
    }
    assert!(!scene.slot().disabled);
    scene.attempt(&scene.words).unwrap();
    assert_eq!(scene.slot().failed_attempts, 0);
    assert_eq!(scene.slot().retry_after, Duration::ZERO);
    assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
}

#[test]
fn after_ten_failures_the_slot_opens_nothing_and_recovery_is_the_way_back() {
    let scene = Scene::new();
    let now = scene.fail_times(9);
    assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
    assert!(scene.slot().disabled);
    for late in [0, 3600, 86_400 * 365] {
        scene.hands.put(now + late * SECOND);
        let refused = scene.attempt(&scene.words).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SlotDisabled);
    }
    let scene = scene.open_again(|_| {});
    assert_eq!(scene.fail(), ErrorKind::SlotDisabled);
    let code = RecoveryCode::parse(scene.code.as_bytes()).unwrap();
    let new = Passphrase::new(b"sieben junge Reiher schweigen").unwrap();
    let old = Credentials::recovery(&code);
    let mut recovery = scene
        .vault
        .recover(&old, Credentials::passphrase(&new))
        .unwrap();
    let typed = recovery.code().reveal(str::to_owned);
    recovery.confirm(typed.as_bytes()).unwrap().lock();
    drop(recovery);
    assert_eq!(
        (scene.slot().failed_attempts, scene.slot().disabled),
        (0, false)
    );
    scene.attempt(&new).unwrap();
}

/// What is in the vault's directory.
fn names(scene: &Scene) -> Vec<String> {
    let entries = std::fs::read_dir(&scene.dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn where_the_app_has_asked_for_it_the_tenth_failure_ends_the_vault() {
    for recoverable in [true, false] {
        let options = Options::new().dangerous_wipe_after_ten_failures(true);
        let scene = Scene::made(options, recoverable);
        scene.fail_times(9);
        // Nine are a bad day: the right words open, and it begins anew.
        scene.attempt(&scene.words).unwrap();
        scene.fail_times(9);
        assert!(names(&scene).contains(&"header".to_owned()));
        assert_eq!(scene.fail(), ErrorKind::VaultWiped);
        assert_eq!(names(&scene), ["lock"]);
        let over = scene.attempt(&scene.words).unwrap_err().kind();
        assert_eq!(over, ErrorKind::VaultWiped);
        let (dir, words) = (scene.dir.clone(), scene.words);
        drop(scene.vault);
        assert_eq!(
            Vault::open(&dir).unwrap_err().kind(),
            ErrorKind::VaultNotFound
        );
        // The place is free for another.
        let options = Options::new().kdf(Kdf::Fixed(KdfParameters::FLOOR));
        let setup = Vault::create(&dir, options, Credentials::passphrase(&words)).unwrap();
        drop(setup.dangerous_without_recovery().unwrap());
    }
}

#[test]
fn wiping_destroys_every_platform_key_first_and_begins_again_where_it_was_cut_short() {
    let options = Options::new().dangerous_wipe_after_ten_failures(true);
    let scene = Scene::made(options, true);
    let host = Recorder::default();
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let slots = lease.slots();
    slots
        .add(&Credentials::passphrase(&scene.words).and(&host))
        .unwrap();
    slots.add(&Credentials::share(&host)).unwrap();
    drop(lease);
    session.lock();
    drop(session);
    let before: Vec<_> = ["header", "header.2"]
        .map(|name| std::fs::read(scene.dir.join(name)).unwrap())
        .to_vec();
    let fails = |scene: &Scene| {
        let (words, host) = (wrong(), &host);
        let factors = Credentials::passphrase(&words).and(host);
        scene.vault.unlock(&factors).unwrap_err().kind()
    };
    for wait in WAITS {
        assert_eq!(fails(&scene), ErrorKind::UnlockFailed);
        scene
            .hands
            .put(scene.hands.steady() + i64::from(wait) * SECOND);
    }
    // What stops it: the marker that it begins with cannot be made.
    std::fs::create_dir(scene.dir.join("setup")).unwrap();
    assert_eq!(fails(&scene), ErrorKind::PathWrongType);
    let destroyed = host.destroyed.lock().unwrap().clone();
    assert!(destroyed.iter().any(|blob| blob == b"Standard"));
    assert!(destroyed.iter().any(|blob| blob == b"Priority"));
    for (name, bytes) in ["header", "header.2"].iter().zip(&before) {
        assert_eq!(
            &std::fs::read(scene.dir.join(name)).unwrap(),
            bytes,
            "still a vault"
        );
    }
    // Another process goes on, whatever the words.
    std::fs::remove_dir(scene.dir.join("setup")).unwrap();
    let scene = scene.open_again(|_| {});
    let late = scene.vault.unlock(&scene.factors()).map(drop);
    assert_eq!(
        late.map_err(|error| error.kind()),
        Ok(()),
        "another slot is as good as before"
    );
    host.destroyed.lock().unwrap().clear();
    let factors = Credentials::passphrase(&scene.words).and(&host);
    let over = scene.vault.unlock(&factors).unwrap_err().kind();
    assert_eq!(over, ErrorKind::VaultWiped);
    assert!(!host.destroyed.lock().unwrap().is_empty());
    assert_eq!(names(&scene), ["lock"]);
}

#[test]
fn a_table_that_was_lost_wipes_nothing() {
    let options = Options::new().dangerous_wipe_after_ten_failures(true);
    let scene = Scene::made(options, true);
    let scene = scene.open_again(|dir| std::fs::remove_file(dir.join("attempts")).unwrap());
    scene.hands.put_seconds(3600);
    assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
    assert_eq!(scene.slot().failed_attempts, 10);
    let scene = scene.open_again(|_| {});
    scene.hands.put_seconds(7000);
    assert_eq!(scene.fail(), ErrorKind::Throttled);
    scene.hands.put_seconds(9000);
    assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
    assert!(names(&scene).contains(&"header".to_owned()));
    assert!(!scene.slot().disabled, "one mistake more ends nothing");
    let code = RecoveryCode::parse(scene.code.as_bytes()).unwrap();
    let old = Credentials::recovery(&code);
    assert!(
        scene.vault.recover(&old, scene.factors()).is_ok(),
        "and there is a way back"
    );
}

#[test]
fn failing_to_step_up_wipes_nothing_while_the_session_is_open() {
    let options = Options::new().dangerous_wipe_after_ten_failures(true);
    let scene = Scene::made(options, true);
    let host = Recorder::default();
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    lease.slots().add(&Credentials::share(&host)).unwrap();
    drop(lease);
    session.lock();
    drop(session);
    let slot = scene.slot().id;
    let scene = scene.open_again(|dir| {
        let mut table = Attempts::none();
        let failed = Failed {
            count: 9,
            guessed: false,
            at: 0,
        };
        table.set(slot, failed);
        std::fs::write(dir.join("attempts"), table.to_file()).unwrap();
    });
    scene.hands.put_seconds(3600);
    let session = scene.vault.unlock(&Credentials::share(&host)).unwrap();
    let refused = |words: &Passphrase| {
        let factors = Credentials::passphrase(words);
        session.step_up(&factors).map(drop).unwrap_err().kind()
    };
    assert_eq!(refused(&wrong()), ErrorKind::UnlockFailed);
    assert_eq!(refused(&scene.words), ErrorKind::SlotDisabled);
    session.put(Record::new("Note", "goes on")).unwrap();
    session.lock();
    drop(session);
    // Nor does unlocking with another slot; with this one it does.
    scene
        .vault
        .unlock(&Credentials::share(&host))
        .unwrap()
        .lock();
    assert_eq!(scene.fail(), ErrorKind::VaultWiped);
}

#[test]
fn without_a_way_back_a_slot_is_never_disabled() {
    let scene = Scene::without_recovery();
    let mut now = scene.fail_times(9);
    for _ in 0..20 {
        assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
        assert!(!scene.slot().disabled);
        assert_eq!(scene.slot().retry_after.as_secs(), 3600);
        now += 3600 * SECOND;
        scene.hands.put(now);
    }
    assert_eq!(scene.slot().failed_attempts, 29);
    scene.attempt(&scene.words).unwrap();
}

#[test]
fn turning_the_wall_clock_shortens_no_wait() {
    let scene = Scene::new();
    scene.fail_times(3);
    scene.hands.put(0);
    for turned in [1, -1, 3600, -7200, 86_400 * 3650, -86_400 * 7300] {
        scene.hands.turn(turned * SECOND);
        let refused = scene.attempt(&scene.words).unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(30)));
    }
    let scene = scene.open_again(|_| {});
    assert_eq!(scene.fail(), ErrorKind::Throttled);
    // The control: the other clock does.
    scene.hands.put_seconds(30);
    scene.attempt(&scene.words).unwrap();
}

#[test]
fn neither_opening_anew_nor_starting_the_system_again_shortens_a_wait() {
    let scene = Scene::new();
    let now = scene.fail_times(8);
    scene.hands.put(now - 1800 * SECOND);
    let scene = scene.open_again(|_| {});
    assert_eq!(scene.slot().failed_attempts, 8);
    assert_eq!(scene.slot().retry_after.as_secs(), 1800);
    // The system was started again, five seconds ago.
    scene.hands.put(0);
    let scene = scene.open_again(|_| {});
    assert_eq!(scene.slot().retry_after.as_secs(), 1795);
    scene.hands.put(now);
    let scene = scene.open_again(|_| {});
    assert_eq!(scene.slot().retry_after, Duration::ZERO);
    scene.hands.put(1800 * SECOND - BEGAN - 1);
    assert_eq!(scene.fail(), ErrorKind::Throttled);
    scene.hands.put(1800 * SECOND - BEGAN);
    assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
    assert_eq!(scene.slot().failed_attempts, 9);
}

#[test]
fn a_table_that_is_gone_or_damaged_is_no_way_to_more_attempts_nor_a_lock_out() {
    let damages: [fn(&std::path::Path); 5] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, b"").unwrap(),
        |path| std::fs::write(path, vec![0; 8192]).unwrap(),
        |path| std::fs::write(path, vec![0; 1 << 20]).unwrap(),
        |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[100] ^= 1;
            bytes[4196] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
    ];
    for damage in damages {
        let scene = Scene::new().open_again(|dir| damage(&dir.join("attempts")));
        assert_eq!(scene.slot().failed_attempts, 9);
        scene.hands.put(3600 * SECOND - BEGAN - 1);
        assert_eq!(
            scene.attempt(&scene.words).unwrap_err().kind(),
            ErrorKind::Throttled
        );
        scene.hands.put(3600 * SECOND - BEGAN);
        scene.attempt(&scene.words).unwrap();
        // It is whole again.
        let scene = scene.open_again(|_| {});
        assert_eq!(scene.slot().failed_attempts, 0);
        scene.attempt(&scene.words).unwrap();
    }
    // One of the two records is enough.
    let scene = Scene::new();
    scene.fail_times(2);
    let scene = scene.open_again(|dir| {
        let path = dir.join("attempts");
        let mut bytes = std::fs::read(&path).unwrap();
        let newer = if bytes[16..24] > bytes[4112..4120] {
            0
        } else {
            4096
        };
        bytes[newer + 30] ^= 1;
        std::fs::write(path, bytes).unwrap();
    });
    assert_eq!(scene.slot().failed_attempts, 1);
}

#[test]
fn step_up_counts_with_unlocking() {
    let scene = Scene::new();
    scene.fail_times(2);
    let session = scene.vault.unlock(&scene.factors()).unwrap();
    let wrong = wrong();
    let guess = || {
        session
            .step_up(&Credentials::passphrase(&wrong))
            .unwrap_err()
    };
    for _ in 0..3 {
        assert_eq!(guess().kind(), ErrorKind::UnlockFailed);
    }
    assert_eq!(guess().kind(), ErrorKind::Throttled);
    assert_eq!(
        session.step_up(&scene.factors()).unwrap_err().kind(),
        ErrorKind::Throttled
    );
    session.lock();
    assert_eq!(
        scene.attempt(&scene.words).unwrap_err().kind(),
        ErrorKind::Throttled
    );
    scene.hands.put_seconds(30);
    scene.attempt(&scene.words).unwrap();
}

#[test]
fn another_slot_s_words_are_no_failure_of_the_slots_tried_before_it() {
    let scene = Scene::new();
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let theirs = Passphrase::new(b"zwei andere Leute am Teich").unwrap();
    lease
        .slots()
        .add(&Credentials::passphrase(&theirs))
        .unwrap();
    session.lock();
    drop(lease);
    for _ in 0..12 {
        scene.attempt(&theirs).unwrap();
        scene.attempt(&scene.words).unwrap();
    }
    let failed = |scene: &Scene| -> Vec<u32> {
        let slots = scene.vault.slots();
        slots.iter().map(|slot| slot.failed_attempts).collect()
    };
    assert_eq!(failed(&scene), [0; 3]);
    assert_eq!(scene.fail(), ErrorKind::UnlockFailed);
    assert_eq!(failed(&scene), [1, 0, 1]);
    // Theirs opens, and what was tried on the way has what it had.
    scene.attempt(&theirs).unwrap();
    assert_eq!(failed(&scene), [1, 0, 0]);
}

#[test]
fn codes_wait_as_well_and_are_never_disabled() {
    let scene = Scene::new();
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let emergency = lease.slots().add_emergency().unwrap();
    session.lock();
    drop((lease, session));
    let other_emergency = EmergencyCode::make().unwrap();
    let other_code = RecoveryCode::make().unwrap();
    let new = Passphrase::new(b"sieben junge Reiher schweigen").unwrap();
    let recover = |code: &RecoveryCode| {
        let old = Credentials::recovery(code);
        scene
            .vault
            .recover(&old, Credentials::passphrase(&new))
            .map(drop)
    };
    let mut now = 0;
    for failures in 1..15 {
        let kind = |result: Result<(), Error>| result.unwrap_err().kind();
        let guess = scene
            .vault
            .unlock_emergency(&other_emergency, "found unconscious")
            .map(drop);
        assert_eq!(kind(guess), ErrorKind::UnlockFailed);
        assert_eq!(kind(recover(&other_code)), ErrorKind::UnlockFailed);
        if failures > 2 {
            let right = scene
                .vault
                .unlock_emergency(&emergency, "found unconscious")
                .map(drop);
            assert_eq!(kind(right), ErrorKind::Throttled);
            assert_eq!(kind(recover(&other_code)), ErrorKind::Throttled);
        }
        now += 3600 * SECOND;
        scene.hands.put(now);
    }
    scene
        .vault
        .unlock_emergency(&emergency, "found unconscious")
        .unwrap()
        .lock();
    let code = RecoveryCode::parse(scene.code.as_bytes()).unwrap();
    recover(&code).unwrap();
    assert!(
        scene
            .vault
            .slots()
            .iter()
            .all(|slot| slot.failed_attempts == 0)
    );
}

#[test]
fn nobody_is_asked_for_a_share_while_the_slot_waits_and_a_cancelled_one_is_no_failure() {
    let scene = Scene::new();
    let host = Recorder::default();
    let asked = || host.released.lock().unwrap().len();
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    lease
        .slots()
        .add(&Credentials::passphrase(&scene.words).and(&host))
        .unwrap();
    lease.slots().add(&Credentials::share(&host)).unwrap();
    session.lock();
    drop((lease, session));
    let wrong = wrong();
    for _ in 0..3 {
        let refused = scene
            .vault
            .unlock(&Credentials::passphrase(&wrong).and(&host));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::UnlockFailed);
    }
    let before = asked();
    let right = Credentials::passphrase(&scene.words).and(&host);
    let refused = scene.vault.unlock(&right).unwrap_err();
    assert_eq!((refused.kind(), asked()), (ErrorKind::Throttled, before));
    // The platform counts what the hardware refuses; this slot is as good as before.
    scene
        .vault
        .unlock(&Credentials::share(&host))
        .unwrap()
        .lock();
    assert_eq!(asked(), before + 1);
    scene.hands.put_seconds(30);
    scene.vault.unlock(&right).unwrap().lock();
}
