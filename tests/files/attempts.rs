//! A failed attempt is counted before the passphrase is stretched, whatever ends the process.

use std::path::Path;
use std::time::Duration;

use vitalock::{ErrorKind, Passphrase, Vault};

use crate::child::line;
use crate::process::{Talking, elsewhere, factors, make_plain, may_trace, say, say_and_wait};
use crate::support::data::tell;
use crate::support::{Scratch, words};
use crate::trace::{Call, between, calls, traced};

/// Tries words that are wrong, and says when it is about to and how it ended.
pub(crate) fn guess(dir: &Path) {
    let wrong = Passphrase::new(b"five loud herons wade here").unwrap();
    let vault = Vault::open(dir).unwrap();
    say("begin");
    let refused = vault.unlock(&factors(&wrong)).unwrap_err();
    say(&format!("{:?}", refused.kind()));
    say_and_wait("end");
}

fn failed_attempts(vault: &Vault) -> u32 {
    vault.slots()[0].failed_attempts
}

/// The memory that Argon2id takes at the floor.
const STRETCHING: usize = 19_456 * 1024;

#[test]
fn the_count_is_on_the_medium_before_memory_is_taken_to_stretch_the_passphrase() {
    if !may_trace("the_count_is_on_the_medium_before_memory_is_taken") {
        return;
    }
    let scratch = Scratch::new();
    drop(make_plain(&scratch.vault(), &words()).unwrap());
    let (command, log) = traced(&scratch, &[], &line("guess", &scratch.vault()));
    let mut child = Talking::start(command);
    while child.hear().is_some_and(|said| said != "end") {}
    child.go_on();
    let (status, rest) = child.end();
    assert!(status.success(), "{rest}");
    let calls = calls(&log);
    let during = between(&calls, "begin", "end");
    let attempts = |call: &&Call| call.file().ends_with("/vault/attempts");
    let counted = during.iter().filter(attempts).map(|call| &*call.name);
    let counted: Vec<_> = counted
        .filter(|name| ["pwrite64", "fsync"].contains(name))
        .collect();
    // What an earlier process left is made durable before the other record is written over.
    assert_eq!(counted, ["fsync", "pwrite64", "fsync"]);
    let flushes = |call: &&Call| call.name == "fsync" && attempts(call);
    let flushed = during.iter().rposition(|call| flushes(&call));
    let stretched = during.iter().position(|call| {
        let length = call.args.get(1).and_then(|length| length.parse().ok());
        call.name == "mmap" && length.is_some_and(|length: usize| length >= STRETCHING)
    });
    assert!(flushed.is_some() && flushed < stretched, "{during:#?}");
}

#[test]
fn no_kill_between_an_attempt_and_its_answer_loses_the_count() {
    let scratch = Scratch::new();
    let words = words();
    drop(make_plain(&scratch.vault(), &words).unwrap());
    let soak = std::env::var("VITALOCK_SOAK").is_ok_and(|soak| soak == "1");
    let kills = if soak { 1000 } else { 100 };
    let (mut counted, mut answered, mut before) = (0, 0, 0);
    for _ in 0..kills {
        let mut child = Talking::start(elsewhere(&line("guess", &scratch.vault())));
        assert_eq!(child.hear().as_deref(), Some("begin"));
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        // From before the attempt until after its answer, and half of them near its beginning.
        let random = u16::from_le_bytes(random);
        let random = if random % 2 == 0 { random } else { random / 64 };
        wait(Duration::from_micros(4 * u64::from(random)));
        let said = child.kill_and_hear();
        let vault = Vault::open(scratch.vault()).unwrap();
        let now = failed_attempts(&vault);
        let was_answered = said.contains(&format!("{:?}", ErrorKind::UnlockFailed));
        assert!(
            now == before + 1 || (now == before && !was_answered),
            "{now} {before} {said:?}"
        );
        counted += now - before;
        answered += u32::from(was_answered);
        if now == 2 {
            drop(vault.unlock(&factors(&words)).unwrap());
        }
        before = failed_attempts(&vault);
        assert_eq!(before, now % 2);
    }
    tell(&format!(
        "{kills} kills: {counted} attempts counted, {answered} of them answered"
    ));
    assert!(answered < counted && answered > 0);
}

#[expect(
    clippy::disallowed_methods,
    reason = "a moment to be killed at is a guess"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
