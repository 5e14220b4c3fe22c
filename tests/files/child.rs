//! The other process of this binary's tests, and the whole workflow of a vault.

use std::path::Path;

use rustix::fs::{Mode, RawMode};
use rustix::process::umask;
use vitalock::{Batch, Class, Credentials, Footprint, Query, Record, RecordId, Vault};

use crate::process::{Device, factors, make_plain, say, say_and_wait, told};
use crate::support::{options, words};

#[test]
#[ignore = "the other process of this binary's tests"]
fn another_process() {
    let Some(told) = told() else { return };
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    match told[..] {
        ["workflow", mask, dir] => {
            if let Ok(mask) = RawMode::from_str_radix(mask, 8) {
                umask(Mode::from_raw_mode(mask));
            }
            workflow(Path::new(dir), &say_and_wait);
        }
        ["watched workflow", dir] => workflow(Path::new(dir), &say),
        ["in memory", dir] => in_memory(Path::new(dir)),
        ["create", dir] => create(Path::new(dir)),
        ["use", dir] => use_it(Path::new(dir)),
        ["attempt", dir] => attempt(Path::new(dir)),
        ["hold", dir] => {
            let words = words();
            let vault = Vault::open(dir).unwrap();
            let session = vault.unlock(&factors(&words)).unwrap();
            let stored = session.put(Record::new("Note", "held")).unwrap();
            say_and_wait(&stored.id.to_string());
            drop((session, vault));
            say_and_wait("dropped");
        }
        ["fill", dir] => {
            let words = words();
            let vault = Vault::open(dir).unwrap();
            let session = vault.unlock(&factors(&words)).unwrap();
            say_and_wait(&super::full_disk::fill(&session).len().to_string());
        }
        ["anchored", dir, anchor] => super::anchored::live(Path::new(dir), Path::new(anchor)),
        ["guess", dir] => super::attempts::guess(Path::new(dir)),
        ["timer", dir] => super::sleep::timer(Path::new(dir)),
        ["sleeper", dir, seconds] => {
            super::sleep::sleeper(Path::new(dir), seconds.parse().unwrap());
        }
        ["single-threaded", dir] => super::settings::single_threaded(Path::new(dir)),
        _ => panic!("told nothing that is known: {told:?}"),
    }
}

/// Tries every way in and says how each ends.
fn attempt(dir: &Path) {
    let words = words();
    let kind = |error: vitalock::Error| format!("{:?}", error.kind());
    let made = make_plain(dir, &words);
    say(&made.map_or_else(kind, |_| "made".to_owned()));
    let vault = match Vault::open(dir) {
        Ok(vault) => vault,
        Err(error) => return say(&kind(error)),
    };
    let session = match vault.unlock(&factors(&words)) {
        Ok(session) => session,
        Err(error) => return say(&kind(error)),
    };
    let put = session.put(Record::new("Note", "more"));
    say(&put.map_or_else(kind, |_| "put".to_owned()));
}

/// Makes so many of the calls that a harness makes as well that the numbers of those that follow
/// belong to this thread alone: strace counts for each thread, and fails every thread's.
fn count_past_the_harness() {
    for _ in 0..PAST {
        let mut sink = std::fs::File::options()
            .write(true)
            .open("/dev/null")
            .unwrap();
        std::io::Write::write_all(&mut sink, b"-").unwrap();
        getrandom::fill(&mut [0]).unwrap();
    }
}

/// More than a harness makes.
pub(crate) const PAST: usize = 100;

/// Makes a vault and says how that ends.
fn create(dir: &Path) {
    let words = words();
    count_past_the_harness();
    say("begin");
    let made = make_plain(dir, &words);
    say(&made.map_or_else(|error| format!("{:?}", error.kind()), |_| "made".to_owned()));
}

/// Unlocks a vault, puts two records and changes a slot, and says how far that went.
fn use_it(dir: &Path) {
    let words = words();
    let used = |say: &dyn Fn(&str)| {
        let vault = Vault::open(dir)?;
        count_past_the_harness();
        say("begin");
        let session = vault.unlock(&factors(&words))?;
        say("unlocked");
        for name in ["first", "second"] {
            session.put(Record::new(name, name).subject(name))?;
            say(name);
        }
        let lease = session.step_up(&factors(&words))?;
        lease.slots().add_emergency()?;
        let mut batch = Batch::new();
        batch.put(Record::new("third", "third"));
        batch.put(Record::new("third", "third").class(Class::Priority));
        lease.commit(&batch)?;
        say("third");
        Ok(())
    };
    let used: vitalock::Result<()> = used(&say);
    say(&used.map_or_else(
        |error| format!("{:?}", error.kind()),
        |()| "done".to_owned(),
    ));
}

