//! SQLite's side of the VFS: the only file here that speaks C.
//!
//! SQLite hands out a file object that it has allocated: ours comes first, and behind it lies that
//! of the VFS below, on which everything is done in the end.
#![expect(
    unsafe_code,
    reason = "a VFS is two tables of C functions over objects that SQLite allocates"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rusqlite::Connection;
use rusqlite::ffi::{
    SQLITE_ACCESS_EXISTS, SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_FCNTL_FILE_POINTER,
    SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_RESERVE_BYTES, SQLITE_IOCAP_POWERSAFE_OVERWRITE,
    SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN, SQLITE_IOERR, SQLITE_IOERR_SHORT_READ, SQLITE_LOCK_NONE,
    SQLITE_LOCK_PENDING, SQLITE_LOCK_RESERVED, SQLITE_LOCK_SHARED, SQLITE_NOTFOUND, SQLITE_OK,
    SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, SQLITE_SHM_EXCLUSIVE,
    SQLITE_SHM_UNLOCK, SQLITE_SYNC_FULL, SQLITE_SYNC_NORMAL, sqlite3_database_file_object,
    sqlite3_file, sqlite3_file_control, sqlite3_filename_journal, sqlite3_filename_wal,
    sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
    sqlite3_vfs_unregister,
};

use super::current::CurrentLog;
use super::database::{Database, Pages};
use super::failure::Failure;
use super::log::Log;
use super::medium::Medium;
use super::memory::{Busy, Handle, Level, Memory, REGION};
use super::waiting::Waiting;
use crate::error::{ErrorKind, Result};
use crate::fs::MemoryDir;
use crate::sealing::PageSealer;
use crate::storage::failure::from_code;
use crate::storage::heap;

/// A VFS for one sealed database, registered with SQLite under a name of its own. It must outlive
/// every connection that was opened through it.
pub(in crate::storage) struct SealingVfs(NonNull<Instance>);

/// What SQLite's table of functions points to.
struct Instance {
    table: sqlite3_vfs,
    name: CString,
    below: NonNull<sqlite3_vfs>,
    sealer: Arc<PageSealer>,
    pages: Pages,
    current: CurrentLog,
    /// Where the files are if not in a file system.
    memory: Option<Arc<Memory>>,
}

impl SealingVfs {
    /// A VFS over the one that SQLite knows as `below`; with files in `memory`, that is asked for the
    /// time and for nothing of theirs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SqliteUnsuitable`] where there is no such VFS.
    pub(in crate::storage) fn register(
        below: &CStr,
        sealer: PageSealer,
        pages: Pages,
        memory: Option<MemoryDir>,
    ) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        heap::sqlite_heap_is_wiped();
        // SAFETY: the name is a C string; SQLite answers null or a table that stays registered for
        // as long as the process lives.
        let below = NonNull::new(unsafe { sqlite3_vfs_find(below.as_ptr()) });
        let below = below.ok_or(ErrorKind::SqliteUnsuitable)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name =
            CString::new(format!("vitalock-{number}")).expect("there is no zero byte in a number");
        // SAFETY: the table of a registered VFS is initialised and does not change.
        let table = unsafe { below.as_ref() };
        let own_length = c_int::try_from(BELOW_AT).expect("two pointers are short");
        let table = sqlite3_vfs {
            iVersion: 2,
            szOsFile: table.szOsFile.saturating_add(own_length),
            mxPathname: table.mxPathname,
            pNext: std::ptr::null_mut(),
            zName: name.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(vfs_open),
            xDelete: Some(vfs_delete),
            xAccess: Some(vfs_access),
            xFullPathname: Some(vfs_full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(vfs_randomness),
            xSleep: Some(vfs_sleep),
            xCurrentTime: Some(vfs_current_time),
            xGetLastError: Some(vfs_get_last_error),
            xCurrentTimeInt64: Some(vfs_current_time_64),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        };
        let instance = Box::new(Instance {
            table,
            name,
            below,
            sealer: Arc::new(sealer),
            pages,
            current: CurrentLog::unknown(),
            memory: memory.map(Memory::new),
        });
        let instance = NonNull::new(Box::into_raw(instance)).expect("a box is never null");
        // SAFETY: the instance was allocated above and nobody else has it yet; the table then
        // points to the instance that it is a part of.
        let table = unsafe {
            (*instance.as_ptr()).table.pAppData = instance.as_ptr().cast::<c_void>();
            &raw mut (*instance.as_ptr()).table
        };
        let registered = Self(instance);
        // SAFETY: the table is complete and stays where it is until `drop` unregisters it.
        match unsafe { sqlite3_vfs_register(table, 0) } {
            SQLITE_OK => Ok(registered),
            code => Err(from_code(code)),
        }
    }

    /// The name to open connections with.
    pub(in crate::storage) fn name(&self) -> &CStr {
        // SAFETY: the instance lives until `drop`, and its name is not changed.
        unsafe { &self.0.as_ref().name }
    }
}

impl Drop for SealingVfs {
    fn drop(&mut self) {
        // SAFETY: the instance came from a box in `register` and is freed once; no connection uses
        // it any more, and SQLite forgets the table before it is freed.
        unsafe {
            sqlite3_vfs_unregister(&raw mut (*self.0.as_ptr()).table);
            drop(Box::from_raw(self.0.as_ptr()));
        }
    }
}

