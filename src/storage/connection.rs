//! One connection, opened the only way this crate opens one (spec 05, "Settings").

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::failure::from_sqlite;
use super::schema::{AUTO_VACUUM, PAGE_BYTES, PAGE_SIZE};
use super::vfs::{Pages, SealingVfs, reserve_tail};
use crate::error::{ErrorKind, Result};
use crate::fs::MemoryDir;
use crate::sealing::PageSealer;

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

const LEAST_SQLITE: i32 = 3_051_003;
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 4 * 1024;

/// The VFS for one database. One process, and the index of the log in its memory.
///
/// # Errors
///
/// [`ErrorKind::SqliteUnsuitable`].
pub(super) fn register_vfs(
    sealer: PageSealer,
    role: Role,
    memory: Option<MemoryDir>,
) -> Result<SealingVfs> {
    let pages = Pages {
        sizes: &[PAGE_BYTES],
        may_be_none: role == Role::Creator,
        of_a_vault: true,
    };
    SealingVfs::register(c"unix-excl", sealer, pages, memory)
}

/// Opens the file, which must exist, and asserts every setting.
///
/// # Errors
///
/// [`ErrorKind::SqliteUnsuitable`] where a setting does not take, [`ErrorKind::ReadOnly`] where the
/// file cannot be opened for writing, and those of SQLite.
pub(super) fn open(path: &Path, vfs: &SealingVfs, role: Role) -> Result<Connection> {
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(ErrorKind::SqliteUnsuitable.into());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection =
        Connection::open_with_flags_and_vfs(path, flags, vfs.name()).map_err(from_sqlite)?;
    if connection.is_readonly(MAIN_DB).map_err(from_sqlite)? {
        // SQLite settles for reading what it may not write, be it for want of a descriptor, and
        // would then make an index file (-shm) that no later opening accepts. Nothing was read or
        // made so far.
        return Err(ErrorKind::ReadOnly.into());
    }
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(from_sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    harden(&connection)?;
    set_pragmas(&connection, role)?;
    let authorise = match role {
        Role::Creator => while_creating,
        Role::Writer | Role::Reader => while_open,
    };
    connection
        .authorizer(Some(authorise))
        .map_err(from_sqlite)?;
    Ok(connection)
}

fn harden(connection: &Connection) -> Result<()> {
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
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
        reserve_tail(connection)?;
        // Before all else: the next line but one writes, and would leave a journal file for a moment.
        journal_mode(connection, "memory")?;
        pragma(connection, "page_size", PAGE_SIZE)?;
        pragma(connection, "auto_vacuum", AUTO_VACUUM)?;
    }
    pragma(connection, "temp_store", 2)?;
    answering_pragma(connection, "mmap_size", 0)?;
    pragma(connection, "cell_size_check", 1)?;
    answering_pragma(connection, "secure_delete", 1)?;
    if cfg!(target_vendor = "apple") {
        pragma(connection, "fullfsync", 1)?;
        pragma(connection, "checkpoint_fullfsync", 1)?;
    }
    let cache = if role == Role::Reader {
        READER_CACHE_KIB
    } else {
        WRITER_CACHE_KIB
    };
    pragma(connection, "cache_size", -cache)?;
    pragma(connection, "cache_spill", 0)?;
    pragma(connection, "synchronous", 2)?;
    if role == Role::Creator {
        return Ok(());
    }
    if !is_wal(connection)? {
        // This crate leaves no database in another mode, and turning it back would take a journal.
        return Err(ErrorKind::TamperDetected.into());
    }
    if role == Role::Reader {
        pragma(connection, "query_only", 1)?;
    }
    Ok(())
}

/// Turns a freshly made database into WAL mode.
pub(super) fn switch_to_wal(connection: &Connection) -> Result<()> {
    journal_mode(connection, "wal")
}

fn is_wal(connection: &Connection) -> Result<bool> {
    let now: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(from_sqlite)?;
    Ok(now == "wal")
}

fn journal_mode(connection: &Connection, mode: &str) -> Result<()> {
    let mut now = String::new();
    // To the last row: what the change writes is committed after the first, and may fail.
    connection
        .pragma(None, "journal_mode", mode, |row| {
            now = row.get(0)?;
            Ok(())
        })
        .map_err(from_sqlite)?;
    if now == mode {
        Ok(())
    } else {
        Err(ErrorKind::SqliteUnsuitable.into())
    }
}

