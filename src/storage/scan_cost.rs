//! What a page and a count cost, in the instructions of SQLite's machine, as the store grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::{self, Role};
use super::store::{Reading, Writing};
use super::vfs::tests::sealer;
use super::{Direction, IndexEntry, Order, Position, Scan, Store};
use crate::id::RecordId;
use crate::sealing::Sealed;
use rusqlite::Connection;

const SIZES: [i64; 3] = [1_000, 10_000, 100_000];
const PAGE: usize = 50;
const WINDOW: i64 = 500;

/// Row number `n`, the same in a store of any size: `start` is about `n`, and one row in five is
/// of subject 1, of kind 1, of content type 1.
fn row(n: i64, expired: Option<i64>) -> IndexEntry {
    let one_in_five = |salt: i64| i64::from((n / 5 + n) % 5 != salt) + 1;
    let start = n - n % 64 + n % 64 * 37 % 64;
    IndexEntry {
        kind: one_in_five(3),
        subject: one_in_five(3),
        content: one_in_five(1),
        start,
        finish: start,
        updated: n,
        expires: (Some(n) == expired).then_some(5),
        client: None,
        client_version: None,
        pinned: 0,
    }
}

const EVERYTHING: Scan = Scan {
    kind: None,
    subject: None,
    content: None,
    from: None,
    until: None,
    updated_after: None,
    now: 10,
    order: Order::Start,
    direction: Direction::Descending,
};

/// Every shape that an index answers, in a store of this size.
fn shapes(size: i64) -> Vec<Scan> {
    let mut shapes = Vec::new();
    let one = Some(1);
    for (subject, kind, content) in [
        (None, None, None),
        (None, one, None),
        (one, None, None),
        (None, None, one),
        (one, one, None),
    ] {
        for (direction, from, until) in [
            (Direction::Descending, None, None),
            (Direction::Descending, None, Some(size * 9 / 10)),
            (Direction::Ascending, None, None),
            (Direction::Ascending, Some(size / 10), None),
        ] {
            shapes.push(Scan {
                subject,
                kind,
                content,
                direction,
                from,
                until,
                ..EVERYTHING
            });
        }
    }
    for direction in [Direction::Ascending, Direction::Descending] {
        for updated_after in [None, Some(size / 10)] {
            shapes.push(Scan {
                order: Order::Updated,
                direction,
                updated_after,
                ..EVERYTHING
            });
        }
    }
    shapes
}

/// How many instructions SQLite's machine runs, in all statements of a call.
struct Meter(Arc<AtomicU64>);

impl Meter {
    fn on(connection: &mut Connection) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let each = move || {
            counting.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(1, Some(each)).unwrap();
        Self(count)
    }

    fn read(&self, call: impl FnOnce()) -> u64 {
        self.0.store(0, Ordering::Relaxed);
        call();
        self.0.load(Ordering::Relaxed)
    }
}

/// What the first two pages of each shape take, then the count of a fixed number of rows.
fn costs(reading: &Reading<'_>, meter: &Meter, size: i64) -> Vec<u64> {
    let mut costs = Vec::new();
    for shape in shapes(size) {
        let mut after = None;
        for _ in 0..2 {
            costs.push(meter.read(|| {
                let page = reading.scan(&shape, after, PAGE).unwrap();
                assert_eq!(page.len(), PAGE, "{shape:?}");
                after = page.last().map(|row| Position {
                    key: match shape.order {
                        Order::Start => row.index.start,
                        Order::Updated => row.index.updated,
                    },
                    place: row.place,
                });
            }));
        }
    }
    let window = Scan {
        from: Some(size / 5),
        until: Some(size / 5 + WINDOW),
        ..EVERYTHING
    };
    costs.push(meter.read(|| assert!((450..=500).contains(&reading.count(&window).unwrap()))));
    costs
}

/// The costs at every size, and of counting an answer that is the whole store.
fn measured(expired: Option<i64>) -> Vec<(Vec<u64>, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.db");
    std::fs::write(&path, "").unwrap();
    let body = Sealed::from_stored(vec![0; 8]);
    Store::create(path.as_path(), sealer(), [&body; 3], |_| Ok(())).unwrap();
    let vfs = connection::register_vfs(sealer(), Role::Writer, None).unwrap();
    let mut connection = connection::open(&path, &vfs, Role::Writer).unwrap();
    let meter = Meter::on(&mut connection);
    let (writing, reading) = (Writing(&connection), Writing(&connection).reading());

    let mut found = Vec::new();
    let mut held = 0;
    for size in SIZES {
        connection.execute_batch("BEGIN").unwrap();
        for n in held..size {
            let id = RecordId::make().unwrap();
            writing.insert(id, 1, &row(n, expired), &body).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
        held = size;
        let all = Scan {
            from: Some(0),
            ..EVERYTHING
        };
        let all = meter.read(|| assert!(reading.count(&all).unwrap() > 900));
        found.push((costs(&reading, &meter, size), all));
    }
    found
}

#[test]
fn cost_grows_with_the_answer_and_not_with_the_store() {
    // Once something has expired, every query takes a longer form.
    for expired in [None, Some(500)] {
        let found = measured(expired);
        let [(small, all), .., (_, larger_all)] = found.as_slice() else {
            unreachable!("every size was measured");
        };
        // The meter counts: an answer a hundred times as large takes that many more steps.
        assert!(*all > 1_000 && *larger_all > 90 * all);
        for (costs, _) in &found {
            for (at, (small, now)) in small.iter().zip(costs).enumerate() {
                let constant = *now <= small + small / 10;
                assert!(constant, "{at}: {small} steps, then {now}");
            }
        }
    }
}
