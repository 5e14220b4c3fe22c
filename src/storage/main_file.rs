//! The file under an open connection, a page at a time.
//!
//! Reached through SQLite's own handle on it: no other descriptor on an open database may be opened
//! or closed in the process (spec 04).
#![expect(
    unsafe_code,
    reason = "SQLite's handle on a file is a table of C functions"
)]

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

use rusqlite::Connection;
use rusqlite::ffi::{
    SQLITE_FCNTL_FILE_POINTER, SQLITE_OK, SQLITE_SYNC_FULL, SQLITE_SYNC_NORMAL, sqlite3_file,
    sqlite3_file_control, sqlite3_int64, sqlite3_io_methods,
};

use super::failure::from_code;
use super::schema::PAGE_SIZE;
use crate::error::{ErrorKind, Result};

/// One page.
pub(super) type Page = [u8; PAGE_BYTES];

/// A database file that a connection holds open.
pub(super) struct MainFile<'a> {
    file: NonNull<sqlite3_file>,
    methods: &'a sqlite3_io_methods,
    connection: PhantomData<&'a Connection>,
}

const PAGE_BYTES: usize = 4096;
const _: () = assert!(PAGE_SIZE == 4096, "a page is what the schema says");

impl<'a> MainFile<'a> {
    /// The file of this connection, which nobody else may write meanwhile.
    pub(super) fn of(connection: &'a Connection) -> Result<Self> {
        let mut file: *mut sqlite3_file = std::ptr::null_mut();
        // SAFETY: the handle is that of an open connection, used by this thread alone while it is
        // borrowed; this operation writes one pointer through its argument.
        let code = unsafe {
            sqlite3_file_control(
                connection.handle(),
                c"main".as_ptr(),
                SQLITE_FCNTL_FILE_POINTER,
                (&raw mut file).cast::<c_void>(),
            )
        };
        checked(code)?;
        let file = NonNull::new(file).ok_or(ErrorKind::Io)?;
        // SAFETY: SQLite's file object lives as long as its connection; its first field is the
        // table of functions, null while the file is closed and static otherwise.
        let methods = unsafe { file.as_ref().pMethods.as_ref() };
        Ok(Self {
            file,
            methods: methods.ok_or(ErrorKind::Io)?,
            connection: PhantomData,
        })
    }

    /// Reads the page with this number; the first is 1.
    pub(super) fn read(&self, number: u32, page: &mut Page) -> Result<()> {
        let read = self.methods.xRead.ok_or(ErrorKind::Io)?;
        // SAFETY: the file is open, and the buffer is as long as is said.
        checked(unsafe {
            read(
                self.file.as_ptr(),
                page.as_mut_ptr().cast::<c_void>(),
                LENGTH,
                offset(number),
            )
        })
    }

    /// Writes the page with this number.
    pub(super) fn write(&self, number: u32, page: &Page) -> Result<()> {
        let write = self.methods.xWrite.ok_or(ErrorKind::Io)?;
        // SAFETY: as for reading; SQLite reads from the buffer and keeps no pointer to it.
        checked(unsafe {
            write(
                self.file.as_ptr(),
                page.as_ptr().cast::<c_void>(),
                LENGTH,
                offset(number),
            )
        })
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> Result<()> {
        let sync = self.methods.xSync.ok_or(ErrorKind::Io)?;
        let flags = if cfg!(target_vendor = "apple") {
            SQLITE_SYNC_FULL
        } else {
            SQLITE_SYNC_NORMAL
        };
        // SAFETY: the file is open.
        checked(unsafe { sync(self.file.as_ptr(), flags) })
    }
}

const LENGTH: c_int = 4096;

fn offset(number: u32) -> sqlite3_int64 {
    (i64::from(number) - 1) * PAGE_SIZE
}

fn checked(code: c_int) -> Result<()> {
    match code {
        SQLITE_OK => Ok(()),
        code => Err(from_code(code)),
    }
}
