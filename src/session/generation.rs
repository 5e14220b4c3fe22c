//! Whether a vault is older than what was anchored (spec 08, R-61, R-62, R-64, R-65).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::classes::OpenClasses;
use super::open_class::OpenClass;
use super::opening::Opening;
use crate::anchor::{Anchor, Anchored, ClassMark, Tries};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::fs::VaultDir;
use crate::id::VaultId;

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

/// What a vault's handle knows of its anchor. One for all of its sessions, so that what one of them
/// keeps late never takes back what the next has kept.
pub(super) struct Freshness {
    kept: Mutex<Kept>,
    /// When to keep what is ahead, on the steady clock; `NEVER` without an anchor.
    due: AtomicI64,
}

struct Kept {
    anchor: Option<Arc<dyn Anchor>>,
    state: Anchored,
    /// The state counts: it was compared, or the owner has accepted it with every class open.
    accepted: bool,
}

/// How long what is committed may stay ahead of the anchor while there are calls.
const WINDOW: i64 = 30_000_000;
const NEVER: i64 = i64::MAX;

impl Freshness {
    /// Of a vault of which nothing is open.
    pub(super) fn at_rest() -> Self {
        Self {
            kept: Mutex::new(Kept {
                anchor: None,
                state: Anchored::NOTHING,
                accepted: false,
            }),
            due: AtomicI64::new(NEVER),
        }
    }

    /// Compares the header, and every class that is open, with what was kept. To be asked before
    /// anything is written to them: a copy may not catch up with the anchor by finishing what waits
    /// in it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RollbackDetected`], [`ErrorKind::AnchorMissing`],
    /// [`ErrorKind::AnchorUnavailable`].
    pub(super) fn begin(
        &self,
        opening: &Opening,
        open: &OpenClasses,
        accept: Accept,
    ) -> Result<()> {
        let header = &opening.newest().header;
        let anchor = opening.anchor();
        if anchor.is_none() && header.anchored {
            return Err(ErrorKind::AnchorMissing.into());
        }
        let known = self.kept_outside(opening, header.vault)?;
        if known.is_none() && header.anchored && accept == Accept::Fresh {
            return Err(ErrorKind::AnchorMissing.into());
        }
        let compared = known.filter(|_| accept != Accept::Anything);
        let mut state = compared.unwrap_or(Anchored::NOTHING);
        state.tries = known.unwrap_or(Anchored::NOTHING).tries;
        // An anchor that was never asked for, and holds nothing of this vault, is not used.
        let anchor = anchor.filter(|_| header.anchored || known.is_some());
        if header.generation < state.header {
            return Err(ErrorKind::RollbackDetected.into());
        }
        let mut kept = self.kept();
        *kept = Kept {
            anchor,
            state,
            accepted: compared.is_some(),
        };
        open.classes.iter().try_for_each(|open| kept.check(open))?;
        let due = if compared.is_some() { i64::MIN } else { NEVER };
        self.due.store(due, Ordering::Release);
        Ok(())
    }

    /// Compares a class that was opened with what was kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RollbackDetected`].
    pub(super) fn check(&self, open: &OpenClass) -> Result<()> {
        self.kept().check(open)
    }

    /// What was kept of a class.
    pub(super) fn kept_of(&self, class: Class) -> ClassMark {
        self.kept().state.of(class)
    }

    /// The owner accepts what there is, having opened every class.
    pub(super) fn accept(&self) {
        let mut kept = self.kept();
        if kept.anchor.is_some() {
            kept.accepted = true;
            self.due.store(i64::MIN, Ordering::Release);
        }
    }

    /// What is on the medium now, where that is ahead of what was kept.
    pub(super) fn ahead(&self, opening: &Opening, open: &OpenClasses) -> Option<Anchored> {
        let tries = opening.with_tries(|tries| tries);
        let kept = self.kept();
        kept.active()?;
        let mut state = kept.state;
        state.tries = tries;
        state.reach_header(opening.newest().header.generation);
        for class in &open.classes {
            state.reach(class.class(), class.mark());
        }
        (state != kept.state).then_some(state)
    }

    /// Whether it is time to keep what is ahead.
    pub(super) fn is_due(&self, now: i64) -> bool {
        let due = self.due.load(Ordering::Acquire);
        due != NEVER && now >= due
    }

    /// Keeps a state, which [`ahead`](Self::ahead) gave, as far as nothing newer was kept meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnchorUnavailable`]; those of making the header's name durable, without which
    /// its generation must not be kept.
    pub(super) fn keep(&self, opening: &Opening, ahead: Anchored, now: i64) -> Result<()> {
        // An attempt that is counted meanwhile comes after this.
        opening.with_tries(|tries| self.keep_with(opening, ahead, tries, now))
    }

