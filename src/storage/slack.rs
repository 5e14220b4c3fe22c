//! The unused parts of pages, wiped after an erasure.
//!
//! SQLite zeroes what it deletes. But where it moves the rows of a page together to make room, it
//! leaves copies of them behind in the middle of the page, and it does not know of those when such
//! a row is deleted later.

use rusqlite::Connection;

use super::rewrite::Rewrite;
use super::schema::PAGE_BYTES;
use crate::error::Result;
use crate::sealing::PageSealer;
use crate::secret::SecretBytes;

/// Wipes the unused parts of every page that holds rows. The log must be empty, no reader may be
/// at work and no other writer.
///
/// # Errors
///
/// Those of the files.
pub(super) fn wipe(writer: &Connection) -> Result<()> {
    let mut rewrite = Rewrite::begin(writer)?;
    let mut page = SecretBytes::zeroed(PAGE_BYTES);
    let mut map = SecretBytes::zeroed(PAGE_BYTES);
    for number in 1..=rewrite.pages() {
        if map_of(number) == number {
            rewrite.read(number, map.expose_mut())?;
        } else if number == 1 || holds_rows(map.expose(), number) {
            rewrite.read(number, page.expose_mut())?;
            if wipe_page(page.expose_mut(), number == 1) {
                rewrite.replace(number, page.expose())?;
            }
        }
    }
    rewrite.finish()
}

/// Wipes what lies between the row pointers and the rows, and inside the free blocks between rows;
/// whether there was anything.
fn wipe_page(page: &mut [u8], is_first: bool) -> bool {
    let header = if is_first { FILE_HEADER } else { 0 };
    let pointers = match page.get(header) {
        Some(2 | 5) => header + 12,
        Some(10 | 13) => header + 8,
        _ => return false,
    };
    let number = |page: &[u8], at: usize| {
        let bytes = page.get(at..)?.first_chunk::<2>()?;
        Some(usize::from(u16::from_be_bytes(*bytes)))
    };
    let (Some(rows), Some(content), Some(block)) = (
        number(page, header + 3),
        number(page, header + 5),
        number(page, header + 1),
    ) else {
        return false;
    };
    let mut changed = clear(page, pointers + 2 * rows, content);
    let mut block = block;
    while block >= content && block > 0 {
        let (Some(next), Some(length)) = (number(page, block), number(page, block + 2)) else {
            break;
        };
        changed |= clear(page, block + 4, block + length);
        if next <= block {
            break;
        }
        block = next;
    }
    changed
}

/// Zeroes a stretch; whether it was anything else. One that makes no sense is left alone.
fn clear(page: &mut [u8], from: usize, to: usize) -> bool {
    let stretch = page.get_mut(from..to).unwrap_or_default();
    // In one pass over all of it, which a processor does many bytes at a time.
    let used = stretch.iter().fold(0, |any, byte| any | byte) != 0;
    stretch.fill(0);
    used
}

/// SQLite's own header in front of the first page.
const FILE_HEADER: usize = 100;

/// Pages in one map: each has an entry of five bytes in the part that SQLite uses.
const MAPPED: u32 = (4096 - 40) / 5;
const _: () = assert!(PAGE_BYTES == 4096 && PageSealer::TAIL == 40);

/// The page, under automatic vacuum, whose map says what this page is. Maps lie at fixed distances
/// from page 2 on, one page later where the file has its locks.
fn map_of(number: u32) -> u32 {
    if number < 2 {
        return 0;
    }
    let map = (number - 2) / (MAPPED + 1) * (MAPPED + 1) + 2;
    if map == LOCKS { map + 1 } else { map }
}

/// The page at one gibibyte, which SQLite leaves empty.
const LOCKS: u32 = 0x4000_0000 / 4096 + 1;

/// Whether the map says that a page belongs to a table or an index.
fn holds_rows(map: &[u8], number: u32) -> bool {
    const ROOT: u8 = 1;
    const BRANCH_OR_LEAF: u8 = 5;
    let entry = number.checked_sub(map_of(number) + 1);
    let at = entry.and_then(|entry| usize::try_from(entry * 5).ok());
    let kind = at.and_then(|at| map.get(at));
    matches!(kind, Some(&(ROOT | BRANCH_OR_LEAF)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::vfs::tests::Unschooled;
    use super::*;

    /// Rows come, grow, shrink and go, as earlier revisions do. Gives what is left, and what once
    /// was there.
    fn churn(connection: &Connection, mut seed: u64) -> (BTreeMap<i64, Vec<u8>>, Vec<Vec<u8>>) {
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let (mut live, mut gone) = (BTreeMap::new(), Vec::new());
        for _ in 0..1500 {
            let id = i64::try_from(next() % 300).unwrap();
            if next() % 3 == 0 {
                connection
                    .execute("DELETE FROM rows WHERE id = ?1", [id])
                    .unwrap();
                gone.extend(live.remove(&id));
            } else {
                let mut body = vec![7; usize::try_from(next() % 1200).unwrap() + 16];
                body[..8].copy_from_slice(&next().to_le_bytes());
                body[8..16].copy_from_slice(&next().to_le_bytes());
                let sql = "INSERT OR REPLACE INTO rows VALUES (?1, ?2)";
                connection.execute(sql, (id, &body)).unwrap();
                gone.extend(live.insert(id, body));
            }
        }
        (live, gone)
    }

    fn left(connection: &Connection, gone: &[Vec<u8>]) -> usize {
        let mut rewrite = Rewrite::begin(connection).unwrap();
        let mut bytes = Vec::new();
        for number in 1..=rewrite.pages() {
            let mut page = [0; PAGE_BYTES];
            rewrite.read(number, &mut page).unwrap();
            bytes.extend_from_slice(&page);
        }
        let starts: std::collections::HashSet<&[u8]> = bytes.windows(16).collect();
        gone.iter()
            .filter(|body| starts.contains(&body[..16]))
            .count()
    }

    #[test]
    fn copies_that_sqlite_leaves_of_deleted_rows_are_wiped_and_nothing_else() {
        let mut found_before = 0;
        for seed in 1..=6 {
            let database = Unschooled::make(
                "CREATE TABLE rows (id INTEGER, body BLOB, PRIMARY KEY (id)) WITHOUT ROWID",
            );
            let connection = database.open();
            connection.execute_batch("BEGIN").unwrap();
            let (live, gone) = churn(&connection, seed * 0x0123_4567_89AB_CDEF);
            connection.execute_batch("COMMIT").unwrap();
            empty_log(&connection);
            found_before += left(&connection, &gone);
            wipe(&connection).unwrap();
            assert_eq!(left(&connection, &gone), 0, "seed {seed}");
            drop(connection);
            let connection = database.open();
            let check: String = connection
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(check, "ok");
            let mut statement = connection.prepare("SELECT id, body FROM rows").unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            let rows: BTreeMap<i64, Vec<u8>> = rows.unwrap().map(Result::unwrap).collect();
            assert!(rows == live);
        }
        assert!(found_before > 0, "there was something to wipe");
    }

    fn empty_log(connection: &Connection) {
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .unwrap();
        assert_eq!(busy, 0);
    }

    #[test]
    fn maps_lie_where_sqlite_puts_them() {
        assert_eq!([1, 2, 3, 813, 814, 815].map(map_of), [0, 2, 2, 2, 814, 814]);
    }
}
