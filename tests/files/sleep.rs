//! A device that slept: a clock of the kernel that goes on in sleep is set forward, and the one that
//! stands still is not.
#![expect(unsafe_code, reason = "fork and unshare are C")]

use std::ffi::c_int;
use std::path::Path;
use std::process::Command;

use vitalock::{ErrorKind, LockReason, Record, Session, Vault};

use crate::child::line;
use crate::process::{elsewhere, factors, make_plain, run, say};
use crate::support::data::tell;
use crate::support::{Scratch, words};

unsafe extern "C" {
    fn fork() -> c_int;
    fn unshare(flags: c_int) -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

const CLONE_NEWTIME: c_int = 0x80;

/// Opens a vault, lets this process's children live so many seconds later, and has one of them call
/// the session that this process opened.
pub(crate) fn sleeper(dir: &Path, seconds: u32) {
    let words = words();
    let vault = Vault::open(dir).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    let id = session.put(Record::new("Note", "body")).unwrap().id;
    // The offset can be set only by the first thread of a process, which this one may not be; so
    // the first child makes the namespace and the second lives in it.
    let code = in_a_child(|| {
        // SAFETY: it changes the namespace of children to come and nothing in this process.
        if unsafe { unshare(CLONE_NEWTIME) } != 0 {
            return ODD;
        }
        let offset = format!("boottime {seconds} 0\n");
        if std::fs::write("/proc/self/timens_offsets", offset).is_err() {
            return ODD;
        }
        in_a_child(|| match session.get(id) {
            Ok(Some(_)) => OPEN,
            Ok(None) => ODD,
            Err(error) => code_of(&session, error.kind()),
        })
    });
    say(&code.to_string());
}

/// Runs `work` in a copy of this process; what it came to.
fn in_a_child(work: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the other threads of this process wait, and hold no lock that the child asks for; the
    // child ends without running anybody's destructors.
    let child = unsafe { fork() };
    if child == 0 {
        let code = work();
        // SAFETY: it ends this process.
        unsafe { _exit(code) };
    }
    let mut status = 0;
    // SAFETY: the child is this process's own, and the status is written to a local.
    assert_eq!(unsafe { waitpid(child, &mut status, 0) }, child);
    status >> 8
}

fn code_of(session: &Session, kind: ErrorKind) -> c_int {
    match (kind, session.lock_reason()) {
        (ErrorKind::Locked, Some(LockReason::Idle)) => IDLE,
        (ErrorKind::Locked, Some(LockReason::Absolute)) => ABSOLUTE,
        (ErrorKind::Locked, Some(LockReason::ClockChanged)) => CLOCK_CHANGED,
        _ => ODD,
    }
}

const OPEN: c_int = 40;
const IDLE: c_int = 41;
const ABSOLUTE: c_int = 42;
const CLOCK_CHANGED: c_int = 43;
const ODD: c_int = 44;

/// Whether this process has the thread that ends sessions.
fn has_timer() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).ok())
        .any(|name| name.trim() == "vitalock-timer")
}

/// Opens and locks a vault, keeps every handle, and says when the thread was there.
pub(crate) fn timer(dir: &Path) {
    let words = words();
    let vault = Vault::open(dir).unwrap();
    let mut seen = vec![has_timer()];
    for _ in 0..2 {
        let session = vault.unlock(&factors(&words)).unwrap();
        seen.push(eventually(has_timer));
        session.lock();
        seen.push(!eventually(|| !has_timer()));
        assert!(session.is_locked());
    }
    say(&format!("{seen:?}"));
}

/// Whether something comes about within ten seconds: a thread begins and ends in its own time.
#[expect(clippy::disallowed_methods, reason = "another thread is waited for")]
fn eventually(is_so: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        is_so()
    })
}

#[test]
fn the_thread_is_there_while_a_session_is_open_and_gone_when_it_is_locked() {
    let scratch = Scratch::new();
    drop(make_plain(&scratch.vault(), &words()).unwrap());
    let (said, status, rest) = run(elsewhere(&line("timer", &scratch.vault())));
    assert!(status.success(), "{rest}");
    assert_eq!(said, ["[false, true, false, true, false]"]);
}

#[test]
fn a_session_does_not_survive_a_sleep_that_is_longer_than_its_limits() {
    let test = "a_session_does_not_survive_a_sleep_that_is_longer_than_its_limits";
    let shifted = Command::new("unshare")
        .args(["-T", "--boottime", "1", "true"])
        .output();
    if !shifted.is_ok_and(|output| output.status.success()) {
        tell(&format!("SKIPPED: {test}: may not make a time namespace"));
        return;
    }
    let scratch = Scratch::new();
    drop(make_plain(&scratch.vault(), &words()).unwrap());
    let dir = scratch.vault();
    let after = |seconds: u32| {
        let words = format!("sleeper\t{}\t{seconds}", dir.display());
        let (said, status, rest) = run(elsewhere(&words));
        assert!(status.success(), "{rest}");
        said.first().unwrap().parse::<c_int>().unwrap()
    };
    // The control: in a namespace with the same time the session is open.
    assert_eq!(after(0), OPEN);
    assert_eq!(after(20), OPEN);
    // The wall clock stayed where it was.
    assert_eq!(after(90), CLOCK_CHANGED);
    assert_eq!(after(121), IDLE);
    assert_eq!(after(86_400), ABSOLUTE);
}
