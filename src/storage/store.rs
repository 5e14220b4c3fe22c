//! One open database: a writer, a few readers, and the gate between them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::{CachedStatement, Connection};

use super::connection::{self, Role};
use super::failure::from_sqlite;
use super::vfs::SealingVfs;
use super::{freed, schema, slack};
use crate::error::{ErrorKind, Result};
use crate::fs::DatabaseFile;
use crate::sealing::{PageSealer, Sealed};

/// The database of one class. Dropping it empties the log and closes every connection.
pub(crate) struct Store {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// A commit has failed, and all of its frames may be in the log.
    in_doubt: AtomicBool,
    idle_readers: Mutex<Vec<Connection>>,
    /// Readers hold it shared while they fetch; what must not meet a reader holds it alone.
    gate: RwLock<()>,
    /// Last, since every connection goes through it.
    vfs: SealingVfs,
}

/// The writer, inside a transaction.
pub(crate) struct Writing<'a>(pub(super) &'a Connection);

/// A reader. What it fetches in one call is one snapshot.
pub(crate) struct Reading<'a> {
    pub(super) connection: &'a Connection,
    pub(super) in_transaction: bool,
}

impl Writing<'_> {
    /// How many rows were changed so far, by any transaction.
    pub(crate) fn changes(&self) -> u64 {
        self.0.total_changes()
    }

    pub(crate) fn put_state(&self, state: &Sealed) -> Result<()> {
        cached(self.0, "UPDATE settings SET body = ?1 WHERE number = 2")?
            .execute([state.as_bytes()])
            .map(|_| ())
            .map_err(from_sqlite)
    }
}

impl Reading<'_> {
    /// Whether it reads what the transaction under way has written and may yet take back.
    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }
}

impl Reading<'_> {
    /// The sealed state in this snapshot.
    pub(crate) fn state(&self) -> Result<Sealed> {
        read_setting(
            self.connection,
            "SELECT body FROM settings WHERE number = 2",
        )
    }
}

const MOST_IDLE_READERS: usize = 4;

impl Store {
    /// Sets up an empty file as a database with these rows of settings, and with what `fill` adds.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub(crate) fn create(
        file: impl Into<DatabaseFile>,
        pages: PageSealer,
        settings: [&Sealed; 3],
        fill: impl FnOnce(&Writing<'_>) -> Result<()>,
    ) -> Result<()> {
        let DatabaseFile { path, memory } = file.into();
        let vfs = connection::register_vfs(pages, Role::Creator, memory)?;
        let connection = connection::open(&path, &vfs, Role::Creator)?;
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(from_sqlite)?;
        schema::create(&connection)?;
        connection
            .execute(
                "INSERT INTO settings (number, body) VALUES (1, ?1), (2, ?2), (3, ?3)",
                settings.map(Sealed::as_bytes),
            )
            .map_err(from_sqlite)?;
        fill(&Writing(&connection))?;
        connection.execute_batch("COMMIT").map_err(from_sqlite)?;
        connection::switch_to_wal(&connection)?;
        connection.close().map_err(|(_, error)| from_sqlite(error))
    }

