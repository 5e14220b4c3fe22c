//! Whatever stands in one row of a database is refused in every other: bodies, whole rows, single
//! columns, keys, names, settings. The rows are changed past the crate, in a closed vault's files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use vitalock::{Class, ErrorKind, Lease, Record, RecordId, Session, Timestamp, Vault};

use crate::support::Scratch;
use crate::support::fixture::{copy, make_quick_vault, step_up, unlock, unsealed};
use crate::support::unsealed::Unsealed;

/// Two closed vaults with fifty records between them: three classes, kinds and people, one to three
/// revisions, with and without a client's identity and an expiry.
struct Fixture {
    scratch: Scratch,
    rows: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    vault: usize,
    class: Class,
    id: RecordId,
}

const ROWS: usize = 50;
const VAULTS: [&str; 2] = ["first", "second"];

/// Every column of a record's row but its place and identity.
const COLUMNS: [&str; 12] = [
    "revision",
    "kind",
    "subject",
    "content",
    "start",
    "finish",
    "updated",
    "expires",
    "client",
    "client_version",
    "pinned",
    "body",
];

impl Fixture {
    fn make() -> Self {
        let scratch = Scratch::new();
        let mut rows = Vec::new();
        for (vault, name) in VAULTS.iter().enumerate() {
            let made = make_quick_vault(&scratch.path().join(name), true);
            let session = unlock(&made);
            let lease = step_up(&session);
            for at in 0..ROWS / VAULTS.len() {
                let class = Class::ALL[at % 3];
                let id = lease.put(record(at, class)).unwrap().id;
                for revision in 2..=at / 9 + 1 {
                    let again = lease.get(id).unwrap().unwrap();
                    let body = format!("record {at} revision {revision}");
                    lease.put(again.with_body(body.as_str())).unwrap();
                }
                rows.push(Place { vault, class, id });
            }
        }
        Self { scratch, rows }
    }

    /// Copies of both vaults, to be changed.
    fn copy(&self) -> Changed<'_> {
        let scratch = Scratch::new();
        for name in VAULTS {
            copy(&self.scratch.path().join(name), &scratch.path().join(name));
        }
        Changed {
            scratch,
            fixture: self,
        }
    }
}

fn record(at: usize, class: Class) -> Record {
    let mut record = Record::new(["Observation", "Condition", "Note"][at % 5 % 3], "a body")
        .class(class)
        .content_type(["text/plain", "application/fhir+json"][at % 2]);
    if !at.is_multiple_of(4) {
        record = record.subject(&format!("Patient/{}", at % 4));
    }
    if !at.is_multiple_of(5) {
        let micros = i64::try_from(at).unwrap() * 1_000_000;
        record = record.effective(Timestamp::from_micros(micros));
    }
    if at.is_multiple_of(2) {
        record = record.client(&format!("client {at}"), 1);
    }
    if at.is_multiple_of(7) {
        record = record.expires(Timestamp::from_micros(i64::MAX - 1));
    }
    record
}

struct Changed<'a> {
    scratch: Scratch,
    fixture: &'a Fixture,
}

