//! Every requirement that is cited can be looked up, and none is listed that nobody cites.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../docs/requirements.md");

/// The numbers that stand behind `R-` in a text.
fn cited(text: &str) -> BTreeSet<u32> {
    let numbers = text.split("R-").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    });
    numbers.filter_map(|number| number.parse().ok()).collect()
}

fn collect(path: &Path, found: &mut BTreeSet<u32>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("the folder can be read") {
            collect(&entry.expect("the folder can be read").path(), found);
        }
    } else if !path.ends_with("docs/requirements.md")
        && let Ok(text) = fs::read_to_string(path)
    {
        found.append(&mut cited(&text));
    }
}

#[test]
fn what_is_cited_is_listed_and_what_is_listed_is_cited() {
    let mut found = BTreeSet::new();
    for part in [
        "benches",
        "clippy.toml",
        "deny.toml",
        "docs",
        "src",
        "tests",
    ] {
        collect(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(part),
            &mut found,
        );
    }
    assert!(found.len() > 20);
    let listed = cited(PAGE);
    let missing: Vec<_> = found.difference(&listed).collect();
    let unused: Vec<_> = listed.difference(&found).collect();
    assert!(
        missing.is_empty() && unused.is_empty(),
        "not listed: {missing:?}, not cited: {unused:?}"
    );
}

#[test]
fn a_number_is_found_where_it_is_cited() {
    assert_eq!(cited("(R-101, R-47); R- and R-x"), [47, 101].into());
}
