//! What is decided once, when a vault is made.

use std::fmt;
use std::sync::Arc;

use crate::anchor::Anchor;
use crate::keys::{Kdf, SessionPolicy};

/// How a vault is made. Every default is the safe one.
#[derive(Clone, Default)]
pub struct Options {
    pub(super) kdf: Kdf,
    pub(super) keep_history: bool,
    pub(super) code_alone: bool,
    pub(super) session_policy: SessionPolicy,
    pub(super) anchor: Option<Arc<dyn Anchor>>,
}

impl Options {
    /// Calibrated Argon2id, no earlier revisions, no recovery by the code alone, and sessions that
    /// end as [`SessionPolicy::new`] says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the cost of stretching passphrases.
    #[must_use]
    pub fn kdf(mut self, kdf: Kdf) -> Self {
        self.kdf = kdf;
        self
    }

    /// Chooses when sessions and leases end by themselves.
    #[must_use]
    pub fn session_policy(mut self, policy: SessionPolicy) -> Self {
        self.session_policy = policy;
        self
    }

    /// Anchors the vault outside of its directory, so that an older copy put back is noticed.
    /// Whoever opens it brings the same anchor: [`Vault::anchored`](crate::Vault::anchored).
    #[must_use]
    pub fn anchor(mut self, anchor: Arc<dyn Anchor>) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// Keeps every revision that a later one replaces, until the record or its subject is erased.
    #[must_use]
    pub fn keep_history(mut self, keep: bool) -> Self {
        self.keep_history = keep;
        self
    }

    /// Adds a recovery slot that takes the written code and nothing else.
    ///
    /// # Security
    ///
    /// Whoever finds the code and a copy of the files then has everything. Without it recovery
    /// takes the code AND the share, or the code AND the passphrase.
    #[must_use]
    pub fn dangerous_recover_by_code_alone(mut self, allow: bool) -> Self {
        self.code_alone = allow;
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("kdf", &self.kdf)
            .field("keep_history", &self.keep_history)
            .field("code_alone", &self.code_alone)
            .field("session_policy", &self.session_policy)
            .field("anchored", &self.anchor.is_some())
            .finish()
    }
}
