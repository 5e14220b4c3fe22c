//! Vitalock beside plain SQLite, SQLCipher and Askar: the same records, the same questions, in
//! turns. `make compare` builds the peers and runs this.
//!
//! Every peer is a binary of its own, found beside this one, that holds one store and answers over
//! its standard input and output. Arguments: `--full` for a million records too (or
//! `VITALOCK_SOAK=1`), `--size N`, once or several times, for other sizes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

mod contest;
mod page;
#[path = "../peer/mod.rs"]
mod peer;
mod player;
mod table;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use contest::contest;
use player::Peer;

const USUAL: [u64; 2] = [10_000, 100_000];
const FULL: [u64; 3] = [10_000, 100_000, 1_000_000];
const SMALLEST: u64 = 1_000;

fn main() -> ExitCode {
    let Some(sizes) = sizes(env::args().skip(1)) else {
        eprintln!("arguments: [--full] [--size N].. with N of {SMALLEST} or more");
        return ExitCode::from(2);
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target/compare");
    fs::create_dir_all(&target).unwrap();
    // Not in the system's folder for temporary files: that may be memory, where nothing is durable.
    let scratch = tempfile::tempdir_in(target.canonicalize().unwrap()).unwrap();

    warn_if_busy();
    let versions = versions(scratch.path());
    let lines: Vec<_> = sizes
        .iter()
        .flat_map(|size| contest(*size, scratch.path()))
        .collect();

    let rows = table::rows(&lines);
    println!("{}", table::plain(&rows));
    for note in table::notes(&lines) {
        println!("{note}");
    }
    let json = target.join("records.json");
    fs::write(json, table::json(&lines)).unwrap();
    // A page about sizes that somebody chose is for them, not for every reader.
    let usual = sizes == USUAL || sizes == FULL;
    let page = match usual {
        true => "docs/benchmarks.md",
        false => "target/compare/benchmarks.md",
    };
    fs::write(root.join(page), page::page(&lines, &versions)).unwrap();
    println!("\nwritten to target/compare/records.json and {page}");
    ExitCode::SUCCESS
}

fn sizes(mut arguments: impl Iterator<Item = String>) -> Option<Vec<u64>> {
    let mut full = env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let mut sizes = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => full = true,
            "--size" => sizes.push(arguments.next()?.parse().ok()?),
            _ => return None,
        }
    }
    if sizes.is_empty() {
        sizes = if full { FULL.to_vec() } else { USUAL.to_vec() };
    }
    sizes.sort_unstable();
    sizes.dedup();
    sizes.iter().all(|size| *size >= SMALLEST).then_some(sizes)
}

/// Whoever waits for the medium waits for the processor too where others want it: then a durable
/// insert takes a tick of the scheduler, whatever the store.
fn warn_if_busy() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = load.split(' ').next().and_then(|load| load.parse().ok());
    if last_minute.is_some_and(|load: f64| load > 1.0) {
        eprintln!(
            "this machine was busy a moment ago: unless it was building this, wait until it rests"
        );
    }
}

/// What takes part, by name and version.
fn versions(scratch: &Path) -> Vec<String> {
    let at = scratch.join("versions");
    let peers = Peer::ALL.iter().map(|peer| peer.start(&at).version());
    peers.collect()
}
