//! Making a vault: nothing counts before the recovery code was typed back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::handle::Vault;
use super::options::Options;
use crate::anchor::Anchored;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::fs::{FileName, VaultDir};
use crate::id::VaultId;
use crate::keys::{
    AuditorKey, ClassKeys, Credentials, Factors, Footprint, Header, Inbox, KdfParameters,
    RecoveryCode, Slot,
};
use crate::session::{
    Attempts, ClassSettings, NewSlot, Opening, check_passphrase, create_database, recovery_slots,
};

/// A vault about to be made. Show [`recovery_code`](Self::recovery_code), have it typed back, and
/// call [`confirm_recovery`](Self::confirm_recovery); until then nothing is on disk and no platform
/// key exists.
#[must_use = "there is no vault before `confirm_recovery`"]
pub struct Setup<'a> {
    path: PathBuf,
    options: Options,
    credentials: Credentials<'a>,
    cost: KdfParameters,
    code: RecoveryCode,
}

impl<'a> Setup<'a> {
    pub(super) fn begin(
        path: &Path,
        options: Options,
        credentials: Credentials<'a>,
    ) -> Result<Self> {
        let kind = credentials.slot_kind().filter(|kind| kind.is_everyday());
        credentials.actor()?;
        options.footprint.check()?;
        if let Some(auditor) = &options.auditor {
            AuditorKey::check(auditor)?;
        }
        check_passphrase(kind.ok_or(ErrorKind::NoMatchingSlot)?, credentials.words())?;
        if options.footprint != Footprint::MemoryOnly {
            check_place(path)?;
        }
        let cost = options.kdf.choose()?;
        let code = RecoveryCode::make()?;
        Ok(Self {
            path: path.to_owned(),
            options,
            credentials,
            cost,
            code,
        })
    }

    /// The code that brings the owner back when a factor is lost. Show it once.
    pub fn recovery_code(&self) -> &RecoveryCode {
        &self.code
    }

    /// Makes the vault, once the owner has shown that the code was written down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RecoveryCodeMistyped`] and [`ErrorKind::RecoveryNotConfirmed`], after which it
    /// may be tried again; those of the share, of the place ([`ErrorKind::VaultExists`],
    /// [`ErrorKind::PathLooseMode`] and its kin) and of the files;
    /// [`ErrorKind::AnchorUnavailable`].
    pub fn confirm_recovery(&self, typed: &[u8]) -> Result<Vault> {
        if !RecoveryCode::parse(typed)?.matches(&self.code) {
            return Err(ErrorKind::RecoveryNotConfirmed.into());
        }
        self.make(true)
    }

    /// Makes the vault without a way back.
    ///
    /// # Errors
    ///
    /// As for [`confirm_recovery`](Self::confirm_recovery).
    ///
    /// # Security
    ///
    /// A forgotten passphrase, a lost phone or a changed fingerprint then loses every record.
    pub fn dangerous_without_recovery(&self) -> Result<Vault> {
        self.make(false)
    }

    fn make(&self, recoverable: bool) -> Result<Vault> {
        let dir = match self.options.footprint {
            Footprint::MemoryOnly => VaultDir::in_memory(None),
            _ => VaultDir::create(&self.path)?,
        };
        let lock = dir.lock()?;
        dir.begin_setup(&lock)?;
        Attempts::make(&dir)?;
        let vault = VaultId::make()?;
        let make = |class| ClassKeys::make(vault, class);
        let keys = [
            make(Class::Emergency)?,
            make(Class::Standard)?,
            make(Class::Priority)?,
        ];
        let [emergency, standard, priority] = &keys;
        let by = self.credentials.actor()?;
        for keys in &keys {
            let auditor = self.options.auditor.as_ref();
            let auditor = auditor.filter(|_| keys.class() == Class::Priority);
            let settings = ClassSettings {
                keep_history: self.options.keep_history,
                auditor,
            };
            create_database(&dir, keys, priority, settings, &by)?;
        }
        let keys = [emergency, standard, priority];
        let slots = self.make_slots(vault, keys, recoverable)?;
        let header = Header {
            vault,
            generation: 1,
            policy: self.options.session_policy,
            anchored: self.options.anchor.is_some(),
            inbox: Inbox::of(standard, priority),
            wipes: self.options.wipes,
            footprint: self.options.footprint,
            slots,
            retired: Vec::new(),
        };
        let text = header.to_text(keys);
        if let Some(anchor) = &self.options.anchor {
            // Before there is a vault: what is kept must not be missing from one.
            let state = Anchored::with_header(header.generation);
            if anchor.store(&state.encode(vault)).is_err() {
                for slot in &header.slots {
                    slot.destroy_shares(Factors::of(&self.credentials));
                }
                return Err(ErrorKind::AnchorUnavailable.into());
            }
        }
        if let Err(error) = dir.replace(FileName::HeaderTwin, text.as_bytes()) {
            // A header that may still be there is a vault, whose shares must live.
            let never_there = matches!(dir.check(FileName::HeaderTwin), Ok(false));
            let taken_back = dir.abandon_setup(&lock).is_ok();
            if never_there || taken_back {
                for slot in &header.slots {
                    slot.destroy_shares(Factors::of(&self.credentials));
                }
            }
            return Err(error);
        }
        // With one copy in place this is a vault, and its platform keys are in use. What does not
        // succeed now the next unlock makes good.
        let _ = dir
            .replace(FileName::Header, text.as_bytes())
            .and_then(|()| dir.finish_setup());
        let opening = Opening::made(dir, lock, &text)?;
        if let Some(anchor) = &self.options.anchor {
            opening.set_anchor(Arc::clone(anchor));
        }
        Ok(Vault::over(Arc::new(opening)))
    }

    fn make_slots(
        &self,
        vault: VaultId,
        keys: [&ClassKeys; 3],
        recoverable: bool,
    ) -> Result<Vec<Slot>> {
        let kind = self
            .credentials
            .slot_kind()
            .ok_or(ErrorKind::NoMatchingSlot)?;
        let factors = Factors::of(&self.credentials);
        let everyday = NewSlot {
            kind,
            factors,
            cost: self.cost,
        }
        .make(vault, keys, false)?;
        let mut slots = vec![everyday];
        if recoverable {
            let (code, alone) = (self.code.key(vault), self.options.code_alone);
            match recovery_slots(vault, keys, factors, &code, self.cost, alone) {
                Ok(more) => slots.extend(more),
                Err(error) => {
                    slots.iter().for_each(|slot| slot.destroy_shares(factors));
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }
}

/// Refuses a place where no vault can be made before a person writes a code down. Whether it may be
/// used is decided when the vault is made.
fn check_place(path: &Path) -> Result<()> {
    match VaultDir::open(path) {
        Err(error) if error.kind() == ErrorKind::VaultNotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => VaultDir::create(path).map(drop),
    }
}

impl fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Setup(..)")
    }
}
