//! Places outside a vault's directory.

use std::path::PathBuf;
use std::sync::Mutex;

use vitalock::{Anchor, AnchorError};

/// A place in memory, which fails and forgets when it is told to.
#[derive(Default)]
pub struct Memory {
    pub state: Mutex<Option<Vec<u8>>>,
    pub unreachable: Mutex<bool>,
    /// Everything that was stored, and the name of the thread that did.
    pub stored: Mutex<Vec<(Vec<u8>, Option<String>)>>,
}

impl Memory {
    fn reached(&self) -> Result<(), AnchorError> {
        if *self.unreachable.lock().unwrap() {
            return Err(AnchorError);
        }
        Ok(())
    }

    pub fn times_stored(&self) -> usize {
        self.stored.lock().unwrap().len()
    }
}

impl Anchor for Memory {
    fn load(&self) -> Result<Option<Vec<u8>>, AnchorError> {
        self.reached()?;
        Ok(self.state.lock().unwrap().clone())
    }

    fn store(&self, state: &[u8]) -> Result<(), AnchorError> {
        self.reached()?;
        let thread = std::thread::current().name().map(str::to_owned);
        let stored = (state.to_vec(), thread);
        self.stored.lock().unwrap().push(stored);
        std::thread::yield_now();
        *self.state.lock().unwrap() = Some(state.to_vec());
        Ok(())
    }
}

/// A file, replaced as a whole, which a process that is killed leaves to the next.
pub struct InFile(pub PathBuf);

impl Anchor for InFile {
    fn load(&self) -> Result<Option<Vec<u8>>, AnchorError> {
        match std::fs::read(&self.0) {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err(AnchorError),
        }
    }

    fn store(&self, state: &[u8]) -> Result<(), AnchorError> {
        let draft = self.0.with_extension("draft");
        let written = std::fs::write(&draft, state);
        written
            .and_then(|()| std::fs::rename(&draft, &self.0))
            .map_err(|_| AnchorError)
    }
}