// SAFETY: the instance is only read after `register`, its key may be used from any thread, and
// SQLite guards its list of tables with a mutex.
unsafe impl Send for SealingVfs {}
// SAFETY: as above.
unsafe impl Sync for SealingVfs {}

/// Asks SQLite to leave the end of every page to nonce and tag. Before the first write.
///
/// # Errors
///
/// Those of SQLite.
pub(in crate::storage) fn reserve_tail(connection: &Connection) -> Result<()> {
    let mut bytes = c_int::try_from(PageSealer::TAIL).expect("a tail is short");
    control(
        connection,
        SQLITE_FCNTL_RESERVE_BYTES,
        (&raw mut bytes).cast(),
    )
}

fn control(connection: &Connection, operation: c_int, argument: *mut c_void) -> Result<()> {
    // SAFETY: the handle is that of an open connection, used by this thread alone while it is
    // borrowed; the callers pass what the operation says it takes.
    let code =
        unsafe { sqlite3_file_control(connection.handle(), c"main".as_ptr(), operation, argument) };
    match code {
        SQLITE_OK => Ok(()),
        code => Err(from_code(code)),
    }
}

/// A file that a connection holds open, as SQLite sees it: through the seal. No other descriptor on
/// it may be opened or closed in the process (spec 04).
pub(in crate::storage) struct SealedFile<'a> {
    file: Below,
    connection: PhantomData<&'a Connection>,
}

impl<'a> SealedFile<'a> {
    /// The database of this connection, which nobody else may write meanwhile.
    pub(in crate::storage) fn database(connection: &'a Connection) -> Result<Self> {
        Self::of(connection, SQLITE_FCNTL_FILE_POINTER)
    }

    /// The log of this connection, which nobody else may write meanwhile.
    pub(in crate::storage) fn log(connection: &'a Connection) -> Result<Self> {
        Self::of(connection, SQLITE_FCNTL_JOURNAL_POINTER)
    }

    fn of(connection: &'a Connection, operation: c_int) -> Result<Self> {
        let mut file: *mut sqlite3_file = std::ptr::null_mut();
        control(connection, operation, (&raw mut file).cast())?;
        let file = NonNull::new(file).ok_or(ErrorKind::Io)?;
        Ok(Self {
            file: Below(file.as_ptr()),
            connection: PhantomData,
        })
    }

    /// Fills the buffer with one part of the file.
    pub(in crate::storage) fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self.file.read(buffer, offset) {
            Ok(true) => Ok(()),
            Ok(false) => Err(from_code(Failure::NotAuthentic.code())),
            Err(failure) => Err(from_code(failure.code())),
        }
    }

    /// Writes one part of the file.
    pub(in crate::storage) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let written = self.file.write(bytes, offset);
        written.map_err(|failure| from_code(failure.code()))
    }

    /// Makes SQLite read the log again before it relies on it, as after a crash: its header of the
    /// log's index no longer reads as one. No other connection may be at work.
    pub(in crate::storage) fn distrust_log_index(&self) -> Result<()> {
        let mut index: *mut c_void = std::ptr::null_mut();
        let code = self.file.call(|methods, file| {
            // SAFETY: the file is open; the pointer is set before the call returns.
            let map = |map: unsafe extern "C" fn(_, _, _, _, _) -> c_int| unsafe {
                map(file, 0, INDEX_REGION, 0, &raw mut index)
            };
            methods.xShmMap.map(map)
        });
        if code != SQLITE_OK {
            return Err(from_code(code));
        }
        if !index.is_null() {
            // SAFETY: the region is mapped for as long as the connection is open, is that long, and
            // nobody else uses it, which the caller answers for.
            unsafe { std::ptr::write_bytes(index.cast::<u8>(), 0, INDEX_HEADERS) };
        }
        Ok(())
    }

    /// Makes what was written durable.
    pub(in crate::storage) fn sync(&self) -> Result<()> {
        let flags = if cfg!(target_vendor = "apple") {
            SQLITE_SYNC_FULL
        } else {
            SQLITE_SYNC_NORMAL
        };
        match self.file.call(|methods, file| {
            // SAFETY: the file is open.
            methods.xSync.map(|sync| unsafe { sync(file, flags) })
        }) {
            SQLITE_OK => Ok(()),
            code => Err(from_code(code)),
        }
    }
}

/// SQLite maps the index of the log in regions of this length; both copies of its header come
/// first.
const INDEX_REGION: c_int = 32_768;
const INDEX_HEADERS: usize = 96;

/// An open file object: that of the VFS below, or for [`SealedFile`] our own.
#[derive(Clone, Copy)]
struct Below(*mut sqlite3_file);

impl Below {
    /// Calls one of the file's functions; where it has none, that is an error.
    fn call(
        self,
        call: impl FnOnce(&sqlite3_io_methods, *mut sqlite3_file) -> Option<c_int>,
    ) -> c_int {
        // SAFETY: SQLite's file object lives as long as it is open; its first field is the table
        // of functions, null while the file is closed and constant otherwise.
        let methods = unsafe { (*self.0).pMethods.as_ref() };
        methods
            .and_then(|methods| call(methods, self.0))
            .unwrap_or(SQLITE_IOERR)
    }

    fn close(self) {
        // SAFETY: as in `call`; the file is closed once, by its owner.
        self.call(|methods, file| methods.xClose.map(|close| unsafe { close(file) }));
    }
}