    /// Opens a database and checks its schema.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TamperDetected`], [`ErrorKind::UnsupportedFormat`],
    /// [`ErrorKind::DatabaseDamaged`], [`ErrorKind::SqliteUnsuitable`] and those of the file
    /// system.
    pub(crate) fn open(file: impl Into<DatabaseFile>, pages: PageSealer) -> Result<Self> {
        let DatabaseFile { path, memory } = file.into();
        let vfs = connection::register_vfs(pages, Role::Writer, memory)?;
        let writer = connection::open(&path, &vfs, Role::Writer)?;
        schema::check(&writer)?;
        // What a crash left in the log, the traces of an erasure among it, goes to its place. On a
        // full disk it stays where it is, and is read from there.
        match empty_log(&writer) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            emptied => emptied?,
        }
        Ok(Self {
            path,
            writer: Mutex::new(writer),
            in_doubt: AtomicBool::new(false),
            idle_readers: Mutex::new(Vec::new()),
            gate: RwLock::new(()),
            vfs,
        })
    }

    /// The sealed settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TamperDetected`] where there are none.
    pub(crate) fn settings(&self) -> Result<Sealed> {
        self.setting("SELECT body FROM settings WHERE number = 1")
    }

    /// The sealed state, which every change replaces.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TamperDetected`] where there is none.
    pub(crate) fn state(&self) -> Result<Sealed> {
        self.setting("SELECT body FROM settings WHERE number = 2")
    }

    /// The key that the audit trail began with, sealed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TamperDetected`] where there is none.
    pub(crate) fn audit_root(&self) -> Result<Sealed> {
        self.setting("SELECT body FROM settings WHERE number = 3")
    }

    fn setting(&self, sql: &str) -> Result<Sealed> {
        read_setting(&self.lock_writer(), sql)
    }

    /// Runs `work` in one transaction: all of it, or nothing where it fails.
    ///
    /// # Errors
    ///
    /// Those of `work`, and of the commit. Where the commit fails, for another reason than want of
    /// room, the change is undone for this process, but its frames may be in the log, and the next
    /// opening would find them: see [`dispel`](Self::dispel).
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Writing<'_>) -> Result<T>) -> Result<T> {
        self.in_transaction(&self.lock_writer(), work)
    }

    fn in_transaction<T>(
        &self,
        writer: &Connection,
        work: impl FnOnce(&Writing<'_>) -> Result<T>,
    ) -> Result<T> {
        let run = |sql| cached(writer, sql)?.execute([]).map_err(from_sqlite);
        if !writer.is_autocommit() {
            // The last transaction failed so badly that it could not be rolled back then.
            run("ROLLBACK")?;
        }
        run("BEGIN IMMEDIATE")?;
        // Rolls back on every way out but the commit, a panic in `work` included.
        let mut undo = Undo {
            connection: writer,
            armed: true,
        };
        let value = work(&Writing(writer))?;
        run("COMMIT").inspect_err(|error| {
            // A log that found no room ends before the frame that commits, which is its last.
            if error.kind() != ErrorKind::StorageFull {
                self.in_doubt.store(true, Ordering::Release);
            }
        })?;
        undo.armed = false;
        Ok(value)
    }

    /// Whether a commit has failed since the log was last emptied.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Acquire)
    }

    /// Makes sure that a commit which was reported as failed stays undone: its frames are taken out
    /// of the log. No reader runs meanwhile, so `forget` can drop what the caller holds in memory.
    ///
    /// # Errors
    ///
    /// Those of SQLite; it is to be called again before anything else is written to the vault.
    pub(crate) fn dispel(&self, forget: impl FnOnce()) -> Result<()> {
        let writer = self.lock_writer();
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        forget();
        if self.is_in_doubt() {
            empty_log(&writer)?;
            self.in_doubt.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Takes away what an erasure left: freed pages go back to the system and the log is emptied
    /// . No reader runs meanwhile, so `forget` can drop what the caller holds in memory of
    /// what is gone.
    ///
    /// # Errors
    ///
    /// Those of SQLite; the erasure itself stays committed, and the next opening empties the log.
    pub(crate) fn scrub(&self, forget: impl FnOnce()) -> Result<()> {
        let writer = self.lock_writer();
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        forget();
        while self.give_back(&writer, freed::STEP)? > 0 {}
        empty_log(&writer)?;
        slack::wipe(&writer)?;
        self.in_doubt.store(false, Ordering::Release);
        Ok(())
    }

    /// How many bytes of the file lie in pages that nothing uses.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub(crate) fn unused(&self) -> Result<u64> {
        self.read(|reading| freed::unused(reading.connection))
    }

    /// Makes the file shorter by about as many unused bytes, a page at least and a mebibyte at most,
    /// and empties the log; by how many. No reader runs meanwhile.
    ///
    /// # Errors
    ///
    /// Those of SQLite, as for [`write`](Self::write): no row is changed, whatever is found later.
    pub(crate) fn shrink(&self, most: u64) -> Result<u64> {
        let writer = self.lock_writer();
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let pages = self.give_back(&writer, freed::pages_in(most).min(freed::STEP))?;
        if pages > 0 {
            // The file ends where it ended before until the log was emptied.
            empty_log(&writer)?;
            self.in_doubt.store(false, Ordering::Release);
        }
        Ok(pages * freed::page_bytes())
    }

    /// Gives back up to so many pages in a transaction of its own.
    fn give_back(&self, writer: &Connection, most: u64) -> Result<u64> {
        if freed::unused(writer)? == 0 {
            return Ok(0);
        }
        self.in_transaction(writer, |_| freed::give_back(writer, most))
    }

    /// Runs `work` in one snapshot, on a connection that is idle, else on the writer where nobody
    /// writes, else on a new one. Erasing waits until it is done, so hold no lock in it.
    ///
    /// # Errors
    ///
    /// Those of `work`, and of opening a reader.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Reading<'_>) -> Result<T>) -> Result<T> {
        let _shared = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let idle = self.lock_readers().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => match self.writer.try_lock() {
                Ok(writer) if writer.is_autocommit() => return in_snapshot(&writer, work),
                _ => connection::open(&self.path, &self.vfs, Role::Reader)?,
            },
        };
        let value = in_snapshot(&reader, work)?;
        let mut idle = self.lock_readers();
        if idle.len() < MOST_IDLE_READERS {
            idle.push(reader);
        }
        Ok(value)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle_readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.lock_readers().clear();
        // A log that cannot be emptied, on a full disk say, is read again at the next opening.
        let _ = empty_log(&self.lock_writer());
    }
}

