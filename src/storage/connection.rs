//! One connection, opened the only way this crate opens one (spec 05, "Settings").

use std::ffi::CStr;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::failure::from_sqlite;
use super::heap;
use crate::error::{ErrorKind, Result};

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Sets up an empty file.
    Creator,
    /// The one connection that writes.
    Writer,
    /// One of several that only read.
    Reader,
}

const VFS: &CStr = c"unix-excl";
const LEAST_SQLITE: i32 = 3_051_003;
const PAGE_SIZE: i64 = 4096;
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 4 * 1024;

/// Opens the file, which must exist, and asserts every setting.
///
/// # Errors
///
/// [`ErrorKind::SqliteUnsuitable`] where a setting does not take, [`ErrorKind::ReadOnly`] where the
/// file cannot be opened for writing, and those of SQLite.
pub(super) fn open(path: &Path, role: Role) -> Result<Connection> {
    heap::sqlite_heap_is_wiped();
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(ErrorKind::SqliteUnsuitable.into());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection =
        Connection::open_with_flags_and_vfs(path, flags, VFS).map_err(from_sqlite)?;
    // Where a file cannot be opened for writing, be it for want of a descriptor, SQLite opens it
    // for reading. Such a connection leaves an index file behind that no later opening accepts.
    if connection.is_readonly(MAIN_DB).map_err(from_sqlite)? {
        return Err(ErrorKind::ReadOnly.into());
    }
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(from_sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    harden(&connection)?;
    set_pragmas(&connection, role)?;
    connection
        .authorizer(Some(authorise))
        .map_err(from_sqlite)?;
    Ok(connection)
}

fn harden(connection: &Connection) -> Result<()> {
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        let now = connection
            .set_db_config(config, value)
            .map_err(from_sqlite)?;
        if now != value {
            return Err(ErrorKind::SqliteUnsuitable.into());
        }
    }
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, 64 * 1024 * 1024),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 16 * 1024),
        (Limit::SQLITE_LIMIT_COLUMN, 64),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 32),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 4),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 64),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 8),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value).map_err(from_sqlite)?;
        if connection.limit(limit).map_err(from_sqlite)? != value {
            return Err(ErrorKind::SqliteUnsuitable.into());
        }
    }
    Ok(())
}

fn set_pragmas(connection: &Connection, role: Role) -> Result<()> {
    if role == Role::Creator {
        pragma(connection, "page_size", PAGE_SIZE, PAGE_SIZE)?;
        // INCREMENTAL
        pragma(connection, "auto_vacuum", 2, 2)?;
    }
    pragma(connection, "temp_store", 2, 2)?;
    pragma(connection, "mmap_size", 0, 0)?;
    pragma(connection, "cell_size_check", 1, 1)?;
    pragma(connection, "foreign_keys", 0, 0)?;
    pragma(connection, "secure_delete", 1, 1)?;
    let apple = i64::from(cfg!(target_vendor = "apple"));
    pragma(connection, "fullfsync", apple, apple)?;
    pragma(connection, "checkpoint_fullfsync", apple, apple)?;
    let cache = if role == Role::Reader {
        READER_CACHE_KIB
    } else {
        WRITER_CACHE_KIB
    };
    pragma(connection, "cache_size", -cache, -cache)?;
    pragma(connection, "cache_spill", 0, 0)?;
    pragma(connection, "synchronous", 2, 2)?;
    if role == Role::Creator {
        // The first transaction, which makes the tables, leaves no journal file behind.
        return journal_mode(connection, "memory");
    }
    journal_mode(connection, "wal")?;
    pragma(
        connection,
        "query_only",
        i64::from(role == Role::Reader),
        i64::from(role == Role::Reader),
    )
}

/// Turns a freshly made database into WAL mode.
pub(super) fn switch_to_wal(connection: &Connection) -> Result<()> {
    journal_mode(connection, "wal")
}

fn journal_mode(connection: &Connection, mode: &str) -> Result<()> {
    let now: String = connection
        .pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0))
        .map_err(from_sqlite)?;
    if now == mode {
        Ok(())
    } else {
        Err(ErrorKind::SqliteUnsuitable.into())
    }
}

/// Sets a pragma and reads it back. One that is not compiled in reads as nothing, which is right
/// only where the wanted value is 0.
fn pragma(connection: &Connection, name: &str, value: i64, expected: i64) -> Result<()> {
    let ignore_row = |_: &rusqlite::Row<'_>| Ok(());
    connection
        .pragma(None, name, value, ignore_row)
        .map_err(from_sqlite)?;
    let now = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let now = match now {
        Err(rusqlite::Error::QueryReturnedNoRows) => 0,
        other => other.map_err(from_sqlite)?,
    };
    if now == expected {
        Ok(())
    } else {
        Err(ErrorKind::SqliteUnsuitable.into())
    }
}

/// No way out of the sealed world, and no samples of index values.
fn authorise(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Analyze { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::CreateVtable { .. } => Authorization::Deny,
        AuthAction::Function { function_name }
            if function_name.eq_ignore_ascii_case("load_extension") =>
        {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}