impl Medium for Below {
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> std::result::Result<bool, Failure> {
        let (length, offset) = (length(buffer)?, signed(offset)?);
        let start = buffer.as_mut_ptr().cast::<c_void>();
        let code = self.call(|methods, file| {
            // SAFETY: the file is open, and the buffer is as long as is said.
            methods
                .xRead
                .map(|read| unsafe { read(file, start, length, offset) })
        });
        match code {
            SQLITE_OK => Ok(true),
            SQLITE_IOERR_SHORT_READ => Ok(false),
            code => Err(Failure::Below(code)),
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> std::result::Result<(), Failure> {
        let (length, offset) = (length(bytes)?, signed(offset)?);
        let start = bytes.as_ptr().cast::<c_void>();
        done(self.call(|methods, file| {
            // SAFETY: as for reading; SQLite reads from the buffer and keeps no pointer to it.
            methods
                .xWrite
                .map(|write| unsafe { write(file, start, length, offset) })
        }))
    }

    fn truncate(&mut self, size: u64) -> std::result::Result<(), Failure> {
        let size = signed(size)?;
        done(self.call(|methods, file| {
            // SAFETY: the file is open.
            methods
                .xTruncate
                .map(|truncate| unsafe { truncate(file, size) })
        }))
    }

    fn size(&mut self) -> std::result::Result<u64, Failure> {
        let mut size: sqlite3_int64 = 0;
        done(self.call(|methods, file| {
            // SAFETY: the file is open, and the number is written before the call returns.
            methods
                .xFileSize
                .map(|ask| unsafe { ask(file, &raw mut size) })
        }))?;
        u64::try_from(size).map_err(|_| Failure::Refused)
    }
}

fn length(buffer: &[u8]) -> std::result::Result<c_int, Failure> {
    c_int::try_from(buffer.len()).map_err(|_| Failure::Refused)
}

fn signed(offset: u64) -> std::result::Result<sqlite3_int64, Failure> {
    sqlite3_int64::try_from(offset).map_err(|_| Failure::Refused)
}

fn done(code: c_int) -> std::result::Result<(), Failure> {
    match code {
        SQLITE_OK => Ok(()),
        code => Err(Failure::Below(code)),
    }
}

/// Our part of the memory that SQLite allocates for a file.
#[repr(C)]
struct FileObject {
    /// First, as SQLite wants it; null while the file is closed.
    methods: *const sqlite3_io_methods,
    state: *mut State,
}

/// Where in that memory the file object of the VFS below lies; aligned as ours is.
const BELOW_AT: usize = size_of::<FileObject>();

/// What an open file lies on.
enum Beneath {
    Sqlite(Below),
    Memory(Handle),
}

impl Beneath {
    fn on_file(
        &self,
        call: impl FnOnce(&sqlite3_io_methods, *mut sqlite3_file) -> Option<c_int>,
        in_memory: impl FnOnce(&Handle) -> c_int,
    ) -> c_int {
        match self {
            Self::Sqlite(below) => below.call(call),
            Self::Memory(handle) => in_memory(handle),
        }
    }
}

impl Medium for Beneath {
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> std::result::Result<bool, Failure> {
        match self {
            Self::Sqlite(below) => below.read(buffer, offset),
            Self::Memory(handle) => handle.read(buffer, offset),
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> std::result::Result<(), Failure> {
        match self {
            Self::Sqlite(below) => below.write(bytes, offset),
            Self::Memory(handle) => handle.write(bytes, offset),
        }
    }

    fn truncate(&mut self, size: u64) -> std::result::Result<(), Failure> {
        match self {
            Self::Sqlite(below) => below.truncate(size),
            Self::Memory(handle) => handle.truncate(size),
        }
    }

    fn size(&mut self) -> std::result::Result<u64, Failure> {
        match self {
            Self::Sqlite(below) => below.size(),
            Self::Memory(handle) => handle.size(),
        }
    }
}

/// What is known of an open file.
struct State {
    kind: Kind,
    below: Beneath,
    memory: Option<Arc<Memory>>,
    vfs: NonNull<sqlite3_vfs>,
    /// SQLite's own copy of the path, which lives as long as the file.
    path: *const c_char,
    /// The frames that this connection has not written yet.
    waiting: Waiting,
}

enum Kind {
    Database(Database),
    Log(Log),
}

/// Runs a callback; a panic becomes an error, since it must not cross C.
fn guarded(work: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(SQLITE_IOERR)
}

fn answer(result: std::result::Result<(), Failure>) -> c_int {
    result.map_or_else(Failure::code, |()| SQLITE_OK)
}

/// Runs `work` on the state of an open file of ours.
///
/// # Safety
///
/// `file` must be one that `vfs_open` has opened, and be used by no other thread meanwhile, as
/// SQLite promises of a connection's files.
unsafe fn with_state(
    file: *mut sqlite3_file,
    work: impl FnOnce(&mut State) -> std::result::Result<(), Failure>,
) -> c_int {
    guarded(|| {
        // SAFETY: the caller's promise; `state` is null or the box that `vfs_open` has put there.
        let state = unsafe { (*file.cast::<FileObject>()).state.as_mut() };
        answer(state.ok_or(Failure::Refused).and_then(work))
    })
}

/// Passes a call on to the file below, or to the memory in its place.
///
/// # Safety
///
/// As for [`with_state`].
unsafe fn pass_on(
    file: *mut sqlite3_file,
    call: impl FnOnce(&sqlite3_io_methods, *mut sqlite3_file) -> Option<c_int>,
    in_memory: impl FnOnce(&Handle) -> c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with_state(file, |state| done(state.below.on_file(call, in_memory))) }
}

fn unless_busy(result: std::result::Result<(), Busy>) -> c_int {
    result.map_or(SQLITE_BUSY, |()| SQLITE_OK)
}

/// The name of a file in memory: the last part of its path.
///
/// # Safety
///
/// `path` must be a C string.
unsafe fn name_of(path: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    path.rsplit('/').next().map(str::to_owned)
}

/// The instance behind a table of ours.
///
/// # Safety
///
/// `vfs` must be the table of a registered [`SealingVfs`].
unsafe fn instance<'a>(vfs: *mut sqlite3_vfs) -> &'a Instance {
    // SAFETY: the caller's promise: `register` has put the pointer there, and the instance lives as
    // long as a connection can call.
    unsafe { &*(*vfs).pAppData.cast::<Instance>() }
}

unsafe extern "C" fn vfs_open(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let object = file.cast::<FileObject>();
    // SAFETY: SQLite has allocated as many bytes as the table says, and looks at the first field
    // even where opening fails.
    unsafe {
        (*object).methods = std::ptr::null();
        (*object).state = std::ptr::null_mut();
    }
    guarded(|| {
        let is_log = flags & SQLITE_OPEN_WAL != 0;
        if path.is_null() || !(is_log || flags & SQLITE_OPEN_MAIN_DB != 0) {
            // Journals and temporary files.
            return SQLITE_CANTOPEN;
        }
        // SAFETY: SQLite calls with the table that it was given.
        let instance = unsafe { instance(vfs) };
        let below = match &instance.memory {
            // SAFETY: the path is SQLite's, and there is a place for the answer where it wants one.
            Some(memory) => unsafe { open_in_memory(memory, path, flags, out_flags) },
            // SAFETY: the arguments are SQLite's own.
            None => unsafe { open_below(instance, path, file, flags, out_flags) },
        };
        let below = match below {
            Ok(below) => below,
            Err(code) => return code,
        };
        let sealer = Arc::clone(&instance.sealer);
        let (kind, waiting) = if is_log {
            // SAFETY: SQLite's name of a log leads to the file object of its database.
            let shared = unsafe { waiting_of(sqlite3_database_file_object(path)) };
            let gathers = shared.is_some();
            let waiting = shared.unwrap_or_else(Waiting::none);
            let current = instance.current.clone();
            let log = Log::new(sealer, instance.pages, current, waiting.clone(), gathers);
            (Kind::Log(log), waiting)
        } else {
            let database = Database::new(sealer, instance.pages);
            (Kind::Database(database), Waiting::none())
        };
        let state = Box::new(State {
            kind,
            below,
            memory: instance.memory.clone(),
            vfs: instance.below,
            path,
            waiting,
        });
        // SAFETY: as above; the box is taken back when the file is closed.
        unsafe {
            (*object).state = Box::into_raw(state);
            (*object).methods = &raw const METHODS;
        }
        SQLITE_OK
    })
}

/// Opens a file of the VFS below in the room behind our part.
///
/// # Safety
///
/// The arguments must be those that SQLite opens a file with.
unsafe fn open_below(
    instance: &Instance,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> std::result::Result<Beneath, c_int> {
    // SAFETY: the bytes behind our part are those that the VFS below asked for.
    let below = Below(unsafe { file.byte_add(BELOW_AT) });
    // SAFETY: as above; a file that is not open yet has no functions.
    unsafe { (*below.0).pMethods = std::ptr::null() };
    // SAFETY: the table below is registered for ever, and the arguments are SQLite's own.
    let opened = unsafe {
        let open = instance.below.as_ref().xOpen;
        open.map(|open| open(instance.below.as_ptr(), path, below.0, flags, out_flags))
    };
    if opened == Some(SQLITE_OK) {
        return Ok(Beneath::Sqlite(below));
    }
    below.close();
    Err(opened.unwrap_or(SQLITE_CANTOPEN))
}

/// # Safety
///
/// As for [`open_below`].
unsafe fn open_in_memory(
    memory: &Arc<Memory>,
    path: *const c_char,
    flags: c_int,
    out_flags: *mut c_int,
) -> std::result::Result<Beneath, c_int> {
    // SAFETY: the caller's promise.
    let name = unsafe { name_of(path) };
    let handle = name.and_then(|name| memory.open(&name, flags & SQLITE_OPEN_CREATE != 0));
    let handle = handle.ok_or(SQLITE_CANTOPEN)?;
    // SAFETY: the caller's promise; SQLite passes null where it does not want to know.
    if let Some(out) = unsafe { out_flags.as_mut() } {
        *out = flags;
    }
    Ok(Beneath::Memory(handle))
}

/// What the log's database shares with it, where that is a file of ours and not of a VFS on top.
///
/// # Safety
///
/// `database` must be null or an open file object.
unsafe fn waiting_of(database: *mut sqlite3_file) -> Option<Waiting> {
    let database = NonNull::new(database.cast::<FileObject>())?;
    // SAFETY: the caller's promise; only a file of ours has this table, and so a state.
    unsafe {
        let methods = database.as_ref().methods;
        std::ptr::eq(methods, &raw const METHODS).then_some(())?;
        Some(database.as_ref().state.as_ref()?.waiting.clone())
    }
}

unsafe extern "C" fn file_close(file: *mut sqlite3_file) -> c_int {
    guarded(|| {
        let object = file.cast::<FileObject>();
        // SAFETY: the file is open and closed once; the state came from a box.
        unsafe {
            (*object).methods = std::ptr::null();
            let state = std::mem::replace(&mut (*object).state, std::ptr::null_mut());
            if !state.is_null() {
                let state = Box::from_raw(state);
                if matches!(state.kind, Kind::Log(_)) {
                    state.waiting.forget();
                }
                if let Beneath::Sqlite(below) = &state.below {
                    below.close();
                }
            }
        }
        SQLITE_OK
    })
}

unsafe extern "C" fn file_read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    let work = |state: &mut State| {
        let length = usize::try_from(length).map_err(|_| Failure::Refused)?;
        let offset = u64::try_from(offset).map_err(|_| Failure::Refused)?;
        // SAFETY: SQLite's buffer is as long as it says, and initialised or about to be: bytes have
        // no invalid values.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        let (vfs, path, memory) = (state.vfs, state.path, state.memory.clone());
        match &mut state.kind {
            Kind::Database(database) => {
                let of_a_vault = database.is_of_a_vault();
                // SAFETY: the path is SQLite's own of an open database, and lives as long; the names
                // of its log and of its journal lie behind it.
                let mended = || unsafe {
                    let log = sqlite3_filename_wal(path);
                    match &memory {
                        Some(memory) => is_in_memory(memory, log),
                        None => {
                            is_there(vfs, log)
                                || !of_a_vault && is_there(vfs, sqlite3_filename_journal(path))
                        }
                    }
                };
                database.read(&mut state.below, buffer, offset, mended)
            }
            Kind::Log(log) => log.read(&mut state.below, buffer, offset),
        }
    };
    // SAFETY: SQLite calls with an open file of ours.
    unsafe { with_state(file, work) }
}

/// Whether a file is there in memory and not empty.
///
/// # Safety
///
/// `path` must be a C string.
unsafe fn is_in_memory(memory: &Memory, path: *const c_char) -> bool {
    // SAFETY: the caller's promise.
    let file = unsafe { name_of(path) }.and_then(|name| memory.dir.file(&name));
    file.is_some_and(|file| file.length() > 0)
}

/// Whether a file is there and not empty.
///
/// # Safety
///
/// `path` must be a C string.
unsafe fn is_there(vfs: NonNull<sqlite3_vfs>, path: *const c_char) -> bool {
    let mut there: c_int = 0;
    // SAFETY: the caller's promise; the table of a registered VFS is complete.
    let code = unsafe {
        let access = vfs.as_ref().xAccess;
        access.map(|access| access(vfs.as_ptr(), path, SQLITE_ACCESS_EXISTS, &raw mut there))
    };
    code == Some(SQLITE_OK) && there != 0
}

unsafe extern "C" fn file_write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    let work = |state: &mut State| {
        let length = usize::try_from(length).map_err(|_| Failure::Refused)?;
        let offset = u64::try_from(offset).map_err(|_| Failure::Refused)?;
        // SAFETY: SQLite's buffer is as long as it says.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
        match &mut state.kind {
            Kind::Database(database) => database.write(&mut state.below, bytes, offset),
            Kind::Log(log) => log.write(&mut state.below, bytes, offset),
        }
    };
    // SAFETY: SQLite calls with an open file of ours.
    unsafe { with_state(file, work) }
}

unsafe extern "C" fn file_truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    let work = |state: &mut State| {
        let size = u64::try_from(size).map_err(|_| Failure::Refused)?;
        match &mut state.kind {
            Kind::Database(_) => state.below.truncate(size),
            Kind::Log(log) => log.truncate(&mut state.below, size),
        }
    };
    // SAFETY: SQLite calls with an open file of ours.
    unsafe { with_state(file, work) }
}

unsafe extern "C" fn file_sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let work = |state: &mut State| {
        if let Kind::Log(log) = &mut state.kind {
            log.flush(&mut state.below)?;
        }
        let sync = |methods: &sqlite3_io_methods, below| {
            // SAFETY: the file below is open.
            methods.xSync.map(|sync| unsafe { sync(below, flags) })
        };
        done(state.below.on_file(sync, |_| SQLITE_OK))
    };
    // SAFETY: SQLite calls with an open file of ours.
    unsafe { with_state(file, work) }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    let work = |state: &mut State| {
        let now = match &mut state.kind {
            Kind::Database(_) => state.below.size(),
            Kind::Log(log) => log.size(&mut state.below),
        };
        // SAFETY: SQLite passes a place for the answer.
        unsafe { *size = signed(now?)? };
        Ok(())
    };
    // SAFETY: SQLite calls with an open file of ours.
    unsafe { with_state(file, work) }
}

