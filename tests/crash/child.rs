//! The process that is killed, or whose disk fails: this test binary again, told what to do.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs};

use vitalock::{Batch, Class, Record, Session, Vault};

use crate::change::{Change, about, look};
use crate::support::data::tell;
use crate::support::fixture::{step_up, unlock};

const TOLD: &str = "VITALOCK_CRASH";

/// What the child is to do.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    /// Makes one change and says what came of it.
    Change(Change),
    /// Puts batches from this number on until it is killed, acknowledging each.
    Batches(u64),
}

/// The command that does a task on the vault in `dir`, under strace where words for it are given.
pub(crate) fn command(task: Task, dir: &Path, strace: &[&str]) -> Command {
    let itself = env::current_exe().unwrap();
    let mut command = if strace.is_empty() {
        Command::new(itself)
    } else {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq"]).args(strace).arg(itself);
        command
    };
    let name = "child::a_process_that_changes_a_vault";
    let told = match task {
        Task::Change(change) => format!("change {} {}", change.number(), dir.display()),
        Task::Batches(from) => format!("batches {from} {}", dir.display()),
    };
    command
        .args([name, "--exact", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        .env(TOLD, told);
    command
}

/// Runs a task to its end, whatever that is.
pub(crate) fn run(task: Task, dir: &Path, strace: &[&str]) -> Output {
    command(task, dir, strace).output().unwrap()
}

pub(crate) fn spawn(task: Task, dir: &Path) -> Child {
    let mut command = command(task, dir, &[]);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// What the child said under this word.
pub(crate) fn said(output: &Output, word: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| {
        let rest = line.split_once("VITALOCK ")?.1;
        rest.strip_prefix(word)?
            .strip_prefix(' ')
            .map(str::to_owned)
    })
}

/// Whether strace works here; says so where it does not.
pub(crate) fn strace_works() -> bool {
    let tried = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .output();
    let works = tried.is_ok_and(|output| output.status.success());
    if !works {
        tell("SKIPPED: killing at each system call: strace is not installed or may not trace");
    }
    works
}

/// How often a change makes each system call, from its beginning to the end of the process; with
/// the number of the call before which the change begins.
pub(crate) fn calls(change: Change, dir: &Path, name: &str) -> std::ops::Range<usize> {
    let log = dir.with_extension("calls");
    let log_text = log.to_str().unwrap();
    let trace = format!("trace=write,{name}");
    let output = run(Task::Change(change), dir, &["-o", log_text, "-e", &trace]);
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(log).unwrap();
    let call = format!("{name}(");
    let begin = log
        .find("VITALOCK begin")
        .expect("the child says where it begins");
    let (before, after) = log.split_at(begin);
    let before = before.matches(&call).count();
    before..before + after.matches(&call).count()
}

#[test]
#[ignore = "the other process of the tests in this file's neighbours"]
fn a_process_that_changes_a_vault() {
    let Ok(told) = env::var(TOLD) else { return };
    let words: Vec<&str> = told.splitn(3, ' ').collect();
    let number: u64 = words[1].parse().unwrap();
    let vault = Vault::open(PathBuf::from(words[2])).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    match words[0] {
        "change" => {
            say("begin", "");
            let outcome = Change::numbered(usize::try_from(number).unwrap()).run(&lease);
            say("outcome", &word_of(outcome));
            say("seen", &digest(&lease));
            let later = lease.put(about("later", Class::Standard, 2)).map(drop);
            say("later", &word_of(later));
            say("seen again", &digest(&lease));
            drop(lease);
            session.lock();
            let locked = lease_is_gone(&session);
            say("end", if locked { "locked" } else { "open" });
        }
        _ => put_batches(&lease, number),
    }
}

fn lease_is_gone(session: &Session) -> bool {
    session.is_locked() && look(session).is_err()
}

fn put_batches(session: &Session, from: u64) {
    for number in from.. {
        let mut batch = Batch::new();
        for at in 0..RECORDS {
            batch.put(record_of(number, at));
        }
        session.commit(&batch).unwrap();
        say("put", &number.to_string());
    }
}

/// How many records a batch has.
pub(crate) const RECORDS: u64 = 4;

/// The record with this place in a batch, the same in every process.
pub(crate) fn record_of(batch: u64, at: u64) -> Record {
    let length = usize::try_from((batch * 977 + at * 3001) % 9000).unwrap();
    let body = format!("batch {batch} record {at} ").repeat(length / 20 + 1);
    let class = Class::ALL[usize::try_from((batch + at) % 3).unwrap()];
    Record::new(&format!("batch-{batch}"), body.as_str())
        .class(class)
        .subject(&format!("Patient/{}", batch % 5))
        .client(&format!("{batch}/{at}"), 1)
}

fn say(word: &str, rest: &str) {
    let mut out = io::stdout().lock();
    out.write_all(format!("VITALOCK {word} {rest}\n").as_bytes())
        .unwrap();
    out.flush().unwrap();
}

fn word_of(outcome: vitalock::Result<()>) -> String {
    outcome.map_or_else(|error| format!("{:?}", error.kind()), |()| "ok".to_owned())
}

fn digest(session: &Session) -> String {
    look(session).map_or_else(
        |error| format!("{:?}", error.kind()),
        |state| state.without("later").digest().to_string(),
    )
}