pub(super) fn cached<'a>(connection: &'a Connection, sql: &str) -> Result<CachedStatement<'a>> {
    connection.prepare_cached(sql).map_err(from_sqlite)
}

fn read_setting(connection: &Connection, sql: &str) -> Result<Sealed> {
    let body = connection.query_row(sql, [], |row| row.get(0));
    let body = body.map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => ErrorKind::TamperDetected.into(),
        other => from_sqlite(other),
    })?;
    Ok(Sealed::from_stored(body))
}

/// Several statements see one state of the database only inside a transaction.
fn in_snapshot<T>(reader: &Connection, work: impl FnOnce(&Reading<'_>) -> Result<T>) -> Result<T> {
    let run = |sql| cached(reader, sql)?.execute([]).map_err(from_sqlite);
    run("BEGIN")?;
    let mut undo = Undo {
        connection: reader,
        armed: true,
    };
    let value = work(&Reading {
        connection: reader,
        in_transaction: false,
    })?;
    run("COMMIT")?;
    undo.armed = false;
    Ok(value)
}

struct Undo<'a> {
    connection: &'a Connection,
    armed: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.armed {
            // SQLite has rolled back by itself after some failures; then there is nothing to do.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

pub(super) fn empty_log(writer: &Connection) -> Result<()> {
    let busy: i64 = writer
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(from_sqlite)?;
    if busy == 0 {
        Ok(())
    } else {
        Err(ErrorKind::VaultBusy.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::IndexEntry;
    use super::super::vfs::tests::sealer;
    use super::*;
    use crate::id::RecordId;

    const INDEX: IndexEntry = IndexEntry {
        kind: 1,
        subject: 1,
        content: 1,
        start: 0,
        finish: 0,
        updated: 0,
        expires: None,
        client: None,
        client_version: None,
        pinned: 0,
    };

    #[test]
    fn a_second_connection_is_opened_to_read_beside_a_write_and_sees_what_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.db");
        std::fs::write(&path, "").unwrap();
        let body = Sealed::from_stored(vec![0; 8]);
        Store::create(path.as_path(), sealer(), [&body; 3], |_| Ok(())).unwrap();
        let store = Store::open(path.as_path(), sealer()).unwrap();
        let id = RecordId::make().unwrap();
        let is_there = || {
            store
                .read(|reading| Ok(reading.row(id)?.is_some()))
                .unwrap()
        };

        assert!(!is_there());
        assert_eq!(store.lock_readers().len(), 0);
        let written = store.write(|writing| {
            writing.insert(id, 1, &INDEX, &body)?;
            assert!(!is_there());
            Ok(())
        });
        written.unwrap();
        assert_eq!(store.lock_readers().len(), 1);
        assert!(is_there());

        let other = RecordId::make().unwrap();
        let failed = store.write(|writing| {
            writing.insert(other, 1, &INDEX, &body)?;
            Err::<(), _>(ErrorKind::Conflict.into())
        });
        assert!(failed.is_err());
        store.lock_readers().clear();
        assert!(store.read(|reading| reading.row(other)).unwrap().is_none());
    }
}