fn level_of(level: c_int) -> Level {
    match level {
        SQLITE_LOCK_NONE => Level::None,
        SQLITE_LOCK_SHARED => Level::Shared,
        SQLITE_LOCK_RESERVED => Level::Reserved,
        SQLITE_LOCK_PENDING => Level::Pending,
        // There is no other.
        _ => Level::Exclusive,
    }
}

unsafe extern "C" fn file_lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite calls with an open file of ours; the one below is open as well.
    unsafe {
        pass_on(
            file,
            |methods, below| methods.xLock.map(|lock| lock(below, level)),
            |handle| unless_busy(handle.lock(level_of(level))),
        )
    }
}

unsafe extern "C" fn file_unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: as above.
    unsafe {
        pass_on(
            file,
            |methods, below| methods.xUnlock.map(|unlock| unlock(below, level)),
            |handle| {
                handle.unlock(level_of(level));
                SQLITE_OK
            },
        )
    }
}

unsafe extern "C" fn file_check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: as above.
    unsafe {
        pass_on(
            file,
            |methods, below| methods.xCheckReservedLock.map(|check| check(below, out)),
            |handle| {
                *out = c_int::from(handle.is_reserved());
                SQLITE_OK
            },
        )
    }
}

unsafe extern "C" fn file_control(
    file: *mut sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        pass_on(
            file,
            |methods, below| {
                let control = methods.xFileControl;
                Some(control.map_or(SQLITE_NOTFOUND, |control| {
                    control(below, operation, argument)
                }))
            },
            |_| SQLITE_NOTFOUND,
        )
    }
}

