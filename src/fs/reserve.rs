//! Room that is kept for what must go on when the disk is full: entries of the audit trail, and erasing.
//!
//! **Does** hold a file of random bytes, and give it back in steps.
//! **Never** fails a caller: a reserve that cannot be had is none.
//! **Format** `reserve`, up to 256 KiB that mean nothing.

use rustix::fs::OFlags;

use super::directory::VaultDir;
use super::name::FileName;
use crate::random;

const WHOLE: u64 = 256 * 1024;
const STEP: u64 = 16 * 1024;

/// What room is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomFor {
    Entries,
    Erasing,
}

impl VaultDir {
    /// Makes the reserve whole, as far as there is room.
    pub(crate) fn fill_reserve(&self) {
        let name = FileName::Reserve.text();
        if self.memory().is_some() {
            // There is no disk to be full.
            return;
        }
        let file = match self.root().open(name, OFlags::WRONLY) {
            Ok(Some(file)) => file,
            Ok(None) => match self.root().create(name) {
                Ok(file) => file,
                Err(_) => return,
            },
            Err(_) => return,
        };
        let mut there = file.length().unwrap_or(WHOLE);
        // A medium that leaves out zeros, or finds what repeats, would keep no room.
        let mut random = [0; 4096];
        for _ in 0..WHOLE.saturating_sub(there) / 4096 {
            if random::fill(&mut random).is_err() || file.write_at(&random, there).is_err() {
                break;
            }
            there += 4096;
        }
    }

    /// Gives a step of the reserve to whoever needs it; whether there was one. Half of it is for
    /// entries of the audit trail alone, since nothing can be read without them.
    pub(crate) fn give_reserve(&self, to: RoomFor) -> bool {
        let file = self.root().open(FileName::Reserve.text(), OFlags::WRONLY);
        let Ok(Some(file)) = file else { return false };
        let there = file.length().unwrap_or(0);
        let kept = match to {
            RoomFor::Entries => 0,
            RoomFor::Erasing => WHOLE / 2,
        };
        if there <= kept {
            return false;
        }
        let left = there.saturating_sub(STEP);
        // What a file gave up may count as free only once that is on the medium.
        file.truncate(left).is_ok() && file.sync().is_ok()
    }
}
