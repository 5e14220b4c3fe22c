//! Vitalock beside plain SQLite, SQLCipher and Askar: the same records, the same questions, in
//! turns. `make compare` builds the peers and runs this.
//!
//! Every peer is a binary of its own, found beside this one, that holds one store and answers over
//! its standard input and output. Arguments: `records` or `fhir` for one contest alone, `--full` for
//! a million records or resources too (or `VITALOCK_SOAK=1`), `--size N`, once or several times, for
//! other sizes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

mod contest;
mod fhir;
#[path = "../fhir/mod.rs"]
mod fhir_peer;
mod page;
#[path = "../peer/mod.rs"]
mod peer;
mod player;
#[path = "../../support/referred.rs"]
mod referred;
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
    let Some(wanted) = wanted(env::args().skip(1)) else {
        eprintln!("arguments: [records|fhir] [--full] [--size N].. with N of {SMALLEST} or more");
        return ExitCode::from(2);
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target/compare");
    fs::create_dir_all(&target).unwrap();
    // Not in the system's folder for temporary files: that may be memory, where nothing is durable.
    let scratch = tempfile::tempdir_in(target.canonicalize().unwrap()).unwrap();

    warn_if_busy();
    if wanted.records {
        records(&root, scratch.path(), &wanted);
    }
    if wanted.fhir {
        fhir::run(&root, scratch.path(), wanted.full, &wanted.sizes);
    }
    ExitCode::SUCCESS
}

fn records(root: &Path, scratch: &Path, wanted: &Wanted) {
    let usual = wanted.sizes.is_empty();
    let sizes = match (usual, wanted.full) {
        (false, _) => wanted.sizes.as_slice(),
        (true, false) => &USUAL,
        (true, true) => &FULL,
    };
    let versions = versions(scratch);
    let lines: Vec<_> = sizes
        .iter()
        .flat_map(|size| contest(*size, scratch))
        .collect();

    let rows = table::rows(&lines);
    println!("{}", table::plain(&rows));
    for note in table::notes(&lines) {
        println!("{note}");
    }
    let json = root.join("target/compare/records.json");
    fs::write(json, table::json(&lines)).unwrap();
    // A page about sizes that somebody chose is for them, not for every reader.
    let page = match usual {
        true => page::PAGE,
        false => "target/compare/benchmarks.md",
    };
    page::put_records(&root.join(page), &lines, &versions);
    println!("\nwritten to target/compare/records.json and {page}");
}

struct Wanted {
    records: bool,
    fhir: bool,
    full: bool,
    /// Empty for the usual ones.
    sizes: Vec<u64>,
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted {
        records: false,
        fhir: false,
        full: env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1"),
        sizes: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "records" => wanted.records = true,
            "fhir" => wanted.fhir = true,
            "--full" => wanted.full = true,
            "--size" => wanted.sizes.push(arguments.next()?.parse().ok()?),
            _ => return None,
        }
    }
    if !wanted.records && !wanted.fhir {
        (wanted.records, wanted.fhir) = (true, true);
    }
    wanted.sizes.sort_unstable();
    wanted.sizes.dedup();
    let fits = wanted.sizes.iter().all(|size| *size >= SMALLEST);
    fits.then_some(wanted)
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