impl Changed<'_> {
    fn vault(&self, number: usize) -> PathBuf {
        self.scratch.path().join(VAULTS[number])
    }

    fn connection(&self, vault: usize, class: Class) -> Unsealed {
        unsealed(&self.vault(vault), class)
    }

    fn connections(&self) -> BTreeMap<(usize, Class), Unsealed> {
        let places = (0..VAULTS.len()).flat_map(|vault| Class::ALL.map(|class| (vault, class)));
        places
            .map(|(vault, class)| ((vault, class), self.connection(vault, class)))
            .collect()
    }

    /// Every database of both vaults.
    fn each(&self, change: impl Fn(&Connection)) {
        for vault in 0..VAULTS.len() {
            for class in Class::ALL {
                change(&self.connection(vault, class));
            }
        }
    }

    /// What these columns hold in every row.
    fn read(&self, columns: &[&str]) -> Vec<Vec<Value>> {
        let sql = format!("SELECT {} FROM records WHERE id = ?1", columns.join(", "));
        let connections = self.connections();
        let row = |place: &Place| {
            connections[&(place.vault, place.class)]
                .query_row(&sql, [place.id.to_bytes()], |row| {
                    (0..columns.len()).map(|at| row.get(at)).collect()
                })
                .unwrap()
        };
        self.fixture.rows.iter().map(row).collect()
    }

    /// Writes values for these columns into every row.
    fn write(&self, columns: &[&str], values: &[Vec<Value>]) {
        // Out of the way first, since two columns are unique.
        if columns.contains(&"updated") {
            self.each(|connection| {
                let clear = "UPDATE records SET updated = -place, client = NULL";
                connection.execute(clear, []).unwrap();
            });
        }
        let sets: Vec<String> = columns
            .iter()
            .map(|column| format!("{column} = ?"))
            .collect();
        let sql = format!("UPDATE records SET {} WHERE id = ?", sets.join(", "));
        let connections = self.connections();
        for (place, values) in self.fixture.rows.iter().zip(values) {
            let mut values = values.clone();
            values.push(Value::Blob(place.id.to_bytes().to_vec()));
            let connection = &connections[&(place.vault, place.class)];
            let written = connection.execute(&sql, params_from_iter(values)).unwrap();
            assert_eq!(written, 1);
        }
    }

    /// What reading each row comes to, in the order of the rows.
    fn outcomes(&self) -> Vec<Option<ErrorKind>> {
        let mut outcomes = Vec::new();
        for vault in 0..VAULTS.len() {
            self.with_lease(vault, |lease| {
                for place in self
                    .fixture
                    .rows
                    .iter()
                    .filter(|place| place.vault == vault)
                {
                    let outcome = lease.get(place.id);
                    let history = lease.history(place.id);
                    if let Ok(record) = &outcome {
                        assert!(record.is_some(), "a row is there or refused");
                        assert!(history.is_ok());
                    }
                    outcomes.push(outcome.err().map(|error| error.kind()));
                }
            });
        }
        outcomes
    }

    fn with_lease(&self, vault: usize, look: impl FnOnce(&Lease)) {
        let vault = Vault::open(self.vault(vault)).unwrap();
        let session = unlock(&vault);
        look(&step_up(&session));
    }

    #[track_caller]
    fn all_are_refused(&self, why: &str) {
        for (at, outcome) in self.outcomes().into_iter().enumerate() {
            assert_eq!(outcome, Some(ErrorKind::TamperDetected), "{why}, row {at}");
        }
    }

    #[track_caller]
    fn none_is_refused(&self) {
        assert!(self.outcomes().iter().all(Option::is_none));
    }
}

/// Moves every row's columns `by` rows on, for every distance: each ordered pair comes up once.
fn swap_all(columns: &[&str]) {
    let fixture = Fixture::make();
    assert_eq!(fixture.rows.len(), ROWS);
    let values = fixture.copy().read(columns);
    let mut pairs = BTreeSet::new();
    for by in 0..ROWS {
        let changed = fixture.copy();
        let mut moved = values.clone();
        moved.rotate_left(by);
        changed.write(columns, &moved);
        if by == 0 {
            // Written back as it was, by the same hand.
            changed.none_is_refused();
            continue;
        }
        changed.all_are_refused(&format!("{by} rows on"));
        pairs.extend((0..ROWS).map(|to| ((to + by) % ROWS, to)));
    }
    assert_eq!(
        pairs.len(),
        ROWS * (ROWS - 1),
        "every ordered pair was tried"
    );
}

#[test]
fn a_body_opens_in_its_own_row_and_in_none_of_the_others() {
    swap_all(&["body"]);
}

#[test]
fn a_row_that_took_every_column_of_another_is_refused() {
    swap_all(&COLUMNS);
}

#[test]
fn a_change_of_any_one_column_is_refused() {
    let fixture = Fixture::make();
    for (column, change) in [
        ("revision", "revision + 1"),
        ("revision", "revision - 1"),
        ("revision", "-revision"),
        ("kind", "1 + kind % (SELECT max(term) FROM terms)"),
        (
            "subject",
            "1 + subject % (SELECT max(subject) FROM subjects)",
        ),
        ("content", "1 + content % (SELECT max(term) FROM terms)"),
        ("kind", "999"),
        ("subject", "999"),
        ("subject", "-1"),
        ("content", "999"),
        ("content", "kind"),
        ("kind", "content"),
        (
            "start",
            "coalesce(nullif(start, -9223372036854775808) + 1, 0)",
        ),
        (
            "start",
            "CASE start WHEN finish - 1 THEN 0 ELSE finish - 1 END",
        ),
        (
            "finish",
            "coalesce(nullif(finish, 9223372036854775807), 0) + 1",
        ),
        ("updated", "-updated"),
        ("updated", "updated + 1000000"),
        (
            "expires",
            "CASE WHEN expires IS NULL THEN 9223372036854775807 END",
        ),
        ("expires", "coalesce(expires + 1, 9223372036854775806)"),
        ("client", "CASE WHEN client IS NULL THEN randomblob(16) END"),
        ("client", "randomblob(16)"),
        ("client_version", "coalesce(client_version + 1, 1)"),
        (
            "client_version",
            "CASE WHEN client_version IS NULL THEN 0 END",
        ),
        ("pinned", "1 - pinned"),
        ("pinned", "2"),
        ("body", "zeroblob(length(body))"),
        ("body", "substr(body, 1, length(body) - 1)"),
        ("body", "zeroblob(0)"),
        ("body", "cast(body || x'00' AS BLOB)"),
    ] {
        let changed = fixture.copy();
        changed.each(|connection| {
            let sql = format!("UPDATE records SET {column} = {change}");
            connection.execute(&sql, []).unwrap();
        });
        changed.all_are_refused(&format!("{column} = {change}"));
    }
}

