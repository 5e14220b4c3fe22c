//! A change of the slots that the process does not survive, or that the disk refuses: the old
//! factors open everything or the new ones do, never neither.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, exit};

use tempfile::TempDir;
use vitalock::{
    Class, Credentials, ErrorKind, Passphrase, Record, RecoveryCode, SlotId, SlotKind, Vault,
};

use crate::elsewhere::{elsewhere, elsewhere_under_strace, told};
use crate::file_keystore::FileKeystore;
use crate::frozen::{Files, assert_everything, put, read_all, soak};
use crate::support::data::tell;
use crate::support::{options, words};

const NEW_WORDS: &[u8] = b"7 other herons fly";
const WORKER: &str = "interrupted::a_process_that_changes_the_slots";
/// What the process exits with where the change was made, and where it was refused.
const MADE: i32 = 77;
const REFUSED: i32 = 78;

#[test]
fn adding_a_slot_survives_being_killed_at_any_write() {
    survives(Change::Add);
}

#[test]
fn changing_the_passphrase_survives_being_killed_at_any_write() {
    survives(Change::Replace);
}

#[test]
fn removing_a_slot_survives_being_killed_at_any_write() {
    survives(Change::Remove);
}

#[test]
fn renewing_the_recovery_code_survives_being_killed_at_any_write() {
    survives(Change::Renew);
}

#[test]
fn recovering_survives_being_killed_at_any_write() {
    survives(Change::Recover);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Add,
    Recover,
    Remove,
    Renew,
    Replace,
}

const CHANGES: [Change; 5] = [
    Change::Add,
    Change::Recover,
    Change::Remove,
    Change::Renew,
    Change::Replace,
];

/// A vault and the key stores beside it, on disk, with what they held before the change.
struct Stage {
    scratch: TempDir,
    code: String,
    before: [Files; 3],
}

impl Stage {
    fn make() -> Self {
        // In memory where there is such a place: thousands of flushes need no disk.
        let memory = Path::new("/dev/shm");
        let scratch = if memory.is_dir() {
            TempDir::new_in(memory).unwrap()
        } else {
            TempDir::new().unwrap()
        };
        let place = Place(scratch.path().to_owned());
        let (keychain, finger, words) = (place.keychain(), place.finger(), words());
        let everyday = Credentials::passphrase(&words).and(&keychain);
        let setup = Vault::create(place.vault(), options(), everyday).unwrap();
        let code = setup.recovery_code().reveal(str::to_owned);
        let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
        let session = vault.unlock(&everyday).unwrap();
        let lease = session.step_up(&everyday).unwrap();
        for class in [Class::Emergency, Class::Standard, Class::Priority] {
            lease.put(Record::new("Note", "kept").class(class)).unwrap();
        }
        lease.slots().add(&Credentials::share(&finger)).unwrap();
        drop((lease, session, vault));
        let before = place.dirs().map(|dir| read_all(&dir));
        Self {
            scratch,
            code,
            before,
        }
    }

    fn place(&self) -> Place {
        Place(self.scratch.path().to_owned())
    }

    fn restore(&self) {
        for (dir, files) in self.place().dirs().iter().zip(&self.before) {
            fs::remove_dir_all(dir).unwrap();
            fs::create_dir(dir).unwrap();
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
            files.iter().for_each(|(name, bytes)| put(dir, name, bytes));
        }
        _ = fs::remove_file(self.place().new_code());
    }

    fn told(&self, change: Change) -> OsString {
        format!(
            "{change:?}\n{}\n{}",
            self.scratch.path().display(),
            self.code
        )
        .into()
    }
}

/// Where everything lies.
struct Place(PathBuf);

impl Place {
    fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    fn dirs(&self) -> [PathBuf; 3] {
        ["vault", "keychain", "finger"].map(|name| self.0.join(name))
    }

    fn keychain(&self) -> FileKeystore {
        FileKeystore::new("keychain", self.0.join("keychain"))
    }

    fn finger(&self) -> FileKeystore {
        FileKeystore::new("finger", self.0.join("finger"))
    }

    /// Where the new code is written down before it is typed back.
    fn new_code(&self) -> PathBuf {
        self.0.join("new-code")
    }

    /// Opened when the change begins, so that a trace shows where.
    fn marker(&self) -> PathBuf {
        self.0.join("begin")
    }
}

