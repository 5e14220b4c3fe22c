//! SQLite's own sqllogictest scripts over sealed databases: statements, and what they must answer.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

#[path = "../../../tests/support/data.rs"]
mod data;

use super::tests::Unschooled;

/// One record of a script that counts for SQLite.
enum Record<'a> {
    Statement {
        sql: String,
        succeeds: bool,
    },
    Query {
        sql: String,
        types: &'a str,
        order: Order,
        expected: Vec<&'a str>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    AsIs,
    Rows,
    Values,
}

#[test]
fn every_query_answers_as_sqlite_says_it_must() {
    let Some(folder) = data::unpacked("sqllogictest/sqllogictest-slice.tar.xz") else {
        return;
    };
    let all = std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let mut scripts = scripts(&folder);
    if !all {
        scripts.retain(|path| {
            let path = path.to_string_lossy();
            ["evidence", "select1", "1000/slt_good_1"]
                .iter()
                .any(|part| path.contains(part))
        });
    }
    let (mut statements, mut queries, mut differences) = (0, 0, Vec::new());
    for path in &scripts {
        let text = std::fs::read_to_string(path).unwrap();
        let database = Unschooled::make("");
        let connection = database.open();
        for record in records(&text) {
            match record {
                Record::Statement { sql, succeeds } => {
                    statements += 1;
                    if connection.execute_batch(&sql).is_ok() != succeeds {
                        differences.push((path, sql));
                    }
                }
                Record::Query {
                    sql,
                    types,
                    order,
                    expected,
                } => {
                    queries += 1;
                    let found = answer(&connection, &sql, types, order);
                    if !found.is_ok_and(|found| is_as_expected(&found, &expected)) {
                        differences.push((path, sql));
                    }
                }
            }
        }
        let check: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok", "{}", path.display());
        drop(connection);
        let sealed = std::fs::read(database.path()).unwrap();
        assert!(!sealed.starts_with(b"SQLite format 3"));
    }
    data::tell(&format!(
        "sqllogictest: {} files, {statements} statements, {queries} queries, {} differences",
        scripts.len(),
        differences.len()
    ));
    assert!(queries > 1000);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn a_wrong_answer_is_a_difference() {
    let database =
        Unschooled::make("CREATE TABLE t (a, b); INSERT INTO t VALUES (2, NULL), (1, '')");
    let connection = database.open();
    let found = answer(&connection, "SELECT a, b FROM t", "IT", Order::Rows).unwrap();
    assert_eq!(found, ["1", "(empty)", "2", "NULL"]);
    assert!(is_as_expected(&found, &["1", "(empty)", "2", "NULL"]));
    assert!(!is_as_expected(&found, &["1", "(empty)", "3", "NULL"]));
    let hash = "4 values hashing to dd4e34e5ef8a6ab5f1b4a0d3c1f4f4d0";
    assert!(!is_as_expected(&found, &[hash]));
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "test")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The records that SQLite has to run, in their order.
fn records(text: &str) -> Vec<Record<'_>> {
    let mut lines = text.lines().peekable();
    let (mut records, mut counts) = (Vec::new(), true);
    while let Some(line) = lines.next() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("onlyif"), Some(engine)) => counts &= engine == "sqlite",
            (Some("skipif"), Some(engine)) => counts &= engine != "sqlite",
            (Some("halt"), _) if counts => return records,
            (Some("halt"), _) => counts = true,
            (Some("statement"), Some(outcome)) => {
                let mut sql = String::new();
                while let Some(line) = lines.next_if(|line| !line.is_empty()) {
                    writeln!(sql, "{line}").unwrap();
                }
                let succeeds = outcome == "ok";
                if counts {
                    records.push(Record::Statement { sql, succeeds });
                }
                counts = true;
            }
            (Some("query"), Some(types)) => {
                let order = match words.next() {
                    Some("rowsort") => Order::Rows,
                    Some("valuesort") => Order::Values,
                    _ => Order::AsIs,
                };
                let mut sql = String::new();
                while let Some(line) = lines.next_if(|line| !line.is_empty() && *line != "----") {
                    writeln!(sql, "{line}").unwrap();
                }
                lines.next_if_eq(&"----");
                let mut expected = Vec::new();
                while let Some(line) = lines.next_if(|line| !line.is_empty()) {
                    expected.push(line);
                }
                if counts {
                    records.push(Record::Query {
                        sql,
                        types,
                        order,
                        expected,
                    });
                }
                counts = true;
            }
            _ => {}
        }
    }
    records
}

/// What a query answers, each value as the script writes it.
fn answer(
    connection: &Connection,
    sql: &str,
    types: &str,
    order: Order,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    assert_eq!(statement.column_count(), types.len(), "{sql}");
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    // A query that fails on its way ends there, as in SQLite's own runner: scripts expect nothing then.
    while let Ok(Some(row)) = rows.next() {
        let values = types.chars().enumerate();
        let values = values.map(|(at, kind)| written(connection, row.get_ref(at)?, kind));
        found.push(values.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    if order == Order::Rows {
        found.sort();
    }
    let mut values = found.concat();
    if order == Order::Values {
        values.sort();
    }
    Ok(values)
}

fn written(connection: &Connection, value: ValueRef<'_>, kind: char) -> rusqlite::Result<String> {
    let coerced = match kind {
        'I' => "CAST(?1 AS INTEGER)",
        'R' => "printf('%.3f', ?1)",
        _ => "CAST(?1 AS TEXT)",
    };
    let text = match (kind, value) {
        (_, ValueRef::Null) => "NULL".to_owned(),
        ('I' | 'T', ValueRef::Integer(number)) => number.to_string(),
        _ => {
            let sql = format!("SELECT CAST({coerced} AS TEXT)");
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_row([rusqlite::types::Value::try_from(value)?], |row| row.get(0))?
        }
    };
    let printable = |c: char| if (' '..='~').contains(&c) { c } else { '@' };
    Ok(match text.as_str() {
        "" => "(empty)".to_owned(),
        text => text.chars().map(printable).collect(),
    })
}

/// Whether the values are those of the script, or have its hash.
fn is_as_expected(found: &[String], expected: &[&str]) -> bool {
    let hashed = match expected {
        [line] => line.split_once(" values hashing to "),
        _ => None,
    };
    let Some((count, hash)) = hashed else {
        return found == expected;
    };
    let mut digest = Md5::new();
    for value in found {
        digest.update(value);
        digest.update("\n");
    }
    let digest = digest.finalize();
    let mut hex = String::new();
    for byte in digest {
        write!(hex, "{byte:02x}").unwrap();
    }
    count.parse() == Ok(found.len()) && hash == hex
}
