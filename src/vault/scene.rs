//! A vault and the clock that it goes by, for tests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::keys::{
    Credentials, Kdf, KdfParameters, KeyShare, Passphrase, Purpose, SessionPolicy, ShareError,
    ShareSink,
};
use crate::records::{Query, Record};
use crate::session::Session;
use crate::time::{Clock, Moment};
use crate::vault::{Options, Vault};

/// The system has been up for so long when a test begins.
pub(super) const BEGAN: i64 = 5_000_000;

/// Both clocks, so many microseconds after they began.
pub(super) struct Hands(Mutex<(i64, i64)>);

impl Clock for Hands {
    fn now(&self) -> Moment {
        let (steady, wall) = *self.0.lock().unwrap();
        Moment {
            steady: BEGAN + steady,
            wall: 1_800_000_000_000_000 + wall,
        }
    }
}

impl Hands {
    pub(super) fn put(&self, micros: i64) {
        *self.0.lock().unwrap() = (micros, micros);
    }

    pub(super) fn steady(&self) -> i64 {
        self.0.lock().unwrap().0
    }

    /// Turns the wall clock alone.
    pub(super) fn turn(&self, micros: i64) {
        self.0.lock().unwrap().1 += micros;
    }

    pub(super) fn put_seconds(&self, seconds: i64) {
        self.put(seconds * SECOND);
    }
}

pub(super) struct Scene {
    _scratch: tempfile::TempDir,
    pub(super) dir: PathBuf,
    pub(super) words: Passphrase,
    pub(super) hands: Arc<Hands>,
    pub(super) vault: Vault,
    /// The written code, where there is one.
    pub(super) code: String,
}

pub(super) const SECOND: i64 = 1_000_000;

impl Scene {
    pub(super) fn with(policy: SessionPolicy) -> Self {
        Self::made(Options::new().session_policy(policy), true)
    }

    pub(super) fn without_recovery() -> Self {
        Self::made(Options::new(), false)
    }

    pub(super) fn made(options: Options, recoverable: bool) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = std::fs::canonicalize(scratch.path()).unwrap().join("vault");
        let words = Passphrase::new(b"vier stille Reiher waten").unwrap();
        let options = options.kdf(Kdf::Fixed(KdfParameters::FLOOR));
        let setup = Vault::create(&dir, options, Credentials::passphrase(&words)).unwrap();
        let code = setup.recovery_code().reveal(str::to_owned);
        let vault = if recoverable {
            setup.confirm_recovery(code.as_bytes()).unwrap()
        } else {
            setup.dangerous_without_recovery().unwrap()
        };
        let hands = Arc::new(Hands(Mutex::new((0, 0))));
        let clock: Arc<dyn Clock> = hands.clone();
        let vault = vault.with_clock(clock);
        Self {
            _scratch: scratch,
            dir,
            words,
            hands,
            vault,
            code,
        }
    }

    /// Closes the vault and opens it again, `change`d meanwhile.
    pub(super) fn open_again(self, change: impl FnOnce(&Path)) -> Self {
        let Self { vault, .. } = self;
        drop(vault);
        change(&self.dir);
        let clock: Arc<dyn Clock> = self.hands.clone();
        let vault = Vault::open(&self.dir).unwrap().with_clock(clock);
        Self { vault, ..self }
    }

    pub(super) fn factors(&self) -> Credentials<'_> {
        Credentials::passphrase(&self.words)
    }

    /// A session that begins at the clocks' beginning and holds three records.
    pub(super) fn unlock(&self) -> Session {
        self.hands.put(0);
        let session = self.vault.unlock(&self.factors()).unwrap();
        while session.count(&Query::new()).unwrap() < 3 {
            session.put(Record::new("Note", "body")).unwrap();
        }
        session
    }

    /// Waits until the timer has closed every file of this name.
    #[expect(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "the timer wakes by the system's clock"
    )]
    pub(super) fn wait_until_closed(&self, name: &str) {
        let path = self.dir.join(name);
        let begun = std::time::Instant::now();
        while is_open(&path) {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing closes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether this process has the file open.
pub(super) fn is_open(path: &Path) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .any(|target| target == path)
}

/// A key store that remembers what it released, and can be made to release only that.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) released: Mutex<Vec<[u8; 32]>>,
    pub(super) replaying: Mutex<bool>,
    pub(super) destroyed: Mutex<Vec<Vec<u8>>>,
}

impl KeyShare for Recorder {
    fn provider(&self) -> &str {
        "recorder"
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        Ok(format!("{purpose:?}").into_bytes())
    }

    fn release(
        &self,
        purpose: Purpose,
        _: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let mut released = self.released.lock().unwrap();
        if *self.replaying.lock().unwrap() {
            sink.fill(released.last().ok_or(ShareError::Missing)?);
            return Ok(());
        }
        let salt = u8::from(purpose == Purpose::Priority);
        let share = challenge.map(|byte| byte.rotate_left(3) ^ 0x3C ^ salt);
        released.push(share);
        sink.fill(&share);
        Ok(())
    }

    fn destroy(&self, _: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        self.destroyed.lock().unwrap().push(blob.to_vec());
        Ok(())
    }
}
