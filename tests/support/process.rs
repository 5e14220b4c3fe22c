//! One test of a binary in a process of its own, under strace where it is to be watched or failed.
//!
//! **Does** start the ignored test `child::another_process`, talk to it line by line, and give both
//! sides a key store that needs no memory.
//! **Never** passes for a test: what cannot run here says so.
//! **Format** the child is told a line of words; it says lines that begin with `@`.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use vitalock::{Credentials, KeyShare, Passphrase, Purpose, ShareError, ShareSink, Vault};

use crate::support::data::tell;
use crate::support::spec::Share;
use crate::support::unsealed::Opener;
use crate::support::{WORDS_TEXT as WORDS, options};

/// A user and group that are nobody's here.
pub const STRANGER: u32 = 12_345;
const TOLD: &str = "VITALOCK_TEST_TOLD";
const MARK: char = '@';

/// A command that runs `child::another_process` of this binary and tells it `words`.
pub fn elsewhere(words: &str) -> Command {
    through(Command::new(env::current_exe().unwrap()), words)
}

/// The same as another user.
pub fn elsewhere_as(user: u32, words: &str) -> Command {
    let mut command = elsewhere(words);
    command.uid(user).gid(user);
    command
}

/// The same below a program that takes a command line.
pub fn elsewhere_below<S: AsRef<OsStr>>(program: &str, args: &[S], words: &str) -> Command {
    let mut command = Command::new(program);
    command.args(args).arg(env::current_exe().unwrap());
    through(command, words)
}

fn through(mut command: Command, words: &str) -> Command {
    command.args(["--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    // Cargo's search path has the loader open hundreds of files, which a trace would count.
    command.env_remove("LD_LIBRARY_PATH");
    command.arg("child::another_process").env(TOLD, words);
    command
}

/// What this process was told; none where the test was started by hand.
pub fn told() -> Option<Vec<String>> {
    let words = env::var(TOLD).ok()?;
    Some(words.split('\t').map(str::to_owned).collect())
}

/// Says a line to the parent.
pub fn say(words: &str) {
    // One write, past what the harness captures, so that a trace shows it whole.
    let mut out = io::stdout().lock();
    out.write_all(format!("{MARK}{words}\n").as_bytes())
        .unwrap();
    out.flush().unwrap();
}

/// Says a line and waits until the parent has seen enough.
pub fn say_and_wait(words: &str) {
    say(words);
    io::stdin().lock().read_line(&mut String::new()).unwrap();
}

/// A child that talks.
pub struct Talking {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    rest: String,
}

impl Talking {
    pub fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            input,
            output,
            rest: String::new(),
        }
    }

    /// The next line the child says; none once it has ended.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The harness may have begun the line with words of its own.
            match line.split_once(MARK) {
                Some((_, said)) => return Some(said.trim_end().to_owned()),
                None => self.rest.push_str(&line),
            }
        }
    }

    pub fn go_on(&mut self) {
        self.input.write_all(b"\n").unwrap();
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// kill -9; what it had said and was not yet heard.
    pub fn kill_and_hear(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        let said = std::iter::from_fn(|| self.hear()).collect();
        self.process.wait().unwrap();
        said
    }

    /// Waits for the end; what else it printed.
    pub fn end(mut self) -> (ExitStatus, String) {
        while self.hear().is_some() {}
        drop(self.input);
        (self.process.wait().unwrap(), self.rest)
    }
}

/// Runs a child to its end, whatever that is, and gives what it said.
pub fn run(command: Command) -> (Vec<String>, ExitStatus, String) {
    let mut child = Talking::start(command);
    let mut said = Vec::new();
    while let Some(line) = child.hear() {
        said.push(line);
    }
    let (status, rest) = child.end();
    (said, status, rest)
}

/// Whether strace is here and may trace. Says so where it is not.
pub fn may_trace(test: &str) -> bool {
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=none", "true"])
        .stderr(Stdio::null())
        .status();
    let may = traced.is_ok_and(|status| status.success());
    if !may {
        tell(&format!(
            "SKIPPED: {test}: strace is absent or may not trace"
        ));
    }
    may
}

/// Whether this is root, who can act as others. Says so where it is not.
pub fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        tell(&format!("SKIPPED: {test}: needs root"));
    }
    root
}

/// Gives a directory to the stranger.
pub fn give_away(path: &Path) {
    chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
}

/// A key store without state: any process has the same, and it takes no random bytes.
pub struct Device;

impl KeyShare for Device {
    fn provider(&self) -> &str {
        "device"
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        Ok(format!("key-{purpose:?}").into_bytes())
    }

    fn release(
        &self,
        purpose: Purpose,
        _blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        sink.fill(&device_share(purpose == Purpose::Priority, challenge));
        Ok(())
    }

    fn destroy(&self, _purpose: Purpose, _blob: &[u8]) -> Result<(), ShareError> {
        Ok(())
    }
}

fn device_share(priority: bool, challenge: &[u8; 32]) -> [u8; 32] {
    challenge.map(|byte| byte ^ 0x5A ^ u8::from(priority))
}

/// How the vaults of [`make_plain`] are opened without the crate.
pub const DEVICE: Opener = Opener {
    slot: "primary",
    passphrase: WORDS,
    release: |share: &Share, purpose: &str| {
        Some(device_share(purpose == "priority", &share.challenge))
    },
};

/// The everyday factors of every vault that both sides of a test open.
pub fn factors(words: &Passphrase) -> Credentials<'_> {
    Credentials::passphrase(words).and(&Device)
}

/// A vault that any process can open, without a way back: half of the stretching.
pub fn make_plain(dir: &Path, words: &Passphrase) -> vitalock::Result<Vault> {
    Vault::create(dir, options(), factors(words))?.dangerous_without_recovery()
}
