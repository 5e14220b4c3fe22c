//! Rounds in rotated order, paired ratios, one table.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::peer::{Kind, Outcome, Peer, Task};

/// A store's figure for one task.
#[derive(Clone)]
pub(crate) struct Figure {
    pub(crate) kind: Kind,
    /// The median over the rounds.
    pub(crate) micros: f64,
    /// The median, and the quartiles, of this store's time by plain SQLite's in the same round.
    pub(crate) ratio: f64,
    pub(crate) quartiles: (f64, f64),
    /// The median of the same ratio of the processor's time.
    pub(crate) processor: f64,
}

/// Has every peer do a task in every round, each round beginning with another peer, and compares
/// within rounds: what disturbs the machine for a while disturbs all of them.
pub(crate) fn paired(peers: &mut [Peer], task: Task, rounds: u64) -> Vec<Figure> {
    let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        let mut answer = None;
        for turn in 0..peers.len() {
            let at = (turn + round as usize) % peers.len();
            let outcome = peers[at].run(task, round);
            outcomes[at].push(outcome);
            assert_eq!(
                *answer.get_or_insert(outcome.answer),
                outcome.answer,
                "every store gives the same answer"
            );
        }
    }
    let plain = peers.iter().position(|peer| peer.kind == Kind::Plain);
    let plain = outcomes[plain.expect("plain SQLite takes part")].clone();
    let figure = |(peer, own): (&Peer, &Vec<Outcome>)| {
        let ratios = |time: fn(&Outcome) -> f64| -> Vec<f64> {
            let pairs = own.iter().zip(&plain);
            pairs.map(|(own, plain)| time(own) / time(plain)).collect()
        };
        let mut wall = ratios(|outcome| outcome.micros);
        let mut times: Vec<_> = own.iter().map(|outcome| outcome.micros).collect();
        Figure {
            kind: peer.kind,
            micros: quantile(&mut times, 0.5),
            ratio: quantile(&mut wall, 0.5),
            quartiles: (quantile(&mut wall, 0.25), quantile(&mut wall, 0.75)),
            processor: quantile(&mut ratios(|outcome| outcome.processor), 0.5),
        }
    };
    peers.iter().zip(&outcomes).map(figure).collect()
}

impl Figure {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "store": self.kind.name(),
            "micros": self.micros,
            "ratio": self.ratio,
            "ratio_quartiles": [self.quartiles.0, self.quartiles.1],
            "ratio_of_processor_time": self.processor,
        })
    }
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = part * (values.len() - 1) as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// Prints rows in columns, the first to the left and the others to the right.
pub(crate) fn print_table(rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).expect("there are rows");
            if column == 0 {
                line += &format!("{cell:<width$}");
            } else {
                line += &format!("  {cell:>width$}");
            }
        }
        println!("{line}");
    }
}

/// A time in microseconds, to three figures.
pub(crate) fn micros(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Writes what was measured, and the machine it was measured on, under target/bench.
pub(crate) fn write_json(name: &str, figures: Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    fs::create_dir_all(&folder).unwrap();
    let whole = json!({ "machine": machine(), "figures": figures });
    let text = serde_json::to_string_pretty(&whole).unwrap();
    let file = folder.join(name);
    fs::write(&file, text + "\n").unwrap();
    println!("\nwritten to target/bench/{name}");
}

fn machine() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    json!({
        "cpu": cpu,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "sqlite": rusqlite::version(),
    })
}