    fn keep_with(&self, opening: &Opening, ahead: Anchored, tries: Tries, now: i64) -> Result<()> {
        let mut kept = self.kept();
        let Some(anchor) = kept.active() else {
            return Ok(());
        };
        let Some(state) = kept.next(ahead, tries) else {
            return Ok(());
        };
        if state.header > kept.state.header {
            opening.with_dir(VaultDir::make_durable)?;
        }
        // A host that fails is not asked again at every call.
        self.due
            .store(now.saturating_add(WINDOW), Ordering::Release);
        let stored = anchor.store(&state.encode(opening.vault()));
        stored.map_err(|_| ErrorKind::AnchorUnavailable)?;
        kept.state = state;
        Ok(())
    }

    /// What the host's anchor holds of this vault, if anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnchorUnavailable`], [`ErrorKind::UnsupportedFormat`].
    pub(super) fn kept_outside(
        &self,
        opening: &Opening,
        vault: VaultId,
    ) -> Result<Option<Anchored>> {
        let Some(anchor) = opening.anchor() else {
            return Ok(None);
        };
        let loaded = anchor.load().map_err(|_| ErrorKind::AnchorUnavailable)?;
        match loaded.map(|bytes| Anchored::decode(&bytes, vault)) {
            Some(Err(error)) if error.kind() != ErrorKind::AnchorMissing => Err(error),
            Some(Ok(state)) => Ok(Some(state)),
            _ => Ok(None),
        }
    }

    /// Keeps how often the slots were tried in vain, whether a session is open or not; the rest of
    /// what is kept stays as it is. Whoever asks holds the table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnchorUnavailable`], [`ErrorKind::UnsupportedFormat`].
    pub(super) fn mirror(&self, opening: &Opening, vault: VaultId, tries: Tries) -> Result<()> {
        let mut kept = self.kept();
        let held = match kept.active() {
            Some(_) => Some(kept.state),
            None => self.kept_outside(opening, vault)?,
        };
        let anchor = kept.active().or_else(|| opening.anchor());
        let (Some(mut state), Some(anchor)) = (held, anchor) else {
            return Ok(());
        };
        if state.tries == tries {
            return Ok(());
        }
        state.tries = tries;
        let stored = anchor.store(&state.encode(vault));
        stored.map_err(|_| ErrorKind::AnchorUnavailable)?;
        kept.state.tries = tries;
        Ok(())
    }

    /// Keeps nothing more until a session begins or is resumed: from now on others may have the
    /// vault.
    pub(super) fn rest(&self) {
        self.kept().anchor = None;
        self.due.store(NEVER, Ordering::Release);
    }

    /// There is an anchor, and the owner has to accept what there is before anything is kept.
    pub(super) fn needs_acceptance(&self) -> bool {
        let kept = self.kept();
        kept.anchor.is_some() && !kept.accepted
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.kept().active().is_some()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn active(&self) -> Option<Arc<dyn Anchor>> {
        self.anchor.clone().filter(|_| self.accepted)
    }

    /// The state to keep next. Another thread may have kept a newer one since this was seen.
    fn next(&self, ahead: Anchored, tries: Tries) -> Option<Anchored> {
        let mut state = self.state.and(ahead);
        state.tries = tries;
        (state != self.state).then_some(state)
    }

    /// A class may be ahead of what was kept, and then its trail goes through it; where it is not
    /// ahead it is the same.
    fn check(&self, open: &OpenClass) -> Result<()> {
        let (kept, now) = (self.state.of(open.class()), open.mark());
        let same = kept == now;
        let ahead = kept.generation < now.generation && open.goes_through(&kept)?;
        match same || ahead {
            true => Ok(()),
            false => Err(ErrorKind::RollbackDetected.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_earlier_and_kept_later_takes_nothing_back() {
        let mark = |generation| ClassMark {
            generation,
            root: [0; 16],
            entries: generation,
            link: [0; 16],
        };
        let seen = |standard, priority| {
            let mut state = Anchored::with_header(1);
            state.reach(Class::Standard, mark(standard));
            state.reach(Class::Priority, mark(priority));
            state
        };
        let kept = Kept {
            anchor: None,
            state: seen(7, 3),
            accepted: true,
        };
        let next = |ahead| kept.next(ahead, Anchored::NOTHING.tries);
        assert_eq!(next(seen(6, 2)), None);
        assert_eq!(next(seen(7, 3)), None);
        assert_eq!(next(seen(6, 4)), Some(seen(7, 4)));
        assert_eq!(next(seen(8, 3)), Some(seen(8, 3)));
    }
}
