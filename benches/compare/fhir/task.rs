//! What the driver asks of a peer, and what the peer answers: a line of JSON each.

use serde_json::{Value, json};

/// One thing to do and to time.
#[derive(Clone)]
pub(crate) enum Task {
    /// What a search finds in all and how a page of it is ordered, untimed: the peers must agree.
    Check { search: String, page: u64 },
    /// Puts so many of the resources that come next, in one transaction.
    Fill(u64),
    /// The most memory in KiB that the process had since this was asked before; nothing where the
    /// system does not tell.
    Memory,
    /// Opens the closed store and reads the first page of a search.
    Open(String),
    /// Reads resources by type and id, one after the other.
    Read(Vec<String>),
    /// How many rows or entries there are, by table.
    Rows,
    /// A page of each of these searches, every resource on it read.
    Search { searches: Vec<String>, page: u64 },
    /// The bytes of all files once the store is closed.
    Size,
    /// What is measured, by name and version.
    Version,
}

/// How many resources a page has.
pub(crate) const PAGE: u64 = 50;

/// What a patient's type and id end in where all about it is asked for.
pub(crate) const EVERYTHING: &str = "/$everything";

/// What came of a task.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Microseconds for one of what was done.
    pub(crate) micros: f64,
    /// Of them, those for work that an importer may do beforehand.
    pub(crate) beforehand: f64,
    /// What was found or told.
    pub(crate) answer: Value,
}

impl Task {
    pub(crate) fn to_line(&self) -> String {
        match self {
            Self::Check { search, page } => json!({"check": search, "page": page}),
            Self::Fill(many) => json!({"fill": many}),
            Self::Memory => json!({"memory": null}),
            Self::Open(search) => json!({"open": search}),
            Self::Read(names) => json!({"read": names}),
            Self::Rows => json!({"rows": null}),
            Self::Search { searches, page } => json!({"search": searches, "page": page}),
            Self::Size => json!({"size": null}),
            Self::Version => json!({"version": null}),
        }
        .to_string()
    }

    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let task: Value = serde_json::from_str(line).ok()?;
        let texts = |name: &str| {
            let texts = task[name].as_array()?.iter();
            let texts = texts.map(|text| Some(text.as_str()?.to_owned()));
            texts.collect::<Option<Vec<_>>>()
        };
        let page = || task["page"].as_u64();
        let has = |name: &str| task.get(name).is_some();
        Some(if has("check") {
            Self::Check {
                search: task["check"].as_str()?.to_owned(),
                page: page()?,
            }
        } else if has("fill") {
            Self::Fill(task["fill"].as_u64()?)
        } else if has("memory") {
            Self::Memory
        } else if has("open") {
            Self::Open(task["open"].as_str()?.to_owned())
        } else if has("read") {
            Self::Read(texts("read")?)
        } else if has("rows") {
            Self::Rows
        } else if has("search") {
            Self::Search {
                searches: texts("search")?,
                page: page()?,
            }
        } else if has("size") {
            Self::Size
        } else if has("version") {
            Self::Version
        } else {
            return None;
        })
    }
}

impl Outcome {
    /// What is told without a clock.
    pub(crate) fn told(answer: Value) -> Self {
        Self {
            micros: 0.0,
            beforehand: 0.0,
            answer,
        }
    }

    pub(crate) fn to_line(&self) -> String {
        json!({"micros": self.micros, "beforehand": self.beforehand, "answer": self.answer})
            .to_string()
    }

    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let mut outcome: Value = serde_json::from_str(line).ok()?;
        Some(Self {
            micros: outcome["micros"].as_f64()?,
            beforehand: outcome["beforehand"].as_f64()?,
            answer: outcome["answer"].take(),
        })
    }
}