unsafe extern "C" fn file_sector_size(file: *mut sqlite3_file) -> c_int {
    let mut below = 0;
    // SAFETY: SQLite calls with an open file of ours; the one below is open as well.
    unsafe {
        pass_on(
            file,
            |methods, file| {
                below = methods.xSectorSize.map_or(0, |sector| sector(file));
                Some(SQLITE_OK)
            },
            |_| SQLITE_OK,
        );
    }
    // No smaller than a page: a sealed page that is torn is lost as a whole.
    below.max(LEAST_SECTOR)
}

/// A unit is written as a whole and touches no other, and what nobody writes does not change (spec
/// 04), so what lies around a write is safe. Nothing else is promised.
unsafe extern "C" fn file_device_characteristics(file: *mut sqlite3_file) -> c_int {
    let mut below = 0;
    // SAFETY: as above.
    unsafe {
        pass_on(
            file,
            |methods, file| {
                let characteristics = methods.xDeviceCharacteristics;
                below = characteristics.map_or(0, |characteristics| characteristics(file));
                Some(SQLITE_OK)
            },
            |_| SQLITE_OK,
        );
    }
    below & SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN | SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

const LEAST_SECTOR: c_int = 4096;

unsafe extern "C" fn file_shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite calls with an open file of ours; the one below is open as well.
    unsafe {
        pass_on(
            file,
            |methods, below| {
                methods
                    .xShmMap
                    .map(|map| map(below, region, size, extend, out))
            },
            |handle| {
                let fits = usize::try_from(size) == Ok(REGION);
                let Some(region) = usize::try_from(region).ok().filter(|_| fits) else {
                    return SQLITE_IOERR;
                };
                let region = handle.region(region, extend != 0);
                *out = region.map_or(std::ptr::null_mut(), |region| region.cast_mut().cast());
                SQLITE_OK
            },
        )
    }
}

