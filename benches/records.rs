//! Records beside plain SQLite that does the same work, as paired ratios against the targets.
//!
//! Three stores hold the same 100,000 FHIR Observations, each in a process of its own: plain
//! SQLite as most apps set it up, plain SQLite with a vault's settings (VFS, wiping allocator,
//! zeroed pages), and a vault. They take turns at every task. `cargo bench --bench records`, or
//! with a number after `--` for another size.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a measurement may fail where it stands, and tells what it found"
)]

mod support;

use serde_json::{Value, json};

use support::peer::{Kind, Peer, Task, served_as_child};
use support::question::Shape;
use support::report::{Figure, micros, paired, print_table, write_json};
use support::shared::Scratch;
use support::store::{Cost, Files};

const SIZE: u64 = 100_000;
const BATCH: u64 = 1_000;

/// One line of the table: what is done, how often, and what the vault may take of plain's time.
struct Metric {
    name: &'static str,
    task: Task,
    rounds: u64,
    target: Option<f64>,
}

const fn metric(name: &'static str, task: Task, rounds: u64, target: Option<f64>) -> Metric {
    Metric {
        name,
        task,
        rounds,
        target,
    }
}

/// In this order: those that write come last, so that the reads are of the size that was said.
const METRICS: &[Metric] = &[
    metric("get", Task::Read(2_000), 21, Some(1.25)),
    metric(
        "query, 500 records of a time",
        Task::Find(Shape::Window, 10, 500),
        21,
        Some(1.5),
    ),
    metric(
        "query, first 50 of a person",
        Task::Find(Shape::Latest, 50, 50),
        11,
        Some(1.5),
    ),
    metric(
        "count, 500 of a time",
        Task::Count(Shape::Window, 100),
        11,
        None,
    ),
    metric(
        "cold open, biometric slot, beside one plain database",
        Task::Open(Files::One, 20),
        21,
        Some(1.3),
    ),
    metric(
        "cold open, biometric slot, beside two plain databases",
        Task::Open(Files::Two, 20),
        21,
        Some(1.3),
    ),
    metric(
        "unlock, 64 MiB/3/4, beside Argon2id alone",
        Task::Unlock(Cost::Default),
        7,
        None,
    ),
    metric(
        "unlock, 19 MiB/2/1, beside Argon2id alone",
        Task::Unlock(Cost::Floor),
        7,
        None,
    ),
    metric("put, single durable", Task::Single(50), 21, Some(1.1)),
    metric(
        "put, each about a new person",
        Task::Strangers(BATCH),
        7,
        None,
    ),
    metric("import of FHIR bundles, a resource", Task::Import, 7, None),
];

fn main() {
    if served_as_child() || !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let size = std::env::args().find_map(|argument| argument.parse().ok());
    let size: u64 = size.unwrap_or(SIZE);
    let scratch = Scratch::new();
    let mut peers: Vec<_> = Kind::ALL
        .into_iter()
        .map(|kind| Peer::start(kind, scratch.path()))
        .collect();

    println!("{size} FHIR Observations of about 1 KB; µs, medians; ratios of the same round\n");
    let fill = paired(&mut peers, Task::Fill(BATCH), size / BATCH);
    let mut lines = vec![Line::of("put, 1,000 in a transaction", &fill, Some(1.2))];
    lines.push(on_disk(&mut peers));
    for metric in METRICS {
        let figures = paired(&mut peers, metric.task, metric.rounds);
        lines.push(Line::of(metric.name, &figures, metric.target));
    }

    let mut table = vec![
        [
            "",
            "plain",
            "hardened",
            "vitalock",
            "ratio",
            "quartiles",
            "processor",
            "target",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    table.extend(lines.iter().map(Line::cells));
    print_table(&table);
    write_json(
        "records.json",
        json!({ "size": size, "metrics": lines.iter().map(Line::to_json).collect::<Value>() }),
    );
}

struct Line {
    name: String,
    figures: Vec<Figure>,
    target: Option<f64>,
}

impl Line {
    fn of(name: &str, figures: &[Figure], target: Option<f64>) -> Self {
        Self {
            name: name.to_owned(),
            figures: figures.to_vec(),
            target,
        }
    }

    fn vitalock(&self) -> &Figure {
        let mut figures = self.figures.iter();
        let own = figures.find(|figure| figure.kind == Kind::Vitalock);
        own.expect("the vault takes part")
    }

    fn cells(&self) -> Vec<String> {
        let own = self.vitalock();
        let mut cells = vec![self.name.clone()];
        cells.extend(self.figures.iter().map(|figure| micros(figure.micros)));
        cells.push(format!("{:.2}", own.ratio));
        cells.push(format!("{:.2}-{:.2}", own.quartiles.0, own.quartiles.1));
        cells.push(format!("{:.2}", own.processor));
        cells.push(self.target.map_or_else(String::new, |target| {
            let met = if own.ratio <= target { "met" } else { "MISSED" };
            format!("{target:.2} {met}")
        }));
        cells
    }

    fn to_json(&self) -> Value {
        json!({
            "metric": self.name,
            "stores": self.figures.iter().map(Figure::to_json).collect::<Value>(),
            "ratio": self.vitalock().ratio,
            "target": self.target,
            "met": self.target.map(|target| self.vitalock().ratio <= target),
        })
    }
}

/// All files, in kilobytes a thousand records: the number of bytes a record takes.
fn on_disk(peers: &mut [Peer]) -> Line {
    let figures = paired(peers, Task::Size, 1);
    let size = figures.iter().map(|figure| Figure {
        micros: figure.micros / 1e6,
        ..figure.clone()
    });
    Line::of("all files, MB", &size.collect::<Vec<_>>(), Some(1.05))
}
