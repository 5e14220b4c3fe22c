//! What SQLite asks for and does not get.

use rusqlite::{Connection, ErrorCode};

use super::tests::Unschooled;

const ROWS: &str = "CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)";

fn code(done: rusqlite::Result<()>) -> Option<ErrorCode> {
    done.err().and_then(|error| error.sqlite_error_code())
}

fn names(database: &Unschooled) -> Vec<String> {
    let entries = database.path().parent().unwrap().read_dir().unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn fill(connection: &Connection) {
    connection
        .execute_batch(
            "INSERT INTO rows (body) WITH RECURSIVE n (i) AS
               (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             SELECT randomblob(500) FROM n",
        )
        .unwrap();
}

#[test]
fn no_temporary_file_is_opened() {
    let database = Unschooled::make(ROWS);
    let connection = database.open();
    fill(&connection);
    let sort = "CREATE TEMP TABLE sorted AS SELECT * FROM rows ORDER BY body";
    connection
        .execute_batch("PRAGMA temp_store = FILE")
        .unwrap();
    // Where SQLite was compiled to keep such things in memory it does not even ask.
    let compiled_for_memory = connection
        .query_row(
            "SELECT sqlite_compileoption_used('TEMP_STORE=3')",
            [],
            |row| row.get::<_, bool>(0),
        )
        .unwrap();
    let asked = code(connection.execute_batch(sort));
    let expected = (!compiled_for_memory).then_some(ErrorCode::CannotOpen);
    assert_eq!(asked, expected);
    assert!(
        names(&database)
            .iter()
            .all(|name| name.starts_with("rows.db"))
    );
}

#[test]
fn no_rollback_journal_is_written_or_played_back() {
    let database = Unschooled::make(ROWS);
    let connection = database.open();
    fill(&connection);
    connection
        .execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA journal_mode = DELETE")
        .unwrap();
    let written = connection.execute_batch("DELETE FROM rows");
    assert_eq!(code(written), Some(ErrorCode::CannotOpen));
    drop(connection);
    assert_eq!(names(&database), ["rows.db"]);

    // A journal as a crash leaves it, made by a SQLite without the seal.
    let before = std::fs::read(database.path()).unwrap();
    let journal = database.path().with_file_name("rows.db-journal");
    let mut hot = vec![0; 512];
    hot[..8].copy_from_slice(&[0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7]);
    // One page, no nonce, a database of two pages, sectors of 512 bytes, pages of 4096.
    for (at, number) in [(8, 1_u32), (12, 0), (16, 2), (20, 512), (24, 4096)] {
        hot[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    hot.resize(512 + 4 + 4096 + 4, 7);
    std::fs::write(&journal, &hot).unwrap();
    let connection = database.open_unset_at(&database.path()).unwrap();
    let read = connection.execute_batch("SELECT count(*) FROM rows");
    assert_eq!(code(read), Some(ErrorCode::CannotOpen));
    drop(connection);
    assert!(std::fs::read(database.path()).unwrap() == before);
    std::fs::remove_file(&journal).unwrap();
    let count = database
        .open()
        .query_row("SELECT count(*) FROM rows", [], |row| row.get(0));
    assert_eq!(count, Ok(2000));
}

#[test]
fn no_page_of_another_size_and_none_without_room_for_its_seal_is_written() {
    let database = Unschooled::make(ROWS);
    for (prepared, reserved) in [("PRAGMA page_size = 8192", true), ("", false)] {
        let path = database.path().with_file_name("other.db");
        let connection = database.open_at(&path);
        if reserved {
            super::reserve_tail(&connection).unwrap();
        }
        connection
            .execute_batch("PRAGMA journal_mode = MEMORY")
            .unwrap();
        connection.execute_batch(prepared).unwrap();
        let made = code(connection.execute_batch(ROWS));
        assert_eq!(made, Some(ErrorCode::SystemIoFailure), "{prepared}");
        drop(connection);
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn a_database_that_was_never_sealed_is_not_opened() {
    let database = Unschooled::make(ROWS);
    let path = database.path().with_file_name("clear.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(ROWS)
        .unwrap();
    let read = database
        .open_unset_at(&path)
        .and_then(|connection| connection.execute_batch("SELECT count(*) FROM rows"));
    assert_eq!(code(read), Some(ErrorCode::SystemIoFailure));
}
