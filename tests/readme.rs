//! What the README shows is what is there.

use std::path::Path;

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_shows_the_example_that_is_compiled_as_the_documentation_of_vault() {
    let handle = include_str!("../src/vault/handle.rs");
    let documentation = handle.lines().filter_map(|line| line.strip_prefix("///"));
    let documentation: Vec<_> = documentation
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let documentation = documentation.join("\n");
    let compiled = documentation.split("```").nth(1).unwrap();
    let shown = README.split("```").nth(1).unwrap();
    assert!(compiled.contains("Vault::create"));
    assert_eq!(
        shown.strip_prefix("rust\n"),
        compiled.strip_prefix("no_run\n")
    );
}

#[test]
fn every_link_of_the_readme_leads_to_a_file() {
    let links: Vec<_> = README
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert!(links.len() > 5);
    for link in links {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        assert!(link.starts_with("https://") || file.exists(), "{link}");
    }
}

#[test]
fn the_readme_names_the_versions_of_the_manifest() {
    let manifest = include_str!("../Cargo.toml");
    for (stated, declared) in [
        ("Rust 1.89", "rust-version = \"1.89\""),
        ("rusqlite 0.43", "rusqlite = { version = \"0.43."),
        ("Apache-2.0", "license = \"Apache-2.0 OR MIT\""),
    ] {
        assert!(README.contains(stated), "{stated}");
        assert!(manifest.contains(declared), "{declared}");
    }
}
