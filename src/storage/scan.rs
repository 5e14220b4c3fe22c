//! Finding rows by their index columns, a bounded page at a time.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::failure::from_sqlite;
use super::rows::{Row, columns, read_row};
use super::store::{Reading, cached};
use crate::error::Result;

/// Which column orders the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Start,
    Updated,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// Where a row stands in an order: the ordering column's value, then the row's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) key: i64,
    pub(crate) place: i64,
}

/// What to look for. Every present condition must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    pub(crate) kind: Option<i64>,
    pub(crate) subject: Option<i64>,
    pub(crate) content: Option<i64>,
    /// First `start` that is wanted.
    pub(crate) from: Option<i64>,
    /// First `start` that is no longer wanted.
    pub(crate) until: Option<i64>,
    /// Last `updated` that is not wanted.
    pub(crate) updated_after: Option<i64>,
    /// Records that expired by then are not there.
    pub(crate) now: i64,
    pub(crate) order: Order,
    pub(crate) direction: Direction,
}

/// A page ends after so many bytes of bodies even where fewer rows than asked for have come.
const MOST_BYTES: usize = 1024 * 1024;

impl Reading<'_> {
    /// At most `most` rows after a position, or the first ones, in order: at least one unless there
    /// are none.
    pub(crate) fn scan(
        &self,
        scan: &Scan,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Row>> {
        let mut page = Page {
            rows: Vec::new(),
            bytes: 0,
            most,
        };
        let expiry = self.anything_expired(scan.now)?;
        if let Some(after) = after {
            // Rows with the same key first, then those beyond it: two ranges of the same index.
            let mut same = Search::new(scan, expiry);
            same.condition(scan.key_column(), "= ", after.key);
            same.condition("place", scan.beyond(), after.place);
            same.run(self.connection, scan, &mut page)?;
            if !page.is_full() {
                let mut rest = Search::new(scan, expiry);
                rest.condition(scan.key_column(), scan.beyond(), after.key);
                rest.run(self.connection, scan, &mut page)?;
            }
        } else {
            Search::new(scan, expiry).run(self.connection, scan, &mut page)?;
        }
        Ok(page.rows)
    }

    /// How many rows there are, from the index alone.
    pub(crate) fn count(&self, scan: &Scan) -> Result<u64> {
        let search = Search::new(scan, self.anything_expired(scan.now)?);
        let count: i64 = cached(self.connection, &search.count(scan))?
            .query_row(params_from_iter(&search.values), |row| row.get(0))
            .map_err(from_sqlite)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Whether expiry matters now: while nothing has expired, counts stay within one index.
    fn anything_expired(&self, now: i64) -> Result<bool> {
        cached(
            self.connection,
            "SELECT 1 FROM records WHERE expires <= ?1 LIMIT 1",
        )?
        .exists([now])
        .map_err(from_sqlite)
    }
}

impl Scan {
    const fn key_column(&self) -> &'static str {
        match self.order {
            Order::Start => "start",
            Order::Updated => "updated",
        }
    }

    const fn beyond(&self) -> &'static str {
        match self.direction {
            Direction::Ascending => "> ",
            Direction::Descending => "< ",
        }
    }

    /// The index that holds the answer in order, with the fewest rows beside it.
    const fn index(&self) -> &'static str {
        match (self.order, self.subject, self.kind, self.content) {
            (Order::Updated, ..) => "records_by_updated",
            (Order::Start, Some(_), Some(_), _) => "records_by_subject_kind",
            (Order::Start, Some(_), None, _) => "records_by_subject",
            (Order::Start, None, Some(_), _) => "records_by_kind",
            (Order::Start, None, None, Some(_)) => "records_by_content",
            (Order::Start, None, None, None) => "records_by_start",
        }
    }
}

struct Page {
    rows: Vec<Row>,
    bytes: usize,
    most: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.most || self.bytes >= MOST_BYTES
    }
}

/// A WHERE clause under construction: fixed fragments and bound values, nothing else.
struct Search {
    conditions: String,
    values: Vec<Value>,
}

impl Search {
    fn new(scan: &Scan, expiry: bool) -> Self {
        let mut search = Self {
            conditions: String::new(),
            values: Vec::new(),
        };
        for (column, comparison, value) in [
            ("subject", "= ", scan.subject),
            ("kind", "= ", scan.kind),
            ("content", "= ", scan.content),
            ("start", ">= ", scan.from),
            ("start", "< ", scan.until),
            ("updated", "> ", scan.updated_after),
        ] {
            if let Some(value) = value {
                search.condition(column, comparison, value);
            }
        }
        if expiry {
            search.condition("coalesce(expires, 9223372036854775807)", "> ", scan.now);
        }
        search
    }

