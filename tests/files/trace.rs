//! What strace wrote, read back: which process called what, with which arguments, and what came
//! back.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::elsewhere_below;
use crate::support::Scratch;

/// One system call, where it ended.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) process: String,
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) result: String,
    /// Which call of this name it was in its thread, counted from one as strace counts.
    pub(crate) number: usize,
}

/// A child under strace with these options, and where the trace will be.
pub(crate) fn traced(scratch: &Scratch, options: &[&str], words: &str) -> (Command, PathBuf) {
    let log = scratch.path().join("trace");
    let mut args = vec!["-f", "-y", "-qq", "-s", "32", "-e", "signal=none"];
    args.extend(["-o", log.to_str().unwrap()]);
    args.extend(options);
    (elsewhere_below("strace", &args, words), log)
}

/// The calls in a trace, in the order in which they ended.
pub(crate) fn calls(log: &Path) -> Vec<Call> {
    let text = fs::read_to_string(log).unwrap();
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut numbers: HashMap<(String, String), usize> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((process, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        if let Some(first) = call.strip_suffix("<unfinished ...>") {
            begun.insert(process, first);
            continue;
        }
        let whole = match call.strip_prefix("<... ") {
            Some(resumed) => {
                let (_, second) = resumed.split_once(" resumed>").unwrap();
                format!("{}{second}", begun.remove(process).unwrap_or_default())
            }
            None => call.to_owned(),
        };
        if let Some(mut call) = parse(process, &whole) {
            let number = numbers
                .entry((call.process.clone(), call.name.clone()))
                .or_default();
            *number += 1;
            call.number = *number;
            calls.push(call);
        }
    }
    calls
}

/// The calls between the lines `from` and `to` that the child said.
pub(crate) fn between<'a>(calls: &'a [Call], from: &str, to: &str) -> &'a [Call] {
    let at = |words: &str| {
        calls
            .iter()
            .position(|call| call.said() == Some(words))
            .unwrap_or_else(|| panic!("the child never said {words}"))
    };
    &calls[at(from)..at(to)]
}

impl Call {
    /// What the child said with this call, if it did.
    pub(crate) fn said(&self) -> Option<&str> {
        if self.name != "write" || !self.args[0].starts_with("1<") {
            return None;
        }
        let words = self.args[1].strip_prefix("\"@")?;
        words.strip_suffix("\\n\"")
    }

    pub(crate) fn failed(&self) -> bool {
        self.result.starts_with('-') || self.result.starts_with('?')
    }

    /// The file that a descriptor stands for, where the first argument is one.
    pub(crate) fn file(&self) -> &str {
        self.args.first().map_or("", |first| described(first))
    }

    /// The absolute path in an argument, by the directory in the one before it.
    pub(crate) fn path(&self, at: usize) -> String {
        let name = self.args[at].trim_matches('"').trim_end_matches("\"...");
        if name.starts_with('/') || at == 0 {
            return name.to_owned();
        }
        format!("{}/{name}", described(&self.args[at - 1]))
            .trim_end_matches('/')
            .to_owned()
    }

    /// The path of what was opened and the flags, for any of the calls that open.
    pub(crate) fn opened(&self) -> Option<(String, &str, Option<&str>)> {
        let mode = |at: usize| self.args.get(at).map(String::as_str);
        match self.name.as_str() {
            "open" => Some((self.path(0), &self.args[1], mode(2))),
            "openat" => Some((self.path(1), &self.args[2], mode(3))),
            "creat" => Some((self.path(0), "O_CREAT|O_WRONLY|O_TRUNC", mode(1))),
            "openat2" => Some((self.path(1), &self.args[2], None)),
            _ => None,
        }
    }

    /// Whether the path was given from a directory that this crate holds open.
    pub(crate) fn is_relative(&self) -> bool {
        self.name == "openat" && !self.args[1].starts_with("\"/")
    }
}

/// What `-y` wrote beside a descriptor: `5</path>`.
fn described(argument: &str) -> &str {
    let inner = argument.split_once('<').map_or("", |(_, rest)| rest);
    inner.strip_suffix('>').unwrap_or(inner)
}

fn parse(process: &str, call: &str) -> Option<Call> {
    let (name, rest) = call.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    // A call that was resumed has a space where its first part ended.
    let args = args.trim_end().strip_suffix(')')?.trim_end();
    Some(Call {
        process: process.to_owned(),
        name: name.to_owned(),
        args: split(args),
        result: result.to_owned(),
        number: 0,
    })
}

/// Arguments are parted by commas that stand in no string and no structure.
fn split(args: &str) -> Vec<String> {
    let (mut all, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for character in args.chars() {
        match character {
            '"' if !escaped => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
        let last = all.last_mut().unwrap();
        if !(last.is_empty() && character == ' ') {
            last.push(character);
        }
    }
    all
}

#[test]
fn a_trace_is_read_as_it_was_written() {
    let scratch = Scratch::new();
    let log = scratch.path().join("trace");
    fs::write(
        &log,
        "7 openat(5</v>, \"a, (b\", O_RDWR|O_CREAT, 0600) = 6</v/a, (b>\n\
         7 fsync(6</v/a> <unfinished ...>\n\
         8 write(1<pipe:[3]>, \"@end\\n\", 5)      = 5\n\
         7 <... fsync resumed>)                    = 0\n\
         7 openat(AT_FDCWD</w>, \"/x\", O_RDONLY) = -1 ENOENT (No such file or directory)\n",
    )
    .unwrap();
    let calls = calls(&log);
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["openat", "write", "fsync", "openat"]);
    assert_eq!(
        calls[0].opened(),
        Some(("/v/a, (b".to_owned(), "O_RDWR|O_CREAT", Some("0600")))
    );
    assert!(calls[0].is_relative() && !calls[0].failed());
    assert_eq!(calls[1].said(), Some("end"));
    assert_eq!(calls[2].file(), "/v/a");
    assert_eq!(calls[3].path(1), "/x");
    assert!(calls[3].failed() && !calls[3].is_relative());
    assert_eq!(calls[3].number, 2);
}
