//! Reads what docs/architecture.md says about the rooms, so that the page and the checks agree.

use std::fs;
use std::path::Path;

/// A row of the page's table of rooms.
pub(crate) struct Row {
    pub(crate) rank: u8,
    pub(crate) room: String,
    /// The row says that the room is not built yet.
    pub(crate) planned: bool,
}

/// The page's text.
pub(crate) fn read() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    fs::read_to_string(path).expect("docs/architecture.md is there")
}

/// The rows of the table whose first column is a number: ``| 1 | `fs` | what it does |``.
pub(crate) fn ranks(page: &str) -> Vec<Row> {
    page.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let rank = cells.next()?.parse().ok()?;
            let room = cells.next()?.trim_matches('`').to_owned();
            let planned = cells.next()?.starts_with("Not yet");
            Some(Row {
                rank,
                room,
                planned,
            })
        })
        .collect()
}

/// The files listed under the heading about `unsafe`: ``- `src/memory.rs`: why``.
pub(crate) fn unsafe_files(page: &str) -> Vec<String> {
    page.lines()
        .skip_while(|line| !(line.starts_with('#') && line.contains("`unsafe`")))
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("- `")?.split('`').next())
        .map(str::to_owned)
        .collect()
}