unsafe extern "C" fn file_shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let work = |state: &mut State| {
        const UNLOCK: c_int = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE;
        if offset == WRITE_LOCK && flags & UNLOCK == UNLOCK {
            // Commits are written at once, so what waits now was never committed. Were it written
            // later, it would lie over what another connection writes next.
            state.waiting.forget();
        }
        let lock = |methods: &sqlite3_io_methods, below| {
            // SAFETY: the file below is open.
            methods
                .xShmLock
                .map(|lock| unsafe { lock(below, offset, count, flags) })
        };
        let in_memory = |handle: &Handle| {
            let (Ok(from), Ok(count)) = (usize::try_from(offset), usize::try_from(count)) else {
                return SQLITE_IOERR;
            };
            let (alone, take) = (flags & SQLITE_SHM_EXCLUSIVE, flags & SQLITE_SHM_UNLOCK);
            unless_busy(handle.lock_index(from, count, alone != 0, take == 0))
        };
        done(state.below.on_file(lock, in_memory))
    };
    // SAFETY: SQLite calls with an open file of ours.
    unsafe { with_state(file, work) }
}

/// Which of SQLite's locks on the index of the log is the writer's.
const WRITE_LOCK: c_int = 0;

unsafe extern "C" fn file_shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite calls with an open file of ours; the one below is open as well.
    unsafe {
        pass_on(
            file,
            |methods, below| {
                if let Some(barrier) = methods.xShmBarrier {
                    barrier(below);
                }
                Some(SQLITE_OK)
            },
            |_| {
                fence(Ordering::SeqCst);
                SQLITE_OK
            },
        );
    }
}

