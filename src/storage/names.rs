//! Terms and subjects: one sealed row for each name, found by token.

use rusqlite::{OptionalExtension, Row as SqlRow, params};

use super::failure::from_sqlite;
use super::store::{Reading, Writing, cached};
use crate::error::Result;
use crate::id::KeyId;
use crate::sealing::Sealed;

/// A kind or a content type.
pub(crate) struct StoredTerm {
    pub(crate) term: i64,
    pub(crate) token: [u8; 16],
    pub(crate) body: Sealed,
}

/// A person, with the key under which the person's records of this class are sealed.
pub(crate) struct StoredSubject {
    pub(crate) subject: i64,
    pub(crate) key_id: KeyId,
    pub(crate) token: [u8; 16],
    pub(crate) key: Sealed,
    pub(crate) name: Sealed,
}

fn read_subject(row: &SqlRow<'_>) -> rusqlite::Result<StoredSubject> {
    Ok(StoredSubject {
        subject: row.get(0)?,
        key_id: KeyId::from_bytes(row.get(1)?),
        token: row.get(2)?,
        key: Sealed::from_stored(row.get(3)?),
        name: Sealed::from_stored(row.get(4)?),
    })
}

fn read_term(row: &SqlRow<'_>) -> rusqlite::Result<StoredTerm> {
    Ok(StoredTerm {
        term: row.get(0)?,
        token: row.get(1)?,
        body: Sealed::from_stored(row.get(2)?),
    })
}

impl Reading<'_> {
    pub(crate) fn term(&self, term: i64) -> Result<Option<StoredTerm>> {
        cached(
            self.connection,
            "SELECT term, token, body FROM terms WHERE term = ?1",
        )?
        .query_row([term], read_term)
        .optional()
        .map_err(from_sqlite)
    }

    pub(crate) fn term_of_token(&self, token: [u8; 16]) -> Result<Option<StoredTerm>> {
        cached(
            self.connection,
            "SELECT term, token, body FROM terms WHERE token = ?1",
        )?
        .query_row([token], read_term)
        .optional()
        .map_err(from_sqlite)
    }

    pub(crate) fn subject(&self, subject: i64) -> Result<Option<StoredSubject>> {
        cached(
            self.connection,
            "SELECT subject, key_id, token, key, name FROM subjects WHERE subject = ?1",
        )?
        .query_row([subject], read_subject)
        .optional()
        .map_err(from_sqlite)
    }

    pub(crate) fn subject_of_token(&self, token: [u8; 16]) -> Result<Option<StoredSubject>> {
        cached(
            self.connection,
            "SELECT subject, key_id, token, key, name FROM subjects WHERE token = ?1",
        )?
        .query_row([token], read_subject)
        .optional()
        .map_err(from_sqlite)
    }
}

impl Writing<'_> {
    /// The number that the next term will have. Numbers are taken inside the writing transaction,
    /// because they are part of what the row is sealed for.
    pub(crate) fn next_term(&self) -> Result<i64> {
        cached(self.0, "SELECT coalesce(max(term), 0) + 1 FROM terms")?
            .query_row([], |row| row.get(0))
            .map_err(from_sqlite)
    }

    pub(crate) fn insert_term(&self, term: &StoredTerm) -> Result<()> {
        cached(
            self.0,
            "INSERT INTO terms (term, token, body) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![term.term, term.token, term.body.as_bytes()])
        .map(|_| ())
        .map_err(from_sqlite)
    }

    /// The number that the next subject will have: one that never was used before.
    pub(crate) fn next_subject(&self) -> Result<i64> {
        cached(
            self.0,
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'subjects'), 0) + 1",
        )?
        .query_row([], |row| row.get(0))
        .map_err(from_sqlite)
    }

    pub(crate) fn insert_subject(&self, subject: &StoredSubject) -> Result<()> {
        cached(
            self.0,
            "INSERT INTO subjects (subject, key_id, token, key, name) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            subject.subject,
            subject.key_id.to_bytes(),
            subject.token,
            subject.key.as_bytes(),
            subject.name.as_bytes()
        ])
        .map(|_| ())
        .map_err(from_sqlite)
    }
}
