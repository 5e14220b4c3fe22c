//! A peer's process, as the driver sees it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs};

use super::peer::task::{Outcome, Task};

/// Who takes part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// As a reader knows it.
    pub(crate) title: &'static str,
    /// It is left out where there are more records than this.
    pub(crate) most: u64,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] = [
        Self::new("plain", "plain SQLite", u64::MAX),
        Self::new("sqlcipher", "SQLCipher", u64::MAX),
        // A million records would take it longer than all the others together.
        Self::new("askar", "Askar", 100_000),
        Self::new("vitalock", "Vitalock", u64::MAX),
        Self::new("aws-lc", "with AWS-LC", u64::MAX),
    ];

    /// Who takes part in the FHIR contest.
    pub(crate) const FHIR: [Self; 3] = [
        Self::new("fhir-sqlcipher", "the SDK's tables in SQLCipher", u64::MAX),
        Self::new("fhir-vitalock", "Vitalock", u64::MAX),
        Self::new("fhir-aws-lc", "with AWS-LC", u64::MAX),
    ];

    const fn new(name: &'static str, title: &'static str, most: u64) -> Self {
        Self { name, title, most }
    }

    /// Starts its process, with an empty store below `at`.
    pub(crate) fn start(&'static self, at: &Path) -> Player {
        self.start_with(at, &[])
    }

    /// The same, with more to be told than where.
    pub(crate) fn start_with(&'static self, at: &Path, more: &[&Path]) -> Player {
        let at = at.join(self.name);
        fs::create_dir_all(&at).unwrap();
        let mut child = Command::new(self.binary())
            .arg(at)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/compare builds the peers beside this binary");
        let (tasks, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Player {
            peer: self,
            child,
            tasks: Some(tasks),
            answers: BufReader::new(answers),
        }
    }

    pub(crate) fn is_built(&self) -> bool {
        self.binary().is_file()
    }

    fn binary(&self) -> PathBuf {
        let own = env::current_exe().unwrap();
        own.with_file_name(format!("compare-{}{}", self.name, env::consts::EXE_SUFFIX))
    }
}

/// The process of one peer. It ends with the value.
pub(crate) struct Player {
    pub(crate) peer: &'static Peer,
    child: Child,
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Player {
    /// Has a task done. `round` varies what is asked, the same for every peer.
    pub(crate) fn run(&mut self, task: Task, round: u64) -> Outcome {
        self.ask(&in_words(task, round)).parse().unwrap()
    }

    pub(crate) fn version(mut self) -> String {
        self.ask(&in_words(Task::Version, 0)).trim().to_owned()
    }

    /// What it answers to a line.
    pub(crate) fn ask(&mut self, words: &str) -> String {
        let tasks = self.tasks.as_mut().expect("it is open until the end");
        writeln!(tasks, "{words}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line
    }
}

fn in_words(task: Task, round: u64) -> String {
    format!("{} {round}", task.to_words())
}

impl Drop for Player {
    fn drop(&mut self) {
        self.tasks = None;
        _ = self.child.wait();
    }
}
