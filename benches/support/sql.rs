//! The tables and statements of plain SQLite: those of docs/spec/05, with names and bodies in clear.
//! A question takes three values, needed or not, and a selection a limit as well.

pub(crate) const SCHEMA: &str = "
CREATE TABLE terms (term INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE subjects (subject INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE records (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, revision INTEGER NOT NULL,
  kind INTEGER NOT NULL, subject INTEGER NOT NULL, content INTEGER NOT NULL,
  start INTEGER NOT NULL, finish INTEGER NOT NULL, updated INTEGER NOT NULL,
  expires INTEGER, client BLOB, client_version INTEGER, pinned INTEGER NOT NULL,
  body BLOB NOT NULL) STRICT;
CREATE INDEX records_by_subject_kind ON records (subject, kind, start);
CREATE INDEX records_by_subject ON records (subject, start);
CREATE INDEX records_by_kind ON records (kind, start);
CREATE INDEX records_by_content ON records (content, start);
CREATE INDEX records_by_start ON records (start);
CREATE UNIQUE INDEX records_by_updated ON records (updated);
CREATE UNIQUE INDEX records_by_client ON records (client) WHERE client IS NOT NULL;
CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT place, id, revision, kind, subject, content, start, finish, updated, expires, \
             client, client_version, pinned, body FROM records ",
            $rest
        )
    };
}

pub(crate) const INSERT: &str = "INSERT INTO records (id, revision, kind, subject, content, start, finish, \
    updated, expires, client, client_version, pinned, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)";
pub(crate) const BY_ID: &str = select!("WHERE id = ?1");
pub(crate) const LATEST: &str = select!(
    "INDEXED BY records_by_subject_kind WHERE subject = ?1 AND kind = ?2 AND ?3 = 0 \
     ORDER BY start DESC, place DESC LIMIT ?4"
);
pub(crate) const IN_WINDOW: &str = select!(
    "INDEXED BY records_by_kind WHERE kind = ?1 AND start >= ?2 AND start < ?3 \
     ORDER BY start DESC, place DESC LIMIT ?4"
);
pub(crate) const SINCE: &str = select!(
    "INDEXED BY records_by_updated WHERE updated >= ?1 AND ?2 = 0 AND ?3 = 0 \
     ORDER BY updated LIMIT ?4"
);
pub(crate) const TIMELINE: &str = select!(
    "INDEXED BY records_by_subject WHERE subject = ?1 AND start < ?2 AND ?3 = 0 \
     ORDER BY start DESC, place DESC LIMIT ?4"
);

macro_rules! count {
    ($rest:literal) => {
        concat!("SELECT count(*) FROM records ", $rest)
    };
}

pub(crate) const COUNT_LATEST: &str =
    count!("INDEXED BY records_by_subject_kind WHERE subject = ?1 AND kind = ?2 AND ?3 = 0");
pub(crate) const COUNT_WINDOW: &str =
    count!("INDEXED BY records_by_kind WHERE kind = ?1 AND start >= ?2 AND start < ?3");
pub(crate) const COUNT_SINCE: &str =
    count!("INDEXED BY records_by_updated WHERE updated >= ?1 AND ?2 = 0 AND ?3 = 0");
pub(crate) const COUNT_TIMELINE: &str =
    count!("INDEXED BY records_by_subject WHERE subject = ?1 AND start < ?2 AND ?3 = 0");