#[test]
fn clients_tokens_that_changed_places_are_refused() {
    let fixture = Fixture::make();
    let changed = fixture.copy();
    let tokens = changed.read(&["client"]);
    // Among the rows that have one, so that only the values differ.
    let mut having: Vec<usize> = (0..ROWS)
        .filter(|at| tokens[*at][0] != Value::Null)
        .collect();
    let from = having.clone();
    having.rotate_left(3);
    let mut moved = tokens.clone();
    for (to, from) in having.iter().zip(&from) {
        moved[*to] = tokens[*from].clone();
    }
    changed.each(|connection| {
        connection
            .execute("UPDATE records SET client = NULL", [])
            .unwrap();
    });
    changed.write(&["client"], &moved);
    let outcomes = changed.outcomes();
    for (at, outcome) in outcomes.into_iter().enumerate() {
        let expected = having.contains(&at).then_some(ErrorKind::TamperDetected);
        assert_eq!(outcome, expected, "row {at}");
    }
}

/// Moves columns of a table of names one row on, in every database.
fn rotate(changed: &Changed<'_>, table: &str, key: &str, columns: &[&str]) {
    changed.each(|connection| {
        let list = columns.join(", ");
        let mut statement = connection
            .prepare(&format!("SELECT {key}, {list} FROM {table} ORDER BY {key}"))
            .unwrap();
        let rows = statement.query_map([], |row| {
            let values = (1..=columns.len()).map(|at| row.get(at));
            Ok((row.get(0)?, values.collect::<Result<Vec<Value>, _>>()?))
        });
        let rows: Vec<(i64, Vec<Value>)> = rows.unwrap().map(Result::unwrap).collect();
        assert!(rows.len() > 2, "{table} has names to change");
        if columns.contains(&"token") {
            let clear = format!("UPDATE {table} SET token = randomblob(16)");
            connection.execute(&clear, []).unwrap();
        }
        let sets: Vec<String> = columns
            .iter()
            .map(|column| format!("{column} = ?"))
            .collect();
        let sql = format!("UPDATE {table} SET {} WHERE {key} = ?", sets.join(", "));
        for (at, (number, _)) in rows.iter().enumerate() {
            let mut values = rows[(at + 1) % rows.len()].1.clone();
            values.push(Value::Integer(*number));
            connection.execute(&sql, params_from_iter(values)).unwrap();
        }
    });
}

#[test]
fn keys_and_names_of_people_that_changed_places_are_refused() {
    let fixture = Fixture::make();
    for columns in [
        &["key"][..],
        &["name"],
        &["key_id"],
        &["token"],
        &["key", "name"],
        &["key_id", "key"],
        &["key_id", "key", "name"],
        &["key_id", "token", "key", "name"],
    ] {
        let changed = fixture.copy();
        rotate(&changed, "subjects", "subject", columns);
        changed.all_are_refused(&format!("subjects' {columns:?}"));
    }
}

#[test]
fn terms_that_changed_places_are_refused() {
    let fixture = Fixture::make();
    for columns in [&["body"][..], &["token"], &["token", "body"]] {
        let changed = fixture.copy();
        rotate(&changed, "terms", "term", columns);
        changed.all_are_refused(&format!("terms' {columns:?}"));
    }
}

#[test]
fn names_and_earlier_revisions_of_another_vault_or_class_are_refused() {
    let fixture = Fixture::make();
    for (table, columns) in [
        ("terms", "term, token, body"),
        ("subjects", "subject, key_id, token, key, name"),
    ] {
        // The same class of the other vault; the next class of the same vault.
        for (other, step) in [(1, 0), (0, 1), (0, 2)] {
            let (changed, source) = (fixture.copy(), fixture.copy());
            for vault in 0..VAULTS.len() {
                for at in 0..3 {
                    let class = Class::ALL[(at + step) % 3];
                    let from = source.connection((vault + other) % 2, class);
                    let connection = changed.connection(vault, Class::ALL[at]);
                    let path = from.path().unwrap();
                    connection.execute("ATTACH ?1 AS source", [path]).unwrap();
                    let sql = format!(
                        "DELETE FROM {table};
                         INSERT INTO {table} ({columns}) SELECT {columns} FROM source.{table}"
                    );
                    connection.execute_batch(&sql).unwrap();
                }
            }
            changed.all_are_refused(&format!("{table}, {other} {step}"));
        }
    }
}

