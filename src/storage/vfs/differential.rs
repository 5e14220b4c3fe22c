//! A sealed database beside a plain one: whatever is done to both, they answer the same. Their
//! caches are so small that transactions spill into the log before they commit, which this crate's
//! own connections never do.

use std::path::Path;

use rusqlite::Connection;

use super::tests::{PAGES, Unschooled};
use super::{Pages, reserve_tail};
use crate::fs::MemoryDir;

const ROWS: &str = "CREATE TABLE rows (id INTEGER PRIMARY KEY, tag INTEGER, body BLOB);
                    CREATE INDEX tags ON rows (tag, id)";
const SMALL: &str = "PRAGMA cache_size = 8; PRAGMA cache_spill = 4; PRAGMA wal_autocheckpoint = 60";

/// A generator that a seed repeats (xorshift).
struct Luck(u64);

impl Luck {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 2).unwrap() % bound
    }
}

/// A statement that can be run on both, whatever came before. Bodies follow from numbers, so that
/// both write the same.
fn statement(luck: &mut Luck, savepoints: bool) -> String {
    let (id, tag, size) = (luck.below(400), luck.below(20), luck.below(3000));
    let body = format!("zeroblob({size}) || hex(zeroblob({}))", luck.below(900));
    let many = luck.below(120);
    match luck.below(if savepoints { 24 } else { 19 }) {
        0..4 => format!("INSERT OR REPLACE INTO rows VALUES ({id}, {tag}, {body})"),
        4..7 => format!("UPDATE rows SET body = {body}, tag = {tag} WHERE id % 37 = {id} % 37"),
        7 => format!("DELETE FROM rows WHERE id BETWEEN {id} AND {id} + 30"),
        8 => format!("UPDATE rows SET tag = tag + 1 WHERE id > {id}"),
        9..11 => format!(
            "INSERT OR IGNORE INTO rows WITH RECURSIVE n (i) AS
             (SELECT {id} UNION ALL SELECT i + 1 FROM n WHERE i < {id} + {many})
             SELECT i, {tag}, zeroblob({size}) FROM n"
        ),
        // Fails half way, so that what it has done is taken back.
        11 => format!(
            "INSERT INTO rows WITH RECURSIVE n (i) AS
             (SELECT 401 UNION ALL SELECT i + 1 FROM n WHERE i < 460)
             SELECT CASE i WHEN 455 THEN {id} ELSE i END, {tag}, zeroblob({size}) FROM n"
        ),
        12 | 13 => "BEGIN".to_owned(),
        14 | 15 => "COMMIT".to_owned(),
        16 => "ROLLBACK".to_owned(),
        17 => "PRAGMA incremental_vacuum(7)".to_owned(),
        18 => "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
        19 | 20 => "SAVEPOINT here".to_owned(),
        21 => "RELEASE here".to_owned(),
        _ => "ROLLBACK TO here".to_owned(),
    }
}

/// What a statement came to: its rows, or the code of its error.
fn run(connection: &Connection, sql: &str) -> Result<Vec<String>, Option<i32>> {
    let run = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..columns).map(|at| row.get_ref(at).map(|value| format!("{value:?}")));
            values.collect::<rusqlite::Result<String>>()
        })?;
        rows.collect()
    };
    run().map_err(|error| error.sqlite_error().map(|error| error.extended_code))
}

fn plain(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA synchronous = FULL",
        )
        .unwrap();
    connection
}

/// With the same bytes left unused, so that the same rows lie on the same pages.
fn make_plain(path: &Path) {
    let connection = plain(path);
    reserve_tail(&connection).unwrap();
    connection
        .execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL")
        .unwrap();
    connection.execute_batch(ROWS).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL")
        .unwrap();
}