fn survives(change: Change) {
    if Command::new("strace").arg("-V").output().is_err() {
        return tell(&format!(
            "SKIPPED: {change:?} interrupted: there is no strace"
        ));
    }
    let stage = Stage::make();
    let status = elsewhere(WORKER, stage.told(change)).status().unwrap();
    assert_eq!(
        status.code(),
        Some(MADE),
        "the change is made where nothing disturbs it"
    );
    check(&stage, change, Some(true), "undisturbed");

    let mut calls = vec!["renameat", "fsync", "unlinkat", "unlink", "write"];
    if soak() {
        calls.extend(["openat", "fchmod", "close", "newfstatat"]);
    }
    let mut points = 0;
    for (call, first, last) in calls_during(&stage, change, &calls) {
        for at in first..=last {
            let what = format!("killed at {call} {at}");
            let status = disturb(&stage, change, &format!("{call}:signal=SIGKILL:when={at}"));
            assert!(status.code() != Some(REFUSED), "{what}");
            let made = status.code().map(|code| code == MADE);
            check(&stage, change, made.filter(|made| *made), &what);
            points += 1;
        }
    }
    assert!(points >= 10, "only {points} places to be killed at");
}

#[test]
fn what_a_failing_disk_answers_is_what_holds() {
    if Command::new("strace").arg("-V").output().is_err() {
        return tell("SKIPPED: what_a_failing_disk_answers_is_what_holds: there is no strace");
    }
    let stage = Stage::make();
    let writes = ["renameat", "fsync", "unlinkat", "unlink", "write"];
    let short = [
        (Change::Replace, &writes[..]),
        (Change::Recover, &["openat"]),
    ];
    let long = CHANGES.map(|change| {
        (
            change,
            &["openat", "renameat", "fsync", "unlinkat", "write"][..],
        )
    });
    let (mut made, mut refused) = (0, 0);
    for (change, calls) in short.into_iter().chain(long.into_iter().filter(|_| soak())) {
        for (call, first, last) in calls_during(&stage, change, calls) {
            for at in first..=last {
                // The disk is full for one call, or fails from one call on. Without a descriptor
                // for good not even the outcome could be told.
                for (error, more) in [("ENOSPC", ""), ("EIO", "+")] {
                    let both = soak() && call != "openat";
                    if !both && (more == "+") != (at % 2 == 0 && call != "openat") {
                        continue;
                    }
                    let inject = format!("{call}:error={error}:when={at}{more}");
                    let what = format!("{change:?} with {inject}");
                    let status = disturb(&stage, change, &inject);
                    let outcome = match status.code() {
                        Some(MADE) => true,
                        Some(REFUSED) => false,
                        _ => panic!("{what}: {status}"),
                    };
                    made += u32::from(outcome);
                    refused += u32::from(!outcome);
                    check(&stage, change, Some(outcome), &what);
                }
            }
        }
    }
    assert!(made > 0 && refused > 0, "{made} made and {refused} refused");
}

/// Runs the change from the beginning with one disturbance.
fn disturb(stage: &Stage, change: Change, inject: &str) -> ExitStatus {
    stage.restore();
    let inject = format!("inject={inject}");
    let output = elsewhere_under_strace(WORKER, &stage.told(change), &inject)
        .output()
        .unwrap();
    output.status
}

/// For each system call, the first and the last of its calls that belong to the change.
fn calls_during<'a>(
    stage: &Stage,
    change: Change,
    calls: &[&'a str],
) -> Vec<(&'a str, usize, usize)> {
    stage.restore();
    let log = stage.scratch.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log);
    command.args(["-e", &format!("trace={},openat", calls.join(","))]);
    let worker = elsewhere(WORKER, stage.told(change));
    command.arg(worker.get_program()).args(worker.get_args());
    command.env("VITALOCK_TEST_TOLD", stage.told(change));
    assert_eq!(command.status().unwrap().code(), Some(MADE));
    let trace = fs::read_to_string(log).unwrap();
    let marker = format!("{}\"", stage.place().marker().display());
    let begin = trace
        .lines()
        .position(|line| line.contains(&marker))
        .unwrap();
    let process = trace.lines().nth(begin).unwrap().split(' ').next().unwrap();
    let mut found = Vec::new();
    for &call in calls {
        let of_call = |line: &&str| {
            let mut words = line.split_whitespace();
            words.next() == Some(process)
                && words
                    .next()
                    .is_some_and(|word| word.starts_with(&format!("{call}(")))
        };
        let before = trace.lines().take(begin + 1).filter(of_call).count();
        let all = trace.lines().filter(of_call).count();
        if all > before {
            found.push((call, before + 1, all));
        }
    }
    found
}

