//! The generation of a class's database, and whether it is older than what was anchored (spec 08,
//!

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::classes::OpenClasses;
use super::open_class::OpenClass;
use super::opening::Opening;
use crate::anchor::{Anchor, Anchored};
use crate::error::{ErrorKind, Result};
use crate::fs::VaultDir;
use crate::keys::ClassKeys;
use crate::sealing::{self, Context, Sealed, Table};
use crate::storage::Writing;

const STATE_CODEC: u8 = 1;

/// The generation, as it stands in the database (spec 08).
pub(super) fn seal_state(keys: &ClassKeys, generation: u64) -> Result<Sealed> {
    let place = state_place(keys);
    let generation = generation.to_le_bytes();
    sealing::seal(keys.settings(), &place, &[&[STATE_CODEC], &generation])
}

pub(super) fn open_state(keys: &ClassKeys, state: Sealed) -> Result<u64> {
    let opened = sealing::open(keys.settings(), &state_place(keys), state)?;
    match opened.expose() {
        [STATE_CODEC, generation @ ..] => {
            let generation = generation
                .try_into()
                .map_err(|_| ErrorKind::TamperDetected)?;
            Ok(u64::from_le_bytes(generation))
        }
        _ => Err(ErrorKind::UnsupportedFormat.into()),
    }
}

fn state_place(keys: &ClassKeys) -> Context<'static> {
    Context::of_class(keys.vault(), keys.class(), Table::Settings, 2)
}

impl OpenClass {
    /// How many commits there were.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Runs `work` in one transaction, which is the next generation where it changes anything.
    ///
    /// # Errors
    ///
    /// Those of `work`, and of the commit.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Writing<'_>) -> Result<T>) -> Result<T> {
        let mut generation = self.generation();
        let value = self.store.write(|writing| {
            let before = writing.changes();
            let value = work(writing)?;
            if writing.changes() != before {
                generation += 1;
                writing.put_state(&seal_state(&self.keys, generation)?)?;
            }
            Ok(value)
        })?;
        self.generation.store(generation, Ordering::Release);
        Ok(value)
    }
}

/// What is taken for fresh when a vault is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// What is not older than the anchor says.
    Fresh,
    /// The same, and whatever there is where the anchor is lost: with a recovery.
    LostAnchor,
    /// Whatever there is: the owner has said so.
    Anything,
}

/// What a session knows of its vault's anchor.
pub(super) struct Freshness {
    anchor: Option<Arc<dyn Anchor>>,
    kept: Mutex<Kept>,
}

struct Kept {
    state: Anchored,
    /// When it was kept last, on the steady clock.
    at: i64,
}

/// How long what is committed may stay ahead of the anchor while there are calls.
const WINDOW: i64 = 30_000_000;

impl Freshness {
    /// Compares the header, and every class that is open, with what was kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RollbackDetected`], [`ErrorKind::AnchorMissing`],
    /// [`ErrorKind::AnchorUnavailable`].
    pub(super) fn begin(opening: &Opening, open: &OpenClasses, accept: Accept) -> Result<Self> {
        let header = &opening.newest().header;
        let anchor = opening.anchor();
        let loaded = match &anchor {
            Some(anchor) => anchor.load().map_err(|_| ErrorKind::AnchorUnavailable)?,
            None if header.anchored => return Err(ErrorKind::AnchorMissing.into()),
            None => None,
        };
        let known = match loaded.map(|bytes| Anchored::decode(&bytes, header.vault)) {
            Some(Err(error)) if error.kind() != ErrorKind::AnchorMissing => return Err(error),
            Some(Ok(state)) => Some(state),
            _ => None,
        };
        let state = match (known, accept) {
            (_, Accept::Anything) => Anchored::NOTHING,
            (Some(state), _) => state,
            (None, Accept::Fresh) if header.anchored => {
                return Err(ErrorKind::AnchorMissing.into());
            }
            (None, _) => Anchored::NOTHING,
        };
        // An anchor that was never asked for, and holds nothing of this vault, is not used.
        let anchor = anchor.filter(|_| header.anchored || known.is_some());
        if header.generation < state.header {
            return Err(ErrorKind::RollbackDetected.into());
        }
        let kept = Mutex::new(Kept {
            state,
            at: i64::MIN,
        });
        let freshness = Self { anchor, kept };
        open.classes
            .iter()
            .try_for_each(|class| freshness.check(class))?;
        Ok(freshness)
    }

    /// Compares a class that was opened with what was kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RollbackDetected`].
    pub(super) fn check(&self, open: &OpenClass) -> Result<()> {
        if open.generation() < self.kept().state.of(open.class()) {
            return Err(ErrorKind::RollbackDetected.into());
        }
        Ok(())
    }

    /// What is on the medium now, where that is ahead of what was kept.
    pub(super) fn ahead(&self, opening: &Opening, open: &OpenClasses) -> Option<Anchored> {
        self.anchor.as_ref()?;
        let kept = self.kept().state;
        let mut state = kept;
        state.header = opening.newest().header.generation.max(state.header);
        for class in &open.classes {
            state.reach(class.class(), class.generation());
        }
        (state != kept).then_some(state)
    }

    /// Whether it is time to keep what is ahead.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.anchor.is_some() && now.saturating_sub(self.kept().at) >= WINDOW
    }

    /// Keeps a state, which [`ahead`](Self::ahead) gave.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnchorUnavailable`]; those of making the header's name durable, without which
    /// its generation must not be kept.
    pub(super) fn keep(&self, opening: &Opening, state: Anchored, now: i64) -> Result<()> {
        let Some(anchor) = &self.anchor else {
            return Ok(());
        };
        let mut kept = self.kept();
        if state.header > kept.state.header {
            opening.with_dir(VaultDir::make_durable)?;
        }
        // A host that fails is not asked again at every call.
        kept.at = now;
        let bytes = state.encode(opening.vault());
        anchor
            .store(&bytes)
            .map_err(|_| ErrorKind::AnchorUnavailable)?;
        kept.state = state;
        Ok(())
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
