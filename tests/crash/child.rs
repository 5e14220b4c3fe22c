//! The process that is killed, or whose disk fails: this test binary again, told what to do.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs};

use vitalock::{Class, Session, Vault};

use crate::change::{Change, State, about, look};
use crate::life::{Life, Living};
use crate::support::data::tell;
use crate::support::fixture::{make_quick_vault, step_up, unlock};

const TOLD: &str = "VITALOCK_CRASH";

/// What the child is to do.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    /// Makes one change and says what came of it.
    Change(Change),
    /// Goes on with a life of this seed from one of two steps on to another, acknowledging each.
    Live { seed: u64, from: u64, to: u64 },
    /// Makes a vault.
    Make,
    /// Opens a vault and closes it again.
    Open,
}

/// Stops at the calls that are traced only. Signals are then not sent where a call begins.
pub(crate) const FAST: &str = "--seccomp-bpf";

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
        Task::Live { seed, from, to } => format!("live {seed},{from},{to} {}", dir.display()),
        Task::Make => format!("make - {}", dir.display()),
        Task::Open => format!("open - {}", dir.display()),
    };
    command
        .args([name, "--exact", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        // The loader looks for libraries in all of it, and each look is a call that may be refused.
        .env_remove("LD_LIBRARY_PATH")
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

/// Which of its calls of this name a change makes, from its beginning to the end of the process, as
/// strace counts them. What the child says is none of them.
pub(crate) fn calls(change: Change, dir: &Path, name: &str) -> Vec<usize> {
    let log = dir.with_extension("calls");
    let log_text = log.to_str().unwrap();
    let trace = format!("trace=write,?{name}");
    let output = run(
        Task::Change(change),
        dir,
        &[FAST, "-o", log_text, "-e", &trace],
    );
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(log).unwrap();
    let begin = log.lines().find(|line| line.contains("VITALOCK begin"));
    let begin = begin.expect("the child says where it begins");
    let (process, _) = begin.split_once(' ').unwrap();
    let (mut number, mut calls, mut begun) = (0, Vec::new(), false);
    for line in log.lines().filter(|line| line.starts_with(process)) {
        begun |= line == begin;
        let call = line.split_once(' ').unwrap().1.trim_start();
        let Some(first) = call
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('('))
        else {
            continue;
        };
        number += 1;
        if begun && !first.starts_with("1,") {
            calls.push(number);
        }
    }
    calls
}

#[test]
#[ignore = "the other process of the tests in this file's neighbours"]
fn a_process_that_changes_a_vault() {
    let Ok(told) = env::var(TOLD) else { return };
    let words: Vec<&str> = told.splitn(3, ' ').collect();
    let dir = PathBuf::from(words[2]);
    say("process", "");
    match words[0] {
        "change" => change(&dir, Change::numbered(words[1].parse().unwrap())),
        "live" => {
            let numbers: Vec<u64> = words[1].split(',').map(|n| n.parse().unwrap()).collect();
            live(&dir, numbers[0], numbers[1], numbers[2]);
        }
        "make" => {
            drop(make_quick_vault(&dir, true));
            say("made", "");
        }
        _ => {
            Living::open(&dir).lock();
            say("opened", "");
        }
    }
}

fn change(dir: &Path, change: Change) {
    let vault = Vault::open(dir).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    // strace counts the calls of each thread: those below are further on than the harness ever is.
    for _ in 0..100 {
        fs::write("/dev/null", "x").unwrap();
    }
    say("begin", "");
    let outcome = change.run(&lease);
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

/// What a crash left is the step before `from` or after it.
fn live(dir: &Path, seed: u64, from: u64, to: u64) {
    let mut living = Living::open(dir);
    let found = State::seen_by(living.lease()).unwrap();
    let life = [from, from + 1].map(|number| Life::at(seed, number));
    let mut lives = life.into_iter();
    let life = lives.find(|life| life.state().looks_like(&found));
    let mut life = life.expect("what a crash leaves is whole");
    say("living", &life.number.to_string());
    while life.number < to {
        living.take(&life).unwrap();
        life.pass();
        say("done", &life.number.to_string());
    }
    living.lock();
    say("end", "");
}

fn lease_is_gone(session: &Session) -> bool {
    session.is_locked() && look(session).is_err()
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