/// That old factors open everything or new ones do, and that it is those which the outcome says.
fn check(stage: &Stage, change: Change, made: Option<bool>, what: &str) {
    let place = stage.place();
    let (keychain, finger) = (place.keychain(), place.finger());
    let (old_words, new_words) = (words(), Passphrase::new(NEW_WORDS).unwrap());
    let old = Credentials::passphrase(&old_words).and(&keychain);
    let new = Credentials::passphrase(&new_words).and(&keychain);
    let old_code = RecoveryCode::parse(stage.code.as_bytes()).unwrap();
    let new_code = fs::read(place.new_code()).ok();
    let new_code = new_code.and_then(|code| RecoveryCode::parse(&code).ok());

    let vault = Vault::open(place.vault()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let opens = |factors: &Credentials<'_>| match vault.unlock(factors) {
        Ok(session) => {
            assert_everything(&session, factors);
            true
        }
        Err(error) => {
            let kinds = [ErrorKind::ShareMissing, ErrorKind::UnlockFailed];
            assert!(kinds.contains(&error.kind()), "{what}: {error}");
            false
        }
    };
    let recovers = |code: &RecoveryCode, words: &Passphrase| {
        let phone = crate::support::Keystore::new();
        let new = Credentials::passphrase(&new_words).and(&phone);
        let with_words = Credentials::recovery(code).and_passphrase(words);
        let with_share = Credentials::recovery(code).and(&keychain);
        let both = [with_words, with_share].map(|old| vault.recover(&old, new).is_ok());
        assert_eq!(both[0], both[1], "{what}: half of a recovery code");
        both[0]
    };
    let touch = Credentials::share(&finger);
    let says = |new: bool| made.is_none_or(|made| made == new);
    match change {
        Change::Add | Change::Remove => {
            assert!(opens(&old), "{what}");
            let fingers = vault
                .slots()
                .iter()
                .filter(|slot| slot.kind == SlotKind::Biometric)
                .count();
            let expected = if change == Change::Add {
                [1, 2]
            } else {
                [1, 0]
            };
            assert!(expected.contains(&fingers), "{what}");
            assert!(says(fingers == expected[1]), "{what}");
            assert_eq!(vault.unlock(&touch).is_ok(), fingers > 0, "{what}");
            assert!(recovers(&old_code, &old_words), "{what}");
        }
        Change::Replace => {
            let (by_old, by_new) = (opens(&old), opens(&new));
            assert!(by_old != by_new, "{what}: old {by_old}, new {by_new}");
            assert!(says(by_new), "{what}");
            assert!(vault.unlock(&touch).is_ok(), "{what}");
            let words = if by_new { &new_words } else { &old_words };
            assert!(recovers(&old_code, words), "{what}");
        }
        Change::Renew => {
            assert!(opens(&old), "{what}");
            let by_old = recovers(&old_code, &old_words);
            let by_new = new_code.is_some_and(|code| recovers(&code, &old_words));
            assert!(by_old != by_new, "{what}: old {by_old}, new {by_new}");
            assert!(says(by_new), "{what}");
        }
        Change::Recover => {
            let (by_old, by_new) = (opens(&old), opens(&new));
            assert!(by_old != by_new, "{what}: old {by_old}, new {by_new}");
            assert!(says(by_new), "{what}");
            let code = if by_new {
                &new_code.unwrap()
            } else {
                &old_code
            };
            assert!(
                recovers(code, if by_new { &new_words } else { &old_words }),
                "{what}"
            );
            assert_eq!(
                vault.unlock(&touch).is_ok(),
                by_old,
                "{what}: recovery ends every everyday slot"
            );
        }
    }
    drop(vault);
    let files = read_all(&place.vault());
    assert_eq!(files["header"], files["header.2"], "{what}: not healed");
}

#[test]
#[ignore = "the other process of the tests above"]
fn a_process_that_changes_the_slots() {
    let Some(told) = told() else { return };
    let mut told = told.lines();
    let change = told.next().unwrap();
    let change = CHANGES
        .into_iter()
        .find(|known| format!("{known:?}") == change)
        .unwrap();
    let place = Place(Path::new(told.next().unwrap()).to_owned());
    let made = run(change, &place, told.next().unwrap());
    exit(if made { MADE } else { REFUSED });
}