/// Sets a pragma and reads it back, the first time in this process: what this SQLite does with it
/// once it does again.
fn pragma(connection: &Connection, name: &'static str, value: i64) -> Result<()> {
    static READ_BACK: Mutex<BTreeSet<(&'static str, i64)>> = Mutex::new(BTreeSet::new());
    connection
        .pragma_update(None, name, value)
        .map_err(from_sqlite)?;
    let known = || READ_BACK.lock().unwrap_or_else(PoisonError::into_inner);
    if OF_THE_CONNECTION.contains(&name) && known().contains(&(name, value)) {
        return Ok(());
    }
    let now = connection.pragma_query_value(None, name, |row| row.get(0));
    settled(now, value)?;
    known().insert((name, value));
    Ok(())
}

/// Those that do not depend on the file.
const OF_THE_CONNECTION: &[&str] = &[
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "fullfsync",
    "query_only",
    "synchronous",
    "temp_store",
];

/// Sets a pragma that answers with what it now is. One that is not compiled in answers nothing,
/// which is right only where the wanted value is 0.
fn answering_pragma(connection: &Connection, name: &str, value: i64) -> Result<()> {
    let now = connection.pragma_update_and_check(None, name, value, |row| row.get(0));
    settled(now, value)
}

fn settled(now: rusqlite::Result<i64>, wanted: i64) -> Result<()> {
    let now = match now {
        Err(rusqlite::Error::QueryReturnedNoRows) => 0,
        other => other.map_err(from_sqlite)?,
    };
    if now == wanted {
        Ok(())
    } else {
        Err(ErrorKind::SqliteUnsuitable.into())
    }
}

/// While a database is made: no way out of the sealed world, and nothing that the schema lacks.
fn while_creating(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::CreateIndex { .. }
        | AuthAction::CreateTable { .. }
        | AuthAction::Pragma { .. }
        | AuthAction::Reindex { .. } => Authorization::Allow,
        _ => while_open(context),
    }
}

