//! The FHIR contest: the same resources with the same searches, in Vitalock and in SQLCipher with the
//! tables that the Android FHIR SDK publishes.

mod contest;
mod questions;
mod report;
mod resources;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::page;
use super::player::Peer;
use contest::{Tally, contest};
use resources::{Resources, bundles, more_bundles};

/// How many resources: those of all bundles, or as many as somebody chose.
pub(crate) fn run(root: &Path, scratch: &Path, full: bool, sizes: &[u64]) {
    let Some(bundles) = bundles(root) else {
        return;
    };
    let Some(peers) = players() else {
        return;
    };
    let usual = sizes.is_empty();
    let mut sizes: Vec<_> = sizes.iter().map(|size| (&bundles, Some(*size))).collect();
    if usual {
        sizes.push((&bundles, None));
    }
    let more = (usual && full).then(|| more_bundles(root)).flatten();
    if let Some(more) = &more {
        sizes.push((more, Some(FULL)));
    }
    let mut tallies: Vec<Tally> = Vec::new();
    for (bundles, size) in sizes {
        let file = scratch.join("resources.ndjson");
        let resources = Resources::write(bundles, size, &file);
        tallies.push(contest(&peers, &resources, scratch));
        fs::remove_file(file).unwrap();
    }
    println!("{}", report::plain(&tallies));
    let json = root.join("target/compare/fhir.json");
    fs::write(json, report::json(&tallies)).unwrap();
    // A page about sizes that somebody chose, or without a peer, is not for every reader.
    let page = match usual && peers.len() == Peer::FHIR.len() {
        true => page::PAGE,
        false => "target/compare/benchmarks-fhir.md",
    };
    page::put_fhir(&root.join(page), &report::section(&tallies));
    println!("\nwritten to target/compare/fhir.json and {page}");
}

const FULL: u64 = 1_000_000;

/// Those who could be built. Without Vitalock there is nothing to compare with.
fn players() -> Option<Vec<&'static Peer>> {
    let (built, missing): (Vec<_>, Vec<_>) = Peer::FHIR.iter().partition(|peer| peer.is_built());
    for peer in missing {
        println!(
            "SKIPPED: {}: compare-{} is not built",
            peer.title, peer.name
        );
    }
    let vitalock = built.iter().any(|peer| peer.name == VITALOCK);
    vitalock.then_some(built)
}

const VITALOCK: &str = "fhir-vitalock";
const SQLCIPHER: &str = "fhir-sqlcipher";

/// The texts in a JSON array.
fn texts(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}
