//! The table of the threat model is what is tested.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/threat-model.md");

struct Row<'a> {
    attacker: &'a str,
    assets: Vec<&'a str>,
    test: &'a str,
    place: &'a str,
}

fn rows() -> Vec<Row<'static>> {
    let (_, table) = PAGE.split_once("## The attackers at work").unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| T"));
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let mut names = cells[3].split('`');
        Row {
            attacker: cells[0],
            assets: cells[1].split(", ").collect(),
            test: names.nth(1).unwrap(),
            place: names.nth(1).unwrap_or("tests/attacks"),
        }
    });
    rows.collect()
}

/// The tests below a folder: functions that stand under `#[test]`, or in the list that makes one of
/// each line.
fn tests_in(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for entry in fs::read_dir(folder).unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else {
            continue;
        };
        let mut is_test = false;
        for line in text.lines() {
            let line = line.trim();
            is_test |= line == "#[test]";
            let is_name = |name: &str| {
                let ends = name
                    .bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_lowercase());
                ends && name.contains('_')
            };
            if let Some((name, _)) = line.split_once(" => ").filter(|(name, _)| is_name(name)) {
                found.insert(name.to_owned());
            }
            let name = line
                .strip_prefix("fn ")
                .and_then(|rest| rest.split('(').next());
            if let Some(name) = name.filter(|_| is_test) {
                found.insert(name.to_owned());
                is_test = false;
            }
        }
    }
    found
}

#[test]
fn every_attacker_and_every_asset_is_attacked_by_a_test_that_exists() {
    let rows = rows();
    assert!(rows.len() > 20);
    for row in &rows {
        let there = tests_in(row.place);
        assert!(
            there.contains(row.test),
            "{} is not in {}",
            row.test,
            row.place
        );
    }
    let of_page = |prefix: &str| -> BTreeSet<&str> {
        let headings = PAGE.lines().filter_map(|line| line.strip_prefix(prefix));
        headings
            .filter_map(|rest| rest.split([' ', '|']).find(|word| !word.is_empty()))
            .collect()
    };
    let attackers: BTreeSet<&str> = of_page("### ");
    let assets: BTreeSet<&str> = of_page("| A").into_iter().collect();
    let tried: BTreeSet<&str> = rows.iter().map(|row| row.attacker).collect();
    assert_eq!(tried, attackers);
    assert!(attackers.len() == 10);
    let wanted: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row.assets.iter().filter_map(|asset| asset.get(1..)))
        .collect();
    assert_eq!(wanted, assets);
    // And no attack is left out of the table.
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.test).collect();
    let mut here = tests_in("tests/attacks");
    here.remove("every_attacker_and_every_asset_is_attacked_by_a_test_that_exists");
    assert!(
        here.iter().all(|test| listed.contains(test.as_str())),
        "{here:?}"
    );
}