unsafe extern "C" fn file_shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: as above.
    unsafe {
        pass_on(
            file,
            |methods, below| methods.xShmUnmap.map(|unmap| unmap(below, delete)),
            |handle| {
                handle.leave_index();
                SQLITE_OK
            },
        )
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Without memory mapping, which would go past the seal.
    iVersion: 2,
    xClose: Some(file_close),
    xRead: Some(file_read),
    xWrite: Some(file_write),
    xTruncate: Some(file_truncate),
    xSync: Some(file_sync),
    xFileSize: Some(file_size),
    xLock: Some(file_lock),
    xUnlock: Some(file_unlock),
    xCheckReservedLock: Some(file_check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(file_sector_size),
    xDeviceCharacteristics: Some(file_device_characteristics),
    xShmMap: Some(file_shm_map),
    xShmLock: Some(file_shm_lock),
    xShmBarrier: Some(file_shm_barrier),
    xShmUnmap: Some(file_shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Passes a call on to the VFS below.
///
/// # Safety
///
/// `vfs` must be the table of a registered [`SealingVfs`].
unsafe fn ask_below(
    vfs: *mut sqlite3_vfs,
    ask: impl FnOnce(&sqlite3_vfs, *mut sqlite3_vfs) -> Option<c_int>,
) -> c_int {
    guarded(|| {
        // SAFETY: the caller's promise; the table below is registered for ever.
        let (table, below) = unsafe {
            let below = instance(vfs).below;
            (below.as_ref(), below.as_ptr())
        };
        ask(table, below).unwrap_or(SQLITE_IOERR)
    })
}

/// The memory that a table of ours has its files in, and the name of one of them.
///
/// # Safety
///
/// `vfs` must be the table of a registered [`SealingVfs`], and `path` a C string.
unsafe fn in_memory<'a>(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
) -> Option<(&'a Memory, String)> {
    // SAFETY: the caller's promises.
    unsafe {
        let memory = instance(vfs).memory.as_deref()?;
        Some((memory, name_of(path)?))
    }
}

unsafe extern "C" fn vfs_delete(vfs: *mut sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite calls with the table that it was given, and with a path.
    if let Some((memory, name)) = unsafe { in_memory(vfs, path) } {
        memory.dir.remove(&name);
        return SQLITE_OK;
    }
    // SAFETY: SQLite calls with the table that it was given.
    unsafe {
        ask_below(vfs, |table, below| {
            table.xDelete.map(|delete| delete(below, path, sync))
        })
    }
}

unsafe extern "C" fn vfs_access(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: as above.
    if let Some((memory, _)) = unsafe { in_memory(vfs, path) } {
        // SAFETY: as above; SQLite passes a place for the answer.
        unsafe { *out = c_int::from(is_in_memory(memory, path)) };
        return SQLITE_OK;
    }
    // SAFETY: as above.
    unsafe {
        ask_below(vfs, |table, below| {
            table.xAccess.map(|access| access(below, path, flags, out))
        })
    }
}

unsafe extern "C" fn vfs_full_pathname(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: as above.
    if let Some((_, name)) = unsafe { in_memory(vfs, path) } {
        let room = usize::try_from(length).unwrap_or_default();
        if name.len() >= room {
            return SQLITE_CANTOPEN;
        }
        // SAFETY: as above; the name and its end fit the room that SQLite says there is.
        unsafe {
            std::ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len());
            *out.add(name.len()) = 0;
        }
        return SQLITE_OK;
    }
    // SAFETY: as above.
    unsafe {
        ask_below(vfs, |table, below| {
            table
                .xFullPathname
                .map(|full| full(below, path, length, out))
        })
    }
}

unsafe extern "C" fn vfs_randomness(
    vfs: *mut sqlite3_vfs,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        ask_below(vfs, |table, below| {
            table.xRandomness.map(|fill| fill(below, length, out))
        })
    }
}

unsafe extern "C" fn vfs_sleep(vfs: *mut sqlite3_vfs, micros: c_int) -> c_int {
    // SAFETY: as above.
    unsafe {
        ask_below(vfs, |table, below| {
            table.xSleep.map(|sleep| sleep(below, micros))
        })
    }
}

unsafe extern "C" fn vfs_current_time(vfs: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: as above.
    unsafe {
        ask_below(vfs, |table, below| {
            table.xCurrentTime.map(|time| time(below, out))
        })
    }
}

unsafe extern "C" fn vfs_current_time_64(vfs: *mut sqlite3_vfs, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: as above.
    unsafe {
        ask_below(vfs, |table, below| {
            table.xCurrentTimeInt64.map(|time| time(below, out))
        })
    }
}