/// Once a database is open: rows are read and written, the log is emptied, and nothing else. No
/// other file, no change of the schema or of a setting, no samples of index values.
fn while_open(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Delete { .. }
        | AuthAction::Insert { .. }
        | AuthAction::Read { .. }
        | AuthAction::Select
        | AuthAction::Transaction { .. }
        | AuthAction::Update { .. } => Authorization::Allow,
        AuthAction::Function { function_name }
            if !function_name.eq_ignore_ascii_case("load_extension") =>
        {
            Authorization::Allow
        }
        // Without a value a pragma reads a setting, or is one of the few that act.
        AuthAction::Pragma {
            pragma_name,
            pragma_value: None,
        } if !pragma_name.eq_ignore_ascii_case("optimize") => Authorization::Allow,
        AuthAction::Pragma {
            pragma_name: "wal_checkpoint",
            ..
        } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::Store;
    use super::super::vfs::tests::sealer;
    use super::*;
    use crate::sealing::Sealed;

    /// A database as this crate makes it, in a directory of its own.
    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = std::fs::canonicalize(directory.path())
            .unwrap()
            .join("standard.db");
        std::fs::File::create(&path).unwrap();
        let body = Sealed::from_stored(vec![7; 64]);
        Store::create(path.as_path(), sealer(), [&body; 3], |_| Ok(())).unwrap();
        (directory, path)
    }

    fn number(connection: &Connection, pragma: &str) -> i64 {
        // What is not compiled in is not there, which is as good as off.
        connection
            .pragma_query_value(None, pragma, |row| row.get(0))
            .unwrap_or(0)
    }

    #[test]
    fn every_setting_is_the_one_in_the_spec() {
        let (_directory, path) = database();
        let vfs = register_vfs(sealer(), Role::Writer, None).unwrap();
        let open = |path: &Path, role| open(path, &vfs, role);
        let apple = i64::from(cfg!(target_vendor = "apple"));
        for (role, cache, query_only) in
            [(Role::Writer, -16 * 1024, 0), (Role::Reader, -4 * 1024, 1)]
        {
            let connection = open(&path, role).unwrap();
            for (pragma, value) in [
                ("application_id", 0x5654_4C4B),
                ("auto_vacuum", 2),
                ("automatic_index", 1),
                ("busy_timeout", 5000),
                ("cache_size", cache),
                ("cache_spill", 0),
                ("cell_size_check", 1),
                ("checkpoint_fullfsync", apple),
                ("data_store_directory", 0),
                ("defer_foreign_keys", 0),
                ("foreign_keys", 0),
                ("fullfsync", apple),
                ("ignore_check_constraints", 0),
                ("journal_size_limit", -1),
                ("legacy_alter_table", 0),
                ("mmap_size", 0),
                ("page_size", 4096),
                ("query_only", query_only),
                ("read_uncommitted", 0),
                ("recursive_triggers", 0),
                ("reverse_unordered_selects", 0),
                ("secure_delete", 1),
                ("synchronous", 2),
                ("temp_store", 2),
                ("threads", 0),
                ("trusted_schema", 0),
                ("user_version", 1),
                ("wal_autocheckpoint", 1000),
                ("writable_schema", 0),
            ] {
                assert_eq!(number(&connection, pragma), value, "{pragma}");
            }
            for (pragma, value) in [
                ("encoding", "UTF-8"),
                ("journal_mode", "wal"),
                ("locking_mode", "normal"),
            ] {
                let text = connection.pragma_query_value(None, pragma, |row| row.get(0));
                assert_eq!(text, Ok(value.to_owned()), "{pragma}");
            }
            for (config, value) in [
                (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
                (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
                (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
                (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
                (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
                (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
                (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
                (DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false),
                (DbConfig::SQLITE_DBCONFIG_LEGACY_FILE_FORMAT, false),
                // The last connection empties the log and removes it.
                (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false),
                (DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, false),
                (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
                (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
            ] {
                assert_eq!(connection.db_config(config), Ok(value), "{config:?}");
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
                assert_eq!(connection.limit(limit), Ok(value), "{limit:?}");
            }
        }
    }

    #[test]
    fn this_projects_own_build_leaves_out_what_it_does_not_use() {
        let (_directory, path) = database();
        let vfs = register_vfs(sealer(), Role::Writer, None).unwrap();
        let open = |path: &Path, role| open(path, &vfs, role);
        let connection = open(&path, Role::Reader).unwrap();
        let mut statement = connection.prepare("PRAGMA compile_options").unwrap();
        let options = statement.query_map([], |row| row.get(0)).unwrap();
        let options: Vec<String> = options.map(|option| option.unwrap()).collect();
        let has = |wanted: &str| options.iter().any(|option| option == wanted);
        // One that only LIBSQLITE3_FLAGS sets: without it this is the build of somebody else.
        if !has("TEMP_STORE=3") {
            writeln!(
                std::io::stderr(),
                "SKIPPED: this_projects_own_build_leaves_out_what_it_does_not_use: \
                 LIBSQLITE3_FLAGS of .cargo/config.toml did not take effect"
            )
            .unwrap();
            return;
        }
        for wanted in [
            "DQS=0",
            "OMIT_DEPRECATED",
            "OMIT_LOAD_EXTENSION",
            "OMIT_SHARED_CACHE",
            "SECURE_DELETE",
            "TEMP_STORE=3",
            "THREADSAFE=1",
        ] {
            assert!(has(wanted), "{wanted} is missing from {options:?}");
        }
        for unwanted in [
            "ENABLE_DBSTAT_VTAB",
            "ENABLE_FTS3",
            "ENABLE_FTS3_PARENTHESIS",
            "ENABLE_FTS5",
            "ENABLE_LOAD_EXTENSION",
            "ENABLE_RTREE",
            "ENABLE_STAT4",
            "SOUNDEX",
            "USE_URI",
        ] {
            assert!(!has(unwanted), "{unwanted}");
        }
    }

    #[test]
    fn no_statement_leads_out_of_the_database_or_changes_what_it_is() {
        let (directory, path) = database();
        let vfs = register_vfs(sealer(), Role::Writer, None).unwrap();
        let open = |path: &Path, role| open(path, &vfs, role);
        for role in [Role::Writer, Role::Reader] {
            let connection = open(&path, role).unwrap();
            let schema = |connection: &Connection| -> Vec<Option<String>> {
                let mut statement = connection
                    .prepare("SELECT sql FROM sqlite_schema ORDER BY rowid")
                    .unwrap();
                let rows = statement.query_map([], |row| row.get(0)).unwrap();
                rows.map(|row| row.unwrap()).collect()
            };
            let before = schema(&connection);
            let outside = directory.path().join("outside.db");
            let outside = outside.to_str().unwrap();
            for sql in [
                &format!("ATTACH '{outside}' AS other"),
                "ATTACH ':memory:' AS other",
                "DETACH main",
                "VACUUM",
                &format!("VACUUM INTO '{outside}'"),
                "ANALYZE",
                "REINDEX",
                "PRAGMA optimize",
                "CREATE TABLE other (a)",
                "CREATE TEMP TABLE other (a)",
                "CREATE TABLE other AS SELECT body FROM records",
                "CREATE INDEX other ON records (body)",
                "CREATE VIEW other AS SELECT body FROM records",
                "CREATE TEMP VIEW other AS SELECT body FROM records",
                "CREATE TRIGGER other AFTER INSERT ON records BEGIN SELECT 1; END",
                "CREATE TEMP TRIGGER other AFTER INSERT ON records BEGIN SELECT 1; END",
                "CREATE VIRTUAL TABLE other USING fts5(a)",
                "ALTER TABLE records RENAME TO other",
                "ALTER TABLE records ADD COLUMN other",
                "DROP TABLE intents",
                "DROP INDEX records_by_kind",
                "SELECT load_extension('other')",
                "SELECT LOAD_EXTENSION('other', 'entry')",
                "SAVEPOINT other",
                "PRAGMA journal_mode = delete",
                "PRAGMA journal_mode = off",
                "PRAGMA locking_mode = exclusive",
                "PRAGMA synchronous = off",
                "PRAGMA secure_delete = off",
                "PRAGMA temp_store = file",
                "PRAGMA temp_store_directory = '/'",
                "PRAGMA cache_spill = on",
                "PRAGMA mmap_size = 1000000",
                "PRAGMA trusted_schema = on",
                "PRAGMA writable_schema = on",
                "PRAGMA writable_schema = reset",
                "PRAGMA query_only = off",
                "PRAGMA application_id = 1",
                "PRAGMA user_version = 2",
                "PRAGMA page_size = 8192",
                "PRAGMA auto_vacuum = none",
                "PRAGMA main.wal_autocheckpoint = 0",
            ] {
                let done = connection.execute_batch(sql);
                assert!(done.is_err(), "{sql}");
            }
            // In a spelling of its own, and where the schema is written as if it were a table.
            for sql in [
                "PRAGMA JOURNAL_MODE(delete)",
                "INSERT INTO sqlite_schema VALUES ('table', 'other', 'other', 0, '')",
                "UPDATE sqlite_schema SET sql = ''",
                "DELETE FROM sqlite_schema",
            ] {
                assert!(connection.execute_batch(sql).is_err(), "{sql}");
            }
            assert_eq!(schema(&connection), before);
            let journal = connection.pragma_query_value(None, "journal_mode", |row| row.get(0));
            assert_eq!(journal, Ok("wal".to_owned()));
        }
        let names = directory.path().read_dir().unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["standard.db"], "no other file was made");
    }

    #[test]
    fn what_is_used_is_allowed() {
        let (_directory, path) = database();
        let vfs = register_vfs(sealer(), Role::Writer, None).unwrap();
        let open = |path: &Path, role| open(path, &vfs, role);
        let connection = open(&path, Role::Writer).unwrap();
        for sql in [
            "BEGIN IMMEDIATE; DELETE FROM intents; COMMIT",
            "PRAGMA incremental_vacuum",
        ] {
            connection.execute_batch(sql).unwrap();
        }
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        assert_eq!(busy, Ok(0));
        let count = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0));
        assert_eq!(count, Ok(0));
        let settings: Vec<u8> = connection
            .query_row("SELECT body FROM settings", [], |row| row.get(0))
            .unwrap();
        assert_eq!(settings, [7; 64]);
        assert!(
            open(&path, Role::Reader)
                .unwrap()
                .execute_batch("DELETE FROM intents")
                .is_err()
        );
    }

    #[test]
    fn a_database_in_another_journal_mode_is_not_turned_back() {
        let (_directory, path) = database();
        let vfs = register_vfs(sealer(), Role::Writer, None).unwrap();
        let open = |path: &Path, role| open(path, &vfs, role);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        Connection::open_with_flags_and_vfs(&path, flags, vfs.name())
            .unwrap()
            .pragma_update(None, "journal_mode", "memory")
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        for role in [Role::Writer, Role::Reader] {
            let refused = open(&path, role).err().map(|error| error.kind());
            assert_eq!(refused, Some(ErrorKind::TamperDetected));
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_link_and_an_absent_file_are_not_opened() {
        let (directory, path) = database();
        let vfs = register_vfs(sealer(), Role::Writer, None).unwrap();
        let open = |path: &Path, role| open(path, &vfs, role);
        let link = path.with_file_name("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let refused = |path: &Path| open(path, Role::Writer).err().map(|error| error.kind());
        assert_eq!(refused(&link), Some(ErrorKind::PathIsSymlink));
        let absent = directory.path().join("absent.db");
        assert!(refused(&absent).is_some() && !absent.exists());
        let odd = path.with_file_name("standard.db?mode=memory");
        assert!(refused(&odd).is_some() && !odd.exists());
    }
}
