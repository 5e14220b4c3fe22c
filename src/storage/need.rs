//! Which records are needed least: those that hold for the time longest ago.

use std::cmp::Ordering;

use rusqlite::{Rows, params};

use super::failure::from_sqlite;
use super::store::{Reading, cached};
use crate::error::Result;
use crate::id::RecordId;

/// Of a kind, what is not pinned and has an effective time, the latest first.
const TIMED: &str = "SELECT id, start, length(body) +
      (SELECT coalesce(sum(length(body)), 0) FROM revisions WHERE id = records.id)
    FROM records INDEXED BY records_by_kind
    WHERE kind = ?1 AND start > ?2 AND pinned = 0 ORDER BY start DESC, place DESC";
/// The same without an effective time, what was put last first.
const TIMELESS: &str = "SELECT id, updated, length(body) +
      (SELECT coalesce(sum(length(body)), 0) FROM revisions WHERE id = records.id)
    FROM records INDEXED BY records_by_kind
    WHERE kind = ?1 AND start = ?2 AND pinned = 0 ORDER BY updated DESC";

/// How much is kept of a kind.
#[derive(Clone, Copy)]
pub(crate) struct Most {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

struct Next {
    id: RecordId,
    time: i64,
    bytes: u64,
}

impl Reading<'_> {
    /// Up to `limit` of the records of a kind that are too many, where those are kept that are needed
    /// most and none that is pinned is counted. What is needed is told by when a record holds, or by
    /// when it was put where it does not say. `none` is the start of a record that does not say.
    pub(crate) fn least_needed(
        &self,
        kind: i64,
        most: Most,
        none: i64,
        limit: usize,
    ) -> Result<Vec<RecordId>> {
        let mut timed = cached(self.connection, TIMED)?;
        let mut timeless = cached(self.connection, TIMELESS)?;
        let mut timed = timed.query(params![kind, none]).map_err(from_sqlite)?;
        let mut timeless = timeless.query(params![kind, none]).map_err(from_sqlite)?;
        let (mut one, mut other) = (next(&mut timed)?, next(&mut timeless)?);
        let (mut records, mut bytes, mut full) = (0_u64, 0_u64, false);
        let mut surplus = Vec::new();
        while surplus.len() < limit {
            let time = |next: &Option<Next>| next.as_ref().map(|next| next.time);
            let first = match time(&one).cmp(&time(&other)) {
                Ordering::Less => std::mem::replace(&mut other, next(&mut timeless)?),
                _ => std::mem::replace(&mut one, next(&mut timed)?),
            };
            let Some(record) = first else { break };
            records += 1;
            bytes = bytes.saturating_add(record.bytes);
            // What is older than the first that finds no room goes too, be it ever so small.
            full |= records > most.records || bytes > most.bytes;
            if full {
                surplus.push(record.id);
            }
        }
        Ok(surplus)
    }
}

fn next(rows: &mut Rows<'_>) -> Result<Option<Next>> {
    let Some(row) = rows.next().map_err(from_sqlite)? else {
        return Ok(None);
    };
    let read = || {
        let bytes: i64 = row.get(2)?;
        Ok(Next {
            id: RecordId::from_bytes(row.get(0)?),
            time: row.get(1)?,
            bytes: u64::try_from(bytes).unwrap_or_default(),
        })
    };
    read().map(Some).map_err(from_sqlite)
}