    fn condition(&mut self, column: &str, comparison: &str, value: i64) {
        self.conditions.push_str(if self.values.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        self.conditions.push_str(column);
        self.conditions.push(' ');
        self.conditions.push_str(comparison);
        self.conditions.push('?');
        self.values.push(Value::Integer(value));
    }

    fn count(&self, scan: &Scan) -> String {
        let mut sql = String::from("SELECT count(*) FROM records INDEXED BY ");
        sql.push_str(scan.index());
        sql.push_str(&self.conditions);
        sql
    }

    fn select(&self, scan: &Scan) -> String {
        let mut sql = String::from(concat!("SELECT ", columns!(), " FROM records INDEXED BY "));
        sql.push_str(scan.index());
        sql.push_str(&self.conditions);
        sql.push_str(" ORDER BY ");
        sql.push_str(scan.key_column());
        sql.push_str(match scan.direction {
            Direction::Ascending => ", place",
            Direction::Descending => " DESC, place DESC",
        });
        sql
    }

    fn run(&self, connection: &Connection, scan: &Scan, page: &mut Page) -> Result<()> {
        let mut statement = cached(connection, &self.select(scan))?;
        let mut rows = statement
            .query(params_from_iter(&self.values))
            .map_err(from_sqlite)?;
        while !page.is_full() {
            let Some(row) = rows.next().map_err(from_sqlite)? else {
                break;
            };
            let row = read_row(row).map_err(from_sqlite)?;
            page.bytes += row.body.as_bytes().len();
            page.rows.push(row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    /// How SQLite would go about it, step by step.
    fn plan(connection: &Connection, sql: &str, values: &[Value]) -> Vec<String> {
        let mut statement = connection
            .prepare(&["EXPLAIN QUERY PLAN ", sql].concat())
            .unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get(3));
        steps.unwrap().map(std::result::Result::unwrap).collect()
    }

    /// Every combination of conditions in every order.
    fn shapes() -> Vec<Scan> {
        let mut shapes = Vec::new();
        for bits in 0..64 {
            let given = |bit: i64, value: i64| (bits >> bit & 1 == 1).then_some(value);
            for order in [Order::Start, Order::Updated] {
                for direction in [Direction::Ascending, Direction::Descending] {
                    shapes.push(Scan {
                        kind: given(0, 1),
                        subject: given(1, 1),
                        content: given(2, 1),
                        from: given(3, -9),
                        until: given(4, 9),
                        updated_after: given(5, 1),
                        now: 5,
                        order,
                        direction,
                    });
                }
            }
        }
        shapes
    }

    #[test]
    fn every_query_walks_its_index_in_order_and_sorts_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        schema::create(&connection).unwrap();
        for scan in shapes() {
            for expiry in [false, true] {
                let first = Search::new(&scan, expiry);
                let mut same = Search::new(&scan, expiry);
                same.condition(scan.key_column(), "= ", 3);
                same.condition("place", scan.beyond(), 4);
                let mut rest = Search::new(&scan, expiry);
                rest.condition(scan.key_column(), scan.beyond(), 3);
                for search in [first, same, rest] {
                    let select = plan(&connection, &search.select(&scan), &search.values);
                    let count = plan(&connection, &search.count(&scan), &search.values);
                    for (steps, sorted) in [(select, true), (count, false)] {
                        let [step] = steps.as_slice() else {
                            panic!("{scan:?}: {steps:?}");
                        };
                        // To count all rows SQLite takes whichever index is the smallest.
                        let named = step.split(' ').any(|word| word == scan.index());
                        assert!(named || !sorted, "{scan:?}: {step}");
                        assert!(step.contains(" INDEX "), "{scan:?}: {step}");
                        assert!(!step.contains("TEMP B-TREE"), "{scan:?}: {step}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_condition_on_the_columns_of_the_index_narrows_the_walk() {
        let connection = Connection::open_in_memory().unwrap();
        schema::create(&connection).unwrap();
        let any = Scan {
            kind: None,
            subject: None,
            content: None,
            from: None,
            until: None,
            updated_after: None,
            now: 5,
            order: Order::Start,
            direction: Direction::Descending,
        };
        let (one, since) = (Some(1), Some(2));
        for (scan, narrowed) in [
            (Scan { kind: one, ..any }, "(kind=?)"),
            (
                Scan {
                    subject: one,
                    ..any
                },
                "(subject=?)",
            ),
            (
                Scan {
                    content: one,
                    ..any
                },
                "(content=?)",
            ),
            (
                Scan {
                    subject: one,
                    kind: one,
                    ..any
                },
                "(subject=? AND kind=?)",
            ),
            (Scan { from: since, ..any }, "(start>?)"),
            (
                Scan {
                    from: since,
                    until: since,
                    ..any
                },
                "(start>? AND start<?)",
            ),
            (
                Scan {
                    kind: one,
                    from: since,
                    until: since,
                    ..any
                },
                "(kind=? AND start>? AND start<?)",
            ),
            (
                Scan {
                    updated_after: since,
                    order: Order::Updated,
                    ..any
                },
                "(updated>?)",
            ),
        ] {
            let search = Search::new(&scan, false);
            let steps = plan(&connection, &search.select(&scan), &search.values);
            assert!(
                steps[0].starts_with("SEARCH") && steps[0].ends_with(narrowed),
                "{steps:?}"
            );
            let steps = plan(&connection, &search.count(&scan), &search.values);
            assert!(steps[0].contains("COVERING INDEX"), "{steps:?}");
        }
    }
}