#[test]
fn earlier_revisions_that_changed_places_are_refused() {
    let fixture = Fixture::make();
    let many: Vec<Place> = fixture
        .rows
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, _)| at % (ROWS / 2) >= 9)
        .map(|(_, place)| place)
        .collect();
    let histories = |changed: &Changed<'_>| {
        let mut outcomes = Vec::new();
        for vault in 0..VAULTS.len() {
            changed.with_lease(vault, |lease| {
                for place in many.iter().filter(|place| place.vault == vault) {
                    let outcome = lease.history(place.id);
                    outcomes.push(outcome.map(|all| all.len()).map_err(|error| error.kind()));
                }
            });
        }
        outcomes
    };
    assert!(
        histories(&fixture.copy())
            .iter()
            .all(|outcome| matches!(outcome, Ok(1..)))
    );
    for change in [
        "UPDATE revisions SET revision = revision + 100",
        "UPDATE revisions SET kind = 1 + kind % (SELECT max(term) FROM terms)",
        "UPDATE revisions SET subject = 1 + subject % (SELECT max(subject) FROM subjects)",
        // The present body in the place of an earlier one, and the other way round.
        "UPDATE revisions SET body = (SELECT body FROM records WHERE records.id = revisions.id)",
    ] {
        let changed = fixture.copy();
        changed.each(|connection| {
            connection.execute(change, []).unwrap();
        });
        for outcome in histories(&changed) {
            assert_eq!(outcome, Err(ErrorKind::TamperDetected), "{change}");
        }
    }
    let changed = fixture.copy();
    changed.each(|connection| {
        let sql = "UPDATE records SET body = coalesce((SELECT body FROM revisions
                   WHERE revisions.id = records.id), zeroblob(60))";
        connection.execute(sql, []).unwrap();
    });
    changed.all_are_refused("an earlier body in the present row");
}

#[test]
fn settings_of_another_class_or_vault_are_refused_at_unlocking() {
    let fixture = Fixture::make();
    for (other, step) in [(0, 1), (0, 2), (1, 0), (1, 1)] {
        let (changed, source) = (fixture.copy(), fixture.copy());
        for at in 0..3 {
            let from = source.connection(other, Class::ALL[(at + step) % 3]);
            let body: Vec<u8> = from
                .query_row("SELECT body FROM settings", [], |row| row.get(0))
                .unwrap();
            let sql = "UPDATE settings SET body = ?1";
            changed
                .connection(0, Class::ALL[at])
                .execute(sql, [body])
                .unwrap();
        }
        assert_eq!(
            refusal(&changed.vault(0), |_| Ok(())),
            Some(ErrorKind::TamperDetected)
        );
    }
}

#[test]
fn a_planted_intent_is_refused_before_it_does_anything() {
    let fixture = Fixture::make();
    let place = fixture.rows[0];
    for (holder, target) in [
        (Class::Emergency, Class::Standard),
        (Class::Emergency, Class::Priority),
        (Class::Standard, Class::Priority),
    ] {
        for body in [
            "randomblob(200)",
            "(SELECT body FROM records LIMIT 1)",
            "(SELECT body FROM settings)",
            "zeroblob(0)",
        ] {
            let changed = fixture.copy();
            let at = Class::ALL
                .iter()
                .position(|class| *class == target)
                .unwrap()
                + 1;
            let sql = format!("INSERT INTO intents VALUES (randomblob(16), {at}, {body})");
            changed.connection(0, holder).execute(&sql, []).unwrap();
            let step = |session: &Session| {
                assert!(session.get(place.id).is_ok());
                step_up_or(session)
            };
            let refused = refusal(&changed.vault(0), step);
            assert_eq!(
                refused,
                Some(ErrorKind::TamperDetected),
                "{holder:?} {target:?} {body}"
            );
        }
    }
}

/// How unlocking, and then a look, is refused.
fn refusal(dir: &Path, look: impl FnOnce(&Session) -> vitalock::Result<()>) -> Option<ErrorKind> {
    let vault = Vault::open(dir).unwrap();
    let share = vitalock::Credentials::share(&crate::support::fixture::Twin);
    let outcome = vault.unlock(&share).and_then(|session| look(&session));
    outcome.err().map(|error| error.kind())
}

fn step_up_or(session: &Session) -> vitalock::Result<()> {
    let share = vitalock::Credentials::share(&crate::support::fixture::Twin);
    session.step_up(&share).map(drop)
}
