//! The page docs/benchmarks.md: what was measured with records, and a section about FHIR. Whoever
//! writes one keeps the other.

use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use super::contest::Line;
use super::table::{markdown, notes, rows};

pub(crate) const PAGE: &str = "docs/benchmarks.md";

/// Writes what is about records.
pub(crate) fn put_records(page: &Path, lines: &[Line], versions: &[String]) {
    let (_, fhir) = parts(page);
    let fhir = fhir.map_or_else(String::new, |fhir| format!("\n{FHIR}{fhir}"));
    fs::write(page, records(lines, versions) + &fhir).unwrap();
}

/// Writes the section about FHIR, which comes last.
pub(crate) fn put_fhir(page: &Path, section: &str) {
    let (records, _) = parts(page);
    let records = match records.trim_end() {
        "" => "# Benchmarks",
        records => records,
    };
    fs::write(page, format!("{records}\n\n{FHIR}{section}")).unwrap();
}

const FHIR: &str = "## FHIR resources with their search index\n\n";

/// What is there already: about records, and about FHIR.
fn parts(page: &Path) -> (String, Option<String>) {
    let page = fs::read_to_string(page).unwrap_or_default();
    match page.split_once(FHIR) {
        Some((records, fhir)) => (records.to_owned(), Some(fhir.to_owned())),
        None => (page, None),
    }
}

/// The page, with the date and the machine that it was measured on.
fn records(lines: &[Line], versions: &[String]) -> String {
    let mut text = format!(
        "# Benchmarks\n\n\
         {}`make compare` writes this page; the ratios travel from machine to machine, the times do not.\n\n\
         Medians, and in brackets the ratio to plain SQLite.\n\n{}\n",
        measured(&processor(), versions),
        markdown(&rows(lines)),
    );
    for note in notes(lines) {
        text += &format!("{note}\n\n");
    }
    text + METHOD + BOUNDS
}

/// When, on what, and with what.
pub(crate) fn measured(processor: &str, versions: &[String]) -> String {
    format!(
        "Measured on {}, on {} cores of an {processor}, with {}. ",
        jiff::Timestamp::now().strftime("%-d %B %Y"),
        thread::available_parallelism().map_or(1, usize::from),
        versions.join(", "),
    )
}

pub(crate) fn processor() -> String {
    let linux = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = linux.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let apple = || {
        let mut command = Command::new("sysctl");
        let output = command.args(["-n", "machdep.cpu.brand_string"]).output();
        let text = String::from_utf8(output.ok()?.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    model
        .or_else(apple)
        .unwrap_or_else(|| format!("unnamed {} processor", std::env::consts::ARCH))
}

const METHOD: &str = "\
## How it was measured

Each store holds the same made-up FHIR Observations of about 1 KB, in a process of its own: \
plain SQLite, SQLCipher and Vitalock in the same columns and indexes with WAL, `synchronous` \
FULL, pages of 4 KiB and a cache of 16 MiB (4 MiB for each connection of a vault that only \
reads); SQLCipher otherwise with its defaults and a raw key; Askar, with its defaults and a raw \
key, as entries with an encrypted tag for the person and one in clear for the time, since it \
compares no others. The stores take turns, beginning with another one in every round, and a \
ratio is the median of the ratios within the rounds: 5 fills (3 of a million records), 21 rounds \
of everything else. Opening is with the key at hand, which for Vitalock is a biometric slot, and \
with the files in the system's memory. With AWS-LC is Vitalock with the feature `aws-lc`, which does \
the same encryption in assembly.\n";

/// What was measured apart, on the machine of the first such page.
const BOUNDS: &str = "
## What bounds Vitalock here

**Reading.** SQLite keeps pages that were opened, and so a store that seals nothing but pages reads \
what is in the cache as fast as plain SQLite. Below the pages a record is sealed for itself, and its \
plaintext is kept nowhere: every reading opens it anew. For 1 KB that takes 0.9 µs (0.6 with AWS-LC, \
`cargo bench --bench seal`), most of it for the key of the one message and for its tag, whatever the \
length, where plain SQLite spends 1.2 µs on the whole record of a query. So a query whose pages are \
all in the cache takes no less than 1.8 times as long as in plain SQLite (1.5). Checking the \
record against its index columns and handing it out one by one, behind the session's lock, takes \
about as much again. Beyond the cache, as from 100,000 records on, each page that is read is opened \
once more, which takes 1.7 µs (0.7).\n\n\
**Writing.** A page that was changed is sealed into the log, and at the next checkpoint opened there \
and sealed for its place: 1.6, 1.7 and 1.9 µs (0.6, 0.7 and 0.9). Together with the record's own seal, \
1.2 µs (0.8), that is the greater part of the difference to plain SQLite.\n\n\
**Opening.** A vault opens two databases, Standard and Emergency, whose schemas of nine tables SQLite \
parses at each opening, reads both copies of the header and unwraps a slot. Beside two plain databases \
with the same settings that takes 1.2 to 1.4 times as long; what comes on top is an entry of the audit \
trail, written and flushed before anything is handed out (`cargo bench --bench records`).\n";