unsafe extern "C" fn vfs_get_last_error(
    vfs: *mut sqlite3_vfs,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        ask_below(vfs, |table, below| {
            table.xGetLastError.map(|last| last(below, length, out))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use rusqlite::ffi::{
        SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_READWRITE, SQLITE_OPEN_SUBJOURNAL,
        SQLITE_OPEN_SUPER_JOURNAL, SQLITE_OPEN_TEMP_DB, SQLITE_OPEN_TEMP_JOURNAL,
        SQLITE_OPEN_TRANSIENT_DB,
    };

    use super::super::tests::{PAGES, sealer};
    use super::*;

    /// A VFS below whose files can do nothing, and promise everything.
    struct Promising(Box<sqlite3_vfs>);

    impl Promising {
        const NAME: &CStr = c"vitalock-test-promising";

        const METHODS: sqlite3_io_methods = sqlite3_io_methods {
            xClose: Some(close),
            xRead: None,
            xWrite: None,
            xTruncate: None,
            xSync: None,
            xFileSize: None,
            xLock: None,
            xUnlock: None,
            xCheckReservedLock: None,
            xFileControl: None,
            xSectorSize: Some(sector_size),
            xDeviceCharacteristics: Some(characteristics),
            ..METHODS
        };

        fn register() -> Self {
            // SAFETY: SQLite's own VFS is a complete table, of which a copy is changed.
            let mut table = Box::new(unsafe { *sqlite3_vfs_find(c"unix-excl".as_ptr()) });
            table.zName = Self::NAME.as_ptr();
            table.pNext = std::ptr::null_mut();
            table.xOpen = Some(open);
            // SAFETY: the table is complete and stays where it is until `drop` unregisters it.
            let registered = unsafe { sqlite3_vfs_register(&raw mut *table, 0) };
            assert_eq!(registered, SQLITE_OK);
            Self(table)
        }
    }

    impl Drop for Promising {
        fn drop(&mut self) {
            // SAFETY: it was registered, and no file of it is open any more.
            unsafe { sqlite3_vfs_unregister(&raw mut *self.0) };
        }
    }

    unsafe extern "C" fn open(
        _vfs: *mut sqlite3_vfs,
        _path: *const c_char,
        file: *mut sqlite3_file,
        _flags: c_int,
        _out_flags: *mut c_int,
    ) -> c_int {
        static METHODS: sqlite3_io_methods = Promising::METHODS;
        // SAFETY: the caller has allocated the file object.
        unsafe { (*file).pMethods = &raw const METHODS };
        SQLITE_OK
    }

    unsafe extern "C" fn close(_file: *mut sqlite3_file) -> c_int {
        SQLITE_OK
    }

    unsafe extern "C" fn sector_size(_file: *mut sqlite3_file) -> c_int {
        512
    }

    unsafe extern "C" fn characteristics(_file: *mut sqlite3_file) -> c_int {
        c_int::MAX
    }

    /// Opens a file as SQLite does, asks it, and closes it; or says why it is not opened.
    fn opened<T>(
        path: *const c_char,
        kind: c_int,
        ask: impl FnOnce(&sqlite3_io_methods, *mut sqlite3_file) -> T,
    ) -> std::result::Result<T, c_int> {
        // SQLite finds the VFS below by its name: only one has it at a time.
        static ONE: Mutex<()> = Mutex::new(());
        let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let _below = Promising::register();
        let vfs = SealingVfs::register(Promising::NAME, sealer(), PAGES, None).unwrap();
        // SAFETY: the table is registered as long as `vfs` lives.
        let table = unsafe { &raw mut (*vfs.0.as_ptr()).table };
        // SAFETY: as above.
        let length = usize::try_from(unsafe { (*table).szOsFile }).unwrap();
        let mut room = vec![0_u64; length.div_ceil(8)];
        let file = room.as_mut_ptr().cast::<sqlite3_file>();
        let flags = kind | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        // SAFETY: the room is as long as the table asks for, and aligned as SQLite aligns it.
        let code = unsafe { vfs_open(table, path, file, flags, std::ptr::null_mut()) };
        // SAFETY: opening has written the field, whatever came of it.
        let methods = unsafe { (*file).pMethods.as_ref() };
        if code != SQLITE_OK {
            assert!(methods.is_none(), "SQLite would close what is not open");
            return Err(code);
        }
        let methods = methods.unwrap();
        let answer = ask(methods, file);
        // SAFETY: the file is open.
        assert_eq!(unsafe { file_close(file) }, SQLITE_OK);
        Ok(answer)
    }

    #[test]
    fn no_journal_and_no_temporary_file_of_any_kind_is_opened() {
        let path = c"/anywhere/rows.db".as_ptr();
        assert!(opened(path, SQLITE_OPEN_MAIN_DB, |_, _| ()).is_ok());
        for kind in [
            SQLITE_OPEN_MAIN_JOURNAL,
            SQLITE_OPEN_SUBJOURNAL,
            SQLITE_OPEN_SUPER_JOURNAL,
            SQLITE_OPEN_TEMP_DB,
            SQLITE_OPEN_TEMP_JOURNAL,
            SQLITE_OPEN_TRANSIENT_DB,
        ] {
            let refused = opened(path, kind, |_, _| ());
            assert_eq!(refused, Err(SQLITE_CANTOPEN), "{kind:#x}");
        }
        let nameless = opened(std::ptr::null(), SQLITE_OPEN_MAIN_DB, |_, _| ());
        assert_eq!(nameless, Err(SQLITE_CANTOPEN));
    }

    #[test]
    fn a_device_that_promises_everything_is_believed_what_sealed_units_can_keep() {
        let path = c"/anywhere/rows.db".as_ptr();
        let promised = opened(path, SQLITE_OPEN_MAIN_DB, |methods, file| {
            let (characteristics, sector) = (methods.xDeviceCharacteristics, methods.xSectorSize);
            // SAFETY: the file is open.
            unsafe { (characteristics.unwrap()(file), sector.unwrap()(file)) }
        });
        let kept = SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN;
        assert_eq!(promised, Ok((kept, 4096)));
    }

    #[test]
    fn a_panic_in_a_callback_is_an_error_to_sqlite() {
        assert_eq!(guarded(|| panic!("on purpose")), SQLITE_IOERR);
        let path = c"/anywhere/rows.db".as_ptr();
        let codes = opened(path, SQLITE_OPEN_MAIN_DB, |_, file| {
            // SAFETY: the file is open.
            unsafe {
                [
                    with_state(file, |_| panic!("on purpose")),
                    pass_on(file, |_, _| panic!("on purpose"), |_| SQLITE_OK),
                    with_state(file, |_| Ok(())),
                ]
            }
        });
        assert_eq!(codes, Ok([SQLITE_IOERR, SQLITE_IOERR, SQLITE_OK]));
    }
}
