//! What the driver asks of a peer, and what the peer answers: one line each.

use std::str::FromStr;

/// One thing to do and to time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// So many records, 1,000 in a transaction.
    Fill(u64),
    /// Opens so often, with the key at hand, up to the first record read.
    Open(u64),
    /// So many queries for the 500 records of a time, read whole.
    Range(u64),
    /// So many reads by identity, here and there.
    Read(u64),
    /// So many records, each in a transaction of its own.
    Single(u64),
    /// The bytes of all files once the store is closed; the answer is 1 if a body is in clear.
    Size,
    /// What is measured, by name and version.
    Version,
}

/// What came of a task. Every peer must give the same `answer`, but to [`Task::Size`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Microseconds for one of what was done; or bytes.
    pub(crate) value: f64,
    /// Something about what was read or written, such as how many bytes it was.
    pub(crate) answer: u64,
}

/// How many records go into one transaction of [`Task::Fill`].
pub(crate) const BATCH: u64 = 1_000;

impl Task {
    pub(crate) fn to_words(self) -> String {
        match self {
            Self::Fill(many) => format!("fill {many}"),
            Self::Open(many) => format!("open {many}"),
            Self::Range(many) => format!("range {many}"),
            Self::Read(many) => format!("read {many}"),
            Self::Single(many) => format!("single {many}"),
            Self::Size => "size 0".to_owned(),
            Self::Version => "version 0".to_owned(),
        }
    }

    pub(crate) fn of_words(name: &str, many: &str) -> Option<Self> {
        let many = many.parse().ok()?;
        Some(match name {
            "fill" => Self::Fill(many),
            "open" => Self::Open(many),
            "range" => Self::Range(many),
            "read" => Self::Read(many),
            "single" => Self::Single(many),
            "size" => Self::Size,
            "version" => Self::Version,
            _ => return None,
        })
    }
}

impl Outcome {
    pub(crate) fn to_words(self) -> String {
        format!("{} {}", self.value, self.answer)
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let read = || {
            let (value, answer) = line.trim().split_once(' ')?;
            Some(Self {
                value: value.parse().ok()?,
                answer: answer.parse().ok()?,
            })
        };
        read().ok_or_else(|| format!("a peer answers in two numbers, not with {line:?}"))
    }
}
