//! The store: one database, through one connection, with the settings that SQLCipher has in the other
//! comparison.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OpenFlags, Statement, params, params_from_iter};
use serde_json::{Value, json};

use super::fhir::store::Store;
use super::parameters::Parameters;
use super::rows::{Columns, Row, derive};
use super::schema::{PUT_RESOURCE, READ, SCHEMA, TABLES};
use super::{everything, library, statement};

pub(crate) struct Tables {
    file: PathBuf,
    parameters: Parameters,
    kinds: BTreeSet<String>,
    open: Option<Connection>,
}

impl Store for Tables {
    fn make(at: &Path) -> Self {
        let file = at.join("resources.db");
        let connection = Connection::open(&file).unwrap();
        library::unlock(&connection);
        connection.pragma_update(None, "page_size", 4096).unwrap();
        for table in SCHEMA {
            connection.execute_batch(table).unwrap();
        }
        drop(connection);
        let mut tables = Self {
            file,
            parameters: Parameters::read(),
            kinds: BTreeSet::new(),
            open: None,
        };
        tables.open();
        tables
    }

    fn version(&self) -> String {
        library::version(self.connection())
    }

    /// Beforehand: the rows, for which the JSON is parsed.
    fn put(&mut self, resources: &[String]) -> Duration {
        let clock = beforehand();
        let parsed: Vec<Value> = resources
            .iter()
            .map(|json| serde_json::from_str(json).unwrap())
            .collect();
        let rows: Vec<_> = parsed
            .iter()
            .map(|resource| derive(&self.parameters, resource))
            .collect();
        let beforehand = clock();
        let connection = self.connection();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut insert = Insert::into(connection);
        for ((json, resource), rows) in resources.iter().zip(&parsed).zip(&rows) {
            insert.resource(json, resource, rows);
        }
        drop(insert);
        connection.execute_batch("COMMIT").unwrap();
        for resource in &parsed {
            let kind = resource["resourceType"].as_str().unwrap();
            if !self.kinds.contains(kind) {
                self.kinds.insert(kind.to_owned());
            }
        }
        beforehand
    }

    fn read(&mut self, kind: &str, id: &str, found: &mut dyn FnMut(&[u8])) {
        let mut statement = self.connection().prepare_cached(READ).unwrap();
        let body: String = statement
            .query_row([id, kind], |row| row.get(0))
            .expect("it was put");
        found(body.as_bytes());
    }

    /// The number of a page is all there is.
    fn prepare(&mut self, _search: &str, _page: u64) {}

    fn search(&mut self, search: &str, page: u64, found: &mut dyn FnMut(&[u8])) {
        let asked = statement::Statement::of(&self.parameters, search, page);
        let mut statement = self.connection().prepare_cached(&asked.sql).unwrap();
        let mut rows = statement.query(params_from_iter(asked.values)).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let _uuid: [u8; 16] = row.get(0).unwrap();
            let body: String = row.get(1).unwrap();
            found(body.as_bytes());
        }
    }

    fn everything(&mut self, patient: &str, found: &mut dyn FnMut(&[u8])) {
        everything::everything(self.connection(), patient, found);
    }

    fn rows(&mut self) -> Value {
        let count = |table: &&str| {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            let count = self.connection().query_row(&sql, [], |row| row.get(0));
            (table.to_string(), json!(count.unwrap_or(0_i64)))
        };
        let tables: serde_json::Map<_, _> = TABLES.iter().map(count).collect();
        json!({"tables": tables, "left_out": self.parameters.left_out(&self.kinds)})
    }

    fn close(&mut self) {
        self.open = None;
    }

    fn open(&mut self) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags).unwrap();
        library::unlock(&connection);
        let settings = [
            ("cache_size", -16 * 1024),
            ("foreign_keys", 1),
            ("synchronous", 2),
        ];
        for (name, value) in settings {
            connection.pragma_update(None, name, value).unwrap();
        }
        let mode = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        assert_eq!(mode.unwrap(), "wal");
        connection.set_prepared_statement_cache_capacity(64);
        self.open = Some(connection);
    }
}

impl Tables {
    fn connection(&self) -> &Connection {
        self.open.as_ref().expect("the database is open")
    }
}

/// Tells the time since.
#[expect(
    clippy::disallowed_types,
    reason = "a measurement lasts seconds, awake"
)]
fn beforehand() -> impl Fn() -> Duration {
    let clock = std::time::Instant::now();
    move || clock.elapsed()
}

/// The statements of one transaction.
struct Insert<'c> {
    resource: CachedStatement<'c>,
    date: CachedStatement<'c>,
    date_time: CachedStatement<'c>,
    number: CachedStatement<'c>,
    quantity: CachedStatement<'c>,
    reference: CachedStatement<'c>,
    string: CachedStatement<'c>,
    token: CachedStatement<'c>,
    uri: CachedStatement<'c>,
}

impl<'c> Insert<'c> {
    fn into(connection: &'c Connection) -> Self {
        let values = |table: &str, columns: &[&str]| {
            let sql = format!(
                "INSERT OR REPLACE INTO {table} \
                 (resourceUuid, resourceType, index_name, index_path, {}) VALUES (?, ?, ?, ?{})",
                columns.join(", "),
                ", ?".repeat(columns.len())
            );
            connection.prepare_cached(&sql).unwrap()
        };
        Self {
            resource: connection.prepare_cached(PUT_RESOURCE).unwrap(),
            date: values("DateIndexEntity", &["index_from", "index_to"]),
            date_time: values("DateTimeIndexEntity", &["index_from", "index_to"]),
            number: values("NumberIndexEntity", &["index_value"]),
            quantity: values(
                "QuantityIndexEntity",
                &["index_system", "index_code", "index_value"],
            ),
            reference: values("ReferenceIndexEntity", &["index_value"]),
            string: values("StringIndexEntity", &["index_value"]),
            token: values("TokenIndexEntity", &["index_system", "index_value"]),
            uri: values("UriIndexEntity", &["index_value"]),
        }
    }

    fn resource(&mut self, json: &str, resource: &Value, rows: &[Row<'_>]) {
        let mut uuid = [0; 16];
        getrandom::fill(&mut uuid).unwrap();
        let text = |name: &str| resource[name].as_str().unwrap();
        let kind = text("resourceType");
        run(&mut self.resource, params![uuid, kind, text("id"), json]);
        for row in rows {
            let (name, path) = (row.name, row.path);
            match &row.columns {
                Columns::Date(from, to) => {
                    run(&mut self.date, params![uuid, kind, name, path, from, to]);
                }
                Columns::DateTime(from, to) => {
                    run(
                        &mut self.date_time,
                        params![uuid, kind, name, path, from, to],
                    );
                }
                Columns::Number(value) => {
                    run(&mut self.number, params![uuid, kind, name, path, value]);
                }
                Columns::Quantity {
                    system,
                    code,
                    value,
                } => run(
                    &mut self.quantity,
                    params![uuid, kind, name, path, system, code, value],
                ),
                Columns::Reference(value) => {
                    run(&mut self.reference, params![uuid, kind, name, path, value]);
                }
                Columns::String(value) => {
                    run(&mut self.string, params![uuid, kind, name, path, value]);
                }
                Columns::Token { system, value } => run(
                    &mut self.token,
                    params![uuid, kind, name, path, system, value],
                ),
                Columns::Uri(value) => {
                    run(&mut self.uri, params![uuid, kind, name, path, value]);
                }
            }
        }
    }
}

fn run(statement: &mut Statement<'_>, parameters: &[&dyn rusqlite::ToSql]) {
    statement.execute(parameters).unwrap();
}