fn run(change: Change, place: &Place, code: &str) -> bool {
    let (keychain, finger, words) = (place.keychain(), place.finger(), words());
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let old = Credentials::passphrase(&words).and(&keychain);
    let new = Credentials::passphrase(&new_words).and(&keychain);
    let vault = Vault::open(place.vault()).unwrap();
    if change == Change::Recover {
        let code = RecoveryCode::parse(code.as_bytes()).unwrap();
        let by_code = Credentials::recovery(&code).and(&keychain);
        let mut recovery = vault.recover(&by_code, new).unwrap();
        let code = recovery.code().reveal(str::to_owned);
        fs::write(place.new_code(), &code).unwrap();
        begin(place);
        return recovery.confirm(code.as_bytes()).is_ok();
    }
    let session = vault.unlock(&old).unwrap();
    let lease = session.step_up(&old).unwrap();
    let slots = lease.slots();
    let of_kind = |kind| -> SlotId {
        let list = slots.list().unwrap();
        list.iter().find(|slot| slot.kind == kind).unwrap().id
    };
    let made = match change {
        Change::Add => {
            begin(place);
            slots.add(&Credentials::share(&finger)).is_ok()
        }
        Change::Remove => {
            let touch = of_kind(SlotKind::Biometric);
            begin(place);
            slots.remove(touch, Some(&finger)).is_ok()
        }
        Change::Replace => {
            let primary = of_kind(SlotKind::Primary);
            begin(place);
            slots.replace(primary, &new).is_ok()
        }
        Change::Renew => {
            let renewal = slots.renew_recovery(&old).unwrap();
            let code = renewal.code().reveal(str::to_owned);
            fs::write(place.new_code(), &code).unwrap();
            begin(place);
            renewal.confirm(code.as_bytes()).is_ok()
        }
        Change::Recover => unreachable!("above"),
    };
    // Closing the databases is not part of the change.
    exit(if made { MADE } else { REFUSED });
}

/// Shows where the change begins. Calls are counted for each thread, and the harness has threads of
/// its own, which must not be met: this thread is first made to have called more often than they.
fn begin(place: &Place) {
    for _ in 0..500 {
        fs::write("/dev/null", "-").unwrap();
    }
    _ = fs::File::open(place.marker());
}

/// A disk that fills up while the vault is made: either there is a vault that opens, or none and
/// room for another attempt; never one whose platform keys were destroyed again.
#[test]
fn a_vault_whose_making_the_disk_cuts_short_opens_or_is_made_again() {
    if Command::new("strace").arg("-V").output().is_err() {
        return tell("SKIPPED: a_vault_whose_making_the_disk_cuts_short: there is no strace");
    }
    let memory = Path::new("/dev/shm");
    let elsewhere = TempDir::new().unwrap();
    let base = if memory.is_dir() {
        memory
    } else {
        elsewhere.path()
    };
    let (mut made, mut refused) = (0, 0);
    for inject in [
        "renameat:error=ENOSPC:when=1",
        "renameat:error=ENOSPC:when=2",
        "renameat:error=EIO:when=1+",
        "renameat:error=EIO:when=2+",
        "unlinkat:error=EIO:when=1+",
        "unlinkat:error=EIO:when=2+",
        "unlinkat:error=EIO:when=3+",
    ] {
        let scratch = TempDir::new_in(base).unwrap();
        let place = Place(scratch.path().to_owned());
        let worker = "interrupted::a_process_that_makes_a_vault";
        let told = scratch.path().as_os_str();
        let inject = format!("inject={inject}");
        let output = elsewhere_under_strace(worker, told, &inject)
            .output()
            .unwrap();
        match output.status.code() {
            Some(MADE) => made += 1,
            Some(REFUSED) => {
                refused += 1;
                assert!(
                    read_all(&place.dirs()[1]).is_empty(),
                    "{inject}: a key was left"
                );
                assert!(make(&place), "{inject}: it can be made again");
            }
            _ => panic!("{inject}: {output:?}"),
        }
        let (keychain, words) = (place.keychain(), words());
        let everyday = Credentials::passphrase(&words).and(&keychain);
        let vault = Vault::open(place.vault()).unwrap();
        drop(vault.unlock(&everyday).unwrap());
        drop(vault);
        let files = read_all(&place.vault());
        assert_eq!(files["header"], files["header.2"], "{inject}");
        assert!(!files.contains_key("setup"), "{inject}");
    }
    assert!(made > 0 && refused > 0, "{made} made and {refused} refused");
}

#[test]
#[ignore = "the other process of a_vault_whose_making_the_disk_cuts_short_opens_or_is_made_again"]
fn a_process_that_makes_a_vault() {
    let Some(told) = told() else { return };
    exit(if make(&Place(PathBuf::from(told))) {
        MADE
    } else {
        REFUSED
    });
}

fn make(place: &Place) -> bool {
    let (keychain, words) = (place.keychain(), words());
    let everyday = Credentials::passphrase(&words).and(&keychain);
    let setup = Vault::create(place.vault(), options(), everyday).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let made = setup.confirm_recovery(code.as_bytes());
    made.is_ok()
}
