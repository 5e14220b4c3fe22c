//! What is decided once, when a vault is made.

use std::fmt;
use std::sync::Arc;

use crate::anchor::Anchor;
use crate::keys::{Footprint, Kdf, SessionPolicy};

/// How a vault is made. Every default is the safe one.
#[derive(Clone, Default)]
pub struct Options {
    pub(super) kdf: Kdf,
    pub(super) keep_history: bool,
    pub(super) code_alone: bool,
    pub(super) session_policy: SessionPolicy,
    pub(super) anchor: Option<Arc<dyn Anchor>>,
    pub(super) wipes: bool,
    pub(super) footprint: Footprint,
    pub(super) auditor: Option<[u8; 32]>,
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

    /// Says how much the vault may leave on the device: everything, which is the default, or copies
    /// for a time. A time outside of the bounds is refused when the vault is made
    /// ([`InvalidPolicy`](crate::ErrorKind::InvalidPolicy)).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use vitalock::{Footprint, Options};
    ///
    /// let month = Duration::from_secs(30 * 86_400);
    /// let options = Options::new().footprint(Footprint::Cache { time_to_live: month });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn footprint(mut self, footprint: Footprint) -> Self {
        self.footprint = footprint;
        self
    }

    /// Lets an auditor tell whether the audit trail of Priority was written anew, even by the owner:
    /// this is the public half of an [`AuditorKey`](crate::AuditorKey), X25519. The auditor reads
    /// nothing but what [`Lease::audit_evidence`](crate::Lease::audit_evidence) gives them. Decided
    /// once.
    #[must_use]
    pub fn auditor(mut self, public_key: [u8; 32]) -> Self {
        self.auditor = Some(public_key);
        self
    }

    /// Ends the vault at the tenth failed attempt in a row of a slot with the everyday passphrase:
    /// its platform keys are destroyed and its files removed. Off by default: the slot is disabled
    /// then, and the recovery code is the way back.
    ///
    /// # Security
    ///
    /// A child at play, or anybody who wishes the owner ill and has the device for three hours, can
    /// destroy everything, and the recovery code does not bring it back: only a backup does. Whoever
    /// has copied the files beforehand is stopped only by the platform key that is gone. Of slots
    /// without a share nothing is destroyed that a copy does not still have. The header that names
    /// the platform keys is not vouched for when that happens: whoever writes the directory can put
    /// keys of the same provider into it that are another vault's, and have those destroyed. Give
    /// each vault a provider name of its own where a person has several.
    #[must_use]
    pub fn dangerous_wipe_after_ten_failures(mut self, wipe: bool) -> Self {
        self.wipes = wipe;
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
            .field("wipes", &self.wipes)
            .field("footprint", &self.footprint)
            .field("audited", &self.auditor.is_some())
            .finish()
    }
}