/// A vault that is nowhere but in memory, with a word at each turn.
fn in_memory(dir: &Path) {
    let words = words();
    let options = options().footprint(Footprint::MemoryOnly);
    say("begin");
    let setup = Vault::create(dir, options, factors(&words)).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    let lease = session.step_up(&factors(&words)).unwrap();
    let mut large = Batch::new();
    for number in 0..40 {
        let class = Class::ALL[usize::from(number % 3)];
        large.put(
            Record::new("Scan", vec![number; 200_000])
                .class(class)
                .subject("Patient/2"),
        );
    }
    lease.commit(&large).unwrap();
    lease.put(Record::new("Note", "one")).unwrap();
    assert_eq!(lease.count(&Query::new()).unwrap(), 41);
    lease.slots().add(&Credentials::share(&Device)).unwrap();
    lease.erase_subject("Patient/2").unwrap();
    drop(lease);
    session.lock();
    vault.pause();
    vault.resume().unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    assert_eq!(session.count(&Query::new()).unwrap(), 1);
    drop((session, vault));
    say("end");
}

/// Everything a vault does, with a word at each turn. Between `commit` and `committed` lies one
/// acknowledged commit.
fn workflow(dir: &Path, say: &dyn Fn(&str)) {
    let words = words();
    say("begin");
    let setup = Vault::create(dir, options().keep_history(true), factors(&words)).unwrap();
    assert!(!dir.exists(), "nothing is on disk before the code is typed");
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    say("made");
    let session = vault.unlock(&factors(&words)).unwrap();
    say("unlocked");
    let mut ids: Vec<RecordId> = Vec::new();
    for number in 0..3 {
        let body = format!("record {number}");
        let record = Record::new("Observation", body.as_str()).subject("Patient/1");
        say("commit");
        ids.push(session.put(record).unwrap().id);
        say("committed");
    }
    let mut large = Batch::new();
    for number in 0..40 {
        large.put(Record::new("Scan", vec![number; 200_000]).subject("Patient/2"));
    }
    say("commit");
    session.commit(&large).unwrap();
    say("committed");
    let found = session.query(&Query::new().subject("Patient/1"));
    let found: Vec<Record> = found.map(|found| found.unwrap()).collect();
    assert_eq!(found.len(), 3);
    assert_eq!(session.count(&Query::new()).unwrap(), 43);
    say("queried");
    let read = session.get(ids[0]).unwrap().unwrap();
    say("commit");
    session.put(read.with_body("a second revision")).unwrap();
    say("committed");
    say("commit");
    assert!(session.erase(ids[1]).unwrap());
    say("committed");
    let lease = session.step_up(&factors(&words)).unwrap();
    say("stepped up");
    let mut several = Batch::new();
    several.put(Record::new("Note", "standard"));
    several.put(Record::new("Note", "priority").class(Class::Priority));
    several.put(Record::new("Note", "emergency").class(Class::Emergency));
    say("commit");
    lease.commit(&several).unwrap();
    say("committed");
    say("replace");
    let slots = lease.slots();
    slots.add(&Credentials::share(&Device)).unwrap();
    say("replaced");
    say("replace");
    let old = session.slot();
    slots.replace(old, &factors(&words)).unwrap();
    say("replaced");
    lease.erase_subject("Patient/2").unwrap();
    say("erased");
    drop(lease);
    say("lease ended");
    session.lock();
    say("locked");
    drop((session, vault));
    say("dropped");
    let vault = Vault::open(dir).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    assert_eq!(
        session.get(ids[0]).unwrap().unwrap().body(),
        b"a second revision"
    );
    say("unlocked again");
    drop((session, vault));
    say("end");
}

/// Where a test's vault lies, for the line a child is told.
pub(crate) fn line(verb: &str, dir: &Path) -> String {
    format!("{verb}\t{}", dir.display())
}
