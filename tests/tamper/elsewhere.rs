//! A test of this binary run in a process of its own, whose memory and death are its own.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

/// Runs one ignored test of this binary in another process, which finds `told` by [`told`].
pub(crate) fn elsewhere(test: &str, told: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments(test)).env(TOLD, told);
    command
}

/// The same under strace, which does `inject` to the process.
pub(crate) fn elsewhere_under_strace(test: &str, told: &OsStr, inject: &str) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", inject]);
    command.arg(std::env::current_exe().unwrap());
    command.args(arguments(test)).env(TOLD, told);
    command
}

/// What the test that runs in another process was told; none where it was started by hand.
pub(crate) fn told() -> Option<String> {
    std::env::var(TOLD).ok()
}

/// The most memory that this process ever had, in KiB.
pub(crate) fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

fn arguments(test: &str) -> [&str; 4] {
    ["--exact", "--ignored", "--test-threads=1", test]
}

const TOLD: &str = "VITALOCK_TEST_TOLD";