/// Runs the same statements on both; how often a transaction had spilled into the log, and how many
/// statements failed.
fn compare(
    seed: u64,
    of_a_vault: bool,
    savepoints: bool,
    statements: usize,
    memory: Option<&MemoryDir>,
) -> (usize, usize) {
    let pages = Pages {
        of_a_vault,
        ..PAGES
    };
    let sealed = Unschooled::make_with(ROWS, pages, memory.cloned());
    let beside = sealed.path().with_file_name("plain.db");
    make_plain(&beside);
    let log = sealed.path().with_file_name("rows.db-wal");
    let length = || match memory {
        Some(memory) => memory.file("rows.db-wal").map_or(0, |log| log.length()),
        None => log
            .metadata()
            .map_or(0, |log| usize::try_from(log.len()).unwrap()),
    };
    let mut luck = Luck(seed | 1);
    let (mut spilled, mut failed, mut done) = (0, 0, 0);
    while done < statements {
        let (one, other) = (sealed.open(), plain(&beside));
        let reader = sealed.open();
        for connection in [&one, &other] {
            connection.execute_batch(SMALL).unwrap();
        }
        // Now and then both are closed and opened again.
        for _ in 0..100 + luck.below(200) {
            let sql = statement(&mut luck, savepoints);
            let before = length();
            let answers = (run(&one, &sql), run(&other, &sql));
            assert!(
                answers.0 == answers.1,
                "seed {seed}, {done}, {sql}: {answers:?}"
            );
            failed += usize::from(answers.0.is_err());
            spilled += usize::from(!one.is_autocommit() && length() > before);
            done += 1;
            if done.is_multiple_of(20) {
                let all = "SELECT id, tag, length(body), hex(substr(body, 1, 40)) FROM rows";
                assert!(run(&one, all) == run(&other, all), "seed {seed}, {done}");
                let pages = "PRAGMA page_count";
                assert!(
                    run(&one, pages) == run(&other, pages),
                    "seed {seed}, {done}"
                );
                let by_tag = "SELECT tag, count(*) FROM rows GROUP BY tag";
                assert!(
                    run(&one, by_tag) == run(&other, by_tag),
                    "seed {seed}, {done}"
                );
                if one.is_autocommit() {
                    assert!(run(&reader, all) == run(&other, all), "seed {seed}, {done}");
                }
            }
        }
        drop(reader);
        let check = run(&one, "PRAGMA integrity_check").unwrap();
        assert_eq!(check, run(&other, "PRAGMA integrity_check").unwrap());
    }
    (spilled, failed)
}

#[test]
fn a_sealed_database_answers_as_a_plain_one_does_while_its_cache_spills() {
    let soak = std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    let first = u64::from_le_bytes(seed);
    let statements = if soak { 2000 } else { 400 };
    let (mut spilled, mut failed) = (0, 0);
    for round in 0..if soak { 200 } else { 2 } {
        for (of_a_vault, savepoints) in [(true, false), (false, true)] {
            let seed = first.wrapping_add(round * 0x9E37_79B9);
            let (spills, failures) = compare(seed, of_a_vault, savepoints, statements, None);
            spilled += spills;
            failed += failures;
        }
        let memory = MemoryDir::default();
        let (spills, failures) = compare(first ^ round, true, false, statements, Some(&memory));
        assert!(spills > 5 && failures > 5, "{spills} {failures}");
        let sealed = memory.file("rows.db").unwrap();
        let mut bytes = vec![0; sealed.length()];
        sealed.read_at(&mut bytes, 0);
        assert!(bytes.len() > 4096 && !bytes.starts_with(b"SQLite format 3"));
    }
    assert!(spilled > 20 && failed > 20, "{spilled} {failed}");
}

/// Frames of a transaction may wait in memory for their commit. Once it is rolled back they must
/// never be written: where they belonged another connection's commit lies by now.
#[test]
fn frames_of_a_transaction_that_was_rolled_back_are_never_written_over_those_of_another() {
    for rows in 20..90 {
        let database = Unschooled::make(ROWS);
        let log = database.path().with_file_name("rows.db-wal");
        let (one, other) = (database.open(), database.open());
        one.execute_batch(SMALL).unwrap();
        other
            .execute("INSERT INTO rows VALUES (1, 1, 'first')", [])
            .unwrap();
        let before = log.metadata().unwrap().len();
        one.execute_batch("BEGIN").unwrap();
        for id in 0..rows {
            let sql = "INSERT INTO rows VALUES (?1 + 10, 2, zeroblob(3500))";
            one.execute(sql, [id]).unwrap();
        }
        let spilled = log.metadata().unwrap().len() > before;
        assert!(spilled || rows < 60, "a full buffer is written");
        one.execute_batch("ROLLBACK").unwrap();
        other
            .execute("INSERT INTO rows VALUES (2, 1, zeroblob(30000))", [])
            .unwrap();
        // Whatever the first connection still held would be written before it reads.
        let count = "SELECT count(*), sum(length(body)) FROM rows";
        let expected = Ok(vec!["Integer(2)Integer(30005)".to_owned()]);
        assert_eq!(run(&one, count), expected, "{rows} rows");
        one.execute("UPDATE rows SET tag = 3 WHERE id = 1", [])
            .unwrap();
        assert_eq!(run(&other, count), expected, "{rows} rows");
        // Read anew, as after a crash.
        drop((one, other));
        let reopened = database.open();
        assert_eq!(run(&reopened, count), expected, "{rows} rows");
        assert_eq!(
            run(&reopened, "PRAGMA integrity_check").unwrap(),
            ["Text([111, 107])"]
        );
    }
}
