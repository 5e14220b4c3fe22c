//! Where the rows of a class's matches come from.

use crate::error::Result;
use crate::storage::{Position, Reading, Row, Scan, Search};

/// A scan of the records' own columns, or a search in what resources are found by.
pub(super) enum Source {
    Scan(Scan),
    Search(Box<Search>),
    Ranked(Box<Ranked>),
}

/// What a search finds in an order of its own: all of it, as places in a class.
pub(super) struct Ranked {
    pub(super) search: Search,
    /// The rank among the finds of all classes, and the place; in order.
    pub(super) places: Vec<Position>,
}

impl Source {
    /// At most `most` rows after a position, each with its own.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub(super) fn page(
        &self,
        reading: &Reading<'_>,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<(Position, Row)>> {
        let by_start = |row: Row| {
            let key = row.index.start;
            (
                Position {
                    key,
                    place: row.place,
                },
                row,
            )
        };
        match self {
            Self::Scan(scan) => {
                let rows = reading.scan(scan, after, most)?.into_iter();
                Ok(rows.map(|row| (row.position(scan.order), row)).collect())
            }
            Self::Search(search) => {
                let rows = reading.search(search, after, most)?.into_iter();
                Ok(rows.map(by_start).collect())
            }
            Self::Ranked(ranked) => ranked.page(reading, after, most),
        }
    }
}

impl Ranked {
    fn page(
        &self,
        reading: &Reading<'_>,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<(Position, Row)>> {
        let done = |at: &Position| after.is_some_and(|after| at.key <= after.key);
        let first = self.places.partition_point(done);
        let mut rows = Vec::new();
        for at in self.places.iter().skip(first) {
            // What was changed or erased since is met only if it is still what is looked for.
            if let Some(row) = reading.search_row(&self.search, at.place)? {
                rows.push((*at, row));
            }
            if rows.len() >= most {
                break;
            }
        }
        Ok(rows)
    }
}
