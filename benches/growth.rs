//! How the cost of a put, a read and each query grows with the store: beside plain SQLite.
//!
//! Two stores grow side by side, each in a process of its own, and are asked at 1,000, 10,000 and
//! 100,000 records, and at a million with `VITALOCK_SOAK=1` or `-- 1000000`. A put is measured over
//! the last tenth before each size. Every question finds as many records at every size, so its
//! cost should stay.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a measurement may fail where it stands, and tells what it found"
)]

mod support;

use std::env;

use serde_json::{Value, json};

use support::peer::{Kind, Peer, Task, served_as_child};
use support::question::Shape;
use support::report::{Figure, micros, paired, print_table, write_json};
use support::shared::Scratch;

const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const BATCH: u64 = 1_000;
const ROUNDS: u64 = 11;
const PAGE: u64 = 50;

const QUESTIONS: &[(&str, Task)] = &[
    ("get", Task::Read(1_000)),
    (
        "page: person and kind, newest first",
        Task::Find(Shape::Latest, 20, PAGE),
    ),
    (
        "page: kind within a time",
        Task::Find(Shape::Window, 20, PAGE),
    ),
    ("page: updated since", Task::Find(Shape::Since, 20, PAGE)),
    (
        "page: a person before a time",
        Task::Find(Shape::Timeline, 20, PAGE),
    ),
    (
        "count: kind within a time, 500",
        Task::Count(Shape::Window, 50),
    ),
];

/// What was found at one size.
struct Measured {
    name: &'static str,
    size: u64,
    figures: Vec<Figure>,
}

fn main() {
    if served_as_child() || !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let asked = env::args().find_map(|argument| argument.parse().ok());
    let soak = env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let largest: u64 = asked.unwrap_or(if soak { 1_000_000 } else { 100_000 });
    let scratch = Scratch::new();
    let mut peers = [Kind::Plain, Kind::Vitalock].map(|kind| Peer::start(kind, scratch.path()));

    println!("FHIR Observations of about 1 KB; µs, medians; plain, vitalock and the ratio\n");
    let mut measured = Vec::new();
    let mut held = 0;
    for size in SIZES.into_iter().filter(|size| *size <= largest) {
        let last = (size / 10).max(BATCH);
        if size > last + held {
            paired(&mut peers, Task::Fill(BATCH), (size - last - held) / BATCH);
        }
        let mut measure = |name, task, rounds| {
            let figures = paired(&mut peers, task, rounds);
            measured.push(Measured {
                name,
                size,
                figures,
            });
        };
        measure(
            "put, 1,000 in a transaction",
            Task::Fill(BATCH),
            last / BATCH,
        );
        for (name, task) in QUESTIONS {
            measure(name, *task, ROUNDS);
        }
        held = size;
    }

    print_table(&table(&measured));
    write_json(
        "growth.json",
        measured.iter().map(Measured::to_json).collect::<Value>(),
    );
}

/// One row for each task, one column for each size, and how the vault's cost grew over the last
/// two steps: from 10,000 to 1,000,000 where that was measured.
fn table(measured: &[Measured]) -> Vec<Vec<String>> {
    let mut sizes: Vec<_> = measured.iter().map(|measured| measured.size).collect();
    sizes.dedup();
    let mut head = vec![String::new()];
    head.extend(sizes.iter().map(|size| format!("{size} records")));
    head.push("growth since 10000".to_owned());
    let mut rows = vec![head];
    let first = measured.iter().filter(|m| m.size == sizes[0]);
    for name in first.map(|measured| measured.name) {
        let of_name: Vec<_> = measured.iter().filter(|m| m.name == name).collect();
        let mut row = vec![name.to_owned()];
        row.extend(of_name.iter().map(|measured| measured.cell()));
        let base = of_name.iter().find(|measured| measured.size == 10_000);
        row.push(match (base, of_name.last()) {
            (Some(base), Some(last)) => {
                let growth = |at: usize| last.figures[at].micros / base.figures[at].micros;
                format!("{:.2} {:.2}", growth(0), growth(1))
            }
            _ => String::new(),
        });
        rows.push(row);
    }
    rows
}

impl Measured {
    fn cell(&self) -> String {
        let [plain, vitalock] = self.figures.as_slice() else {
            return String::new();
        };
        let (one, other) = (micros(plain.micros), micros(vitalock.micros));
        format!("{one} {other} {:.2}", vitalock.ratio)
    }

    fn to_json(&self) -> Value {
        json!({
            "metric": self.name,
            "size": self.size,
            "stores": self.figures.iter().map(Figure::to_json).collect::<Value>(),
        })
    }
}
