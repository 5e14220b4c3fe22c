//! What the two processes say to each other: lines from the child, raw bytes back.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::{Mutex, PoisonError};

/// The child's end. Reads and writes go straight to the pipes, so nothing is left in a buffer.
pub(crate) struct Link {
    turn: Mutex<()>,
    from: File,
    to: File,
}

impl Link {
    pub(crate) fn open() -> Self {
        Self {
            turn: Mutex::new(()),
            from: File::open("/proc/self/fd/0").unwrap(),
            to: File::options().write(true).open("/proc/self/fd/1").unwrap(),
        }
    }

    /// Says a line and reads the answer into `answer`.
    pub(crate) fn ask(&self, line: &str, answer: &mut [u8]) {
        self.ask_with(line, b"", answer);
    }

    /// Says a line that ends in a secret, and reads the answer.
    pub(crate) fn ask_with(&self, line: &str, secret: &[u8], answer: &mut [u8]) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // The test harness writes to the same pipe, without ending its lines.
        for part in [&b"\n@"[..], line.as_bytes(), secret, &b"\n"[..]] {
            (&self.to).write_all(part).unwrap();
        }
        (&self.from).read_exact(answer).unwrap();
    }
}
