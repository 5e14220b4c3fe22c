//! A key slot: the class keys, wrapped under one combination of factors.

use subtle::ConstantTimeEq;

use super::class_keys::ClassKeys;
use super::code::CodeKey;
use super::contact::{Contact, ContactSecret, EmergencyRequest};
use super::derive;
use super::factors::{self, Factors};
use super::header::RetiredShare;
use super::kdf::KdfParameters;
use super::kind::{SlotKind, WrapPurpose};
use super::share::EnrolledShare;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::{SlotId, VaultId, encode_hex};
use crate::random;
use crate::sealing::{self, Sealed};
use crate::secret::SecretKey;

/// One slot of the header.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) kind: SlotKind,
    pub(crate) escrow: Option<Vec<u8>>,
    pub(crate) contact: Option<Contact>,
    pub(crate) wraps: Vec<Wrap>,
}

/// Class keys under one key-encryption key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Wrap {
    pub(crate) purpose: WrapPurpose,
    pub(crate) kdf: Option<(KdfParameters, [u8; 16])>,
    pub(crate) share: Option<EnrolledShare>,
    pub(super) salt: [u8; 32],
    pub(super) commitment: [u8; 32],
    pub(super) key: Vec<u8>,
}

impl Slot {
    /// Makes a slot: fresh salts, fresh shares, and every wrap opened again before it is believed.
    ///
    /// # Errors
    ///
    /// Those of the host's share; [`ErrorKind::ShareMisbehaved`] where the share is not the same
    /// twice. Platform keys enrolled on the way are destroyed again.
    pub(crate) fn make(
        vault: VaultId,
        kind: SlotKind,
        factors: Factors<'_>,
        parameters: KdfParameters,
        keys: &[&ClassKeys],
        purposes: &[WrapPurpose],
    ) -> Result<Self> {
        let mut slot = Self {
            id: SlotId::make()?,
            kind,
            escrow: None,
            contact: None,
            wraps: Vec::new(),
        };
        for &purpose in purposes {
            let made = slot
                .add_wrap(vault, purpose, factors, parameters, keys)
                .and_then(|()| slot.verify(vault, purpose, factors, keys));
            if let Err(error) = made {
                slot.destroy_shares(factors);
                return Err(error);
            }
        }
        Ok(slot)
    }

    /// The purposes that a slot of this kind serves.
    pub(crate) fn purposes(kind: SlotKind, priority_by_biometric: bool) -> &'static [WrapPurpose] {
        match kind {
            SlotKind::Biometric if priority_by_biometric => SlotKind::Primary.wraps(),
            _ => kind.wraps(),
        }
    }

    /// Opens the wrap for a purpose. `attempt` is called once the share is released, and before
    /// anything is made of the factors that a person knows.
    ///
    /// # Errors
    ///
    /// Those of `attempt`;
    /// [`ErrorKind::UnlockFailed`] for wrong factors and for a damaged slot,
    /// [`ErrorKind::NoMatchingSlot`] where the slot does not serve this purpose, and those of the
    /// host's share.
    pub(crate) fn open(
        &self,
        vault: VaultId,
        purpose: WrapPurpose,
        factors: Factors<'_>,
        attempt: impl FnOnce() -> Result<()>,
    ) -> Result<Vec<ClassKeys>> {
        let wrap = self.wrap(purpose).ok_or(ErrorKind::NoMatchingSlot)?;
        let joined = factors::gather(wrap, purpose.of_share(), factors, attempt)?;
        let binding = wrap.binding(vault, self);
        let (kek, commitment) = derive::slot_key(&wrap.salt, &joined, &binding);
        if !bool::from(commitment.ct_eq(&wrap.commitment)) {
            return Err(ErrorKind::UnlockFailed.into());
        }
        let opened = sealing::open(
            &kek,
            binding.as_str(),
            Sealed::from_stored(wrap.key.clone()),
        )
        .map_err(|_| ErrorKind::UnlockFailed)?;
        let roots = opened.expose().chunks_exact(32);
        if opened.expose().len() != purpose.classes().len() * 32 {
            return Err(ErrorKind::UnlockFailed.into());
        }
        let class_keys = |(root, class): (&[u8], &Class)| {
            let Ok(root) = SecretKey::fill::<std::convert::Infallible>(|bytes| {
                bytes.copy_from_slice(root);
                Ok(())
            });
            ClassKeys::derive(vault, *class, root)
        };
        Ok(roots.zip(purpose.classes()).map(class_keys).collect())
    }

    /// The platform keys that go with this slot.
    pub(crate) fn shares(&self) -> impl Iterator<Item = RetiredShare> {
        self.wraps.iter().filter_map(|wrap| {
            wrap.share.as_ref().map(|share| RetiredShare {
                provider: share.provider.clone(),
                purpose: wrap.purpose.of_share(),
                blob: share.blob.clone(),
            })
        })
    }

    pub(crate) fn wrap(&self, purpose: WrapPurpose) -> Option<&Wrap> {
        self.wraps.iter().find(|wrap| wrap.purpose == purpose)
    }

    /// Keeps the recovery code's key beside the slot, for a step-up session to re-wrap it.
    pub(crate) fn set_escrow(
        &mut self,
        vault: VaultId,
        code: &CodeKey,
        priority: &ClassKeys,
    ) -> Result<()> {
        let place = escrow_place(vault, self.id, self.kind);
        let sealed = sealing::seal(&priority.escrow(), place.as_str(), &[code.0.expose()])?;
        self.escrow = Some(sealed.as_bytes().to_vec());
        Ok(())
    }

    /// The recovery code's key, out of what is kept beside the slot.
    pub(crate) fn escrowed(&self, vault: VaultId, priority: &ClassKeys) -> Result<CodeKey> {
        let stored = self.escrow.clone().ok_or(ErrorKind::TamperDetected)?;
        let place = escrow_place(vault, self.id, self.kind);
        let opened = sealing::open(
            &priority.escrow(),
            place.as_str(),
            Sealed::from_stored(stored),
        )?;
        SecretKey::fill(|bytes| {
            let stored = <&[u8; 32]>::try_from(opened.expose());
            bytes.copy_from_slice(stored.map_err(|_| ErrorKind::TamperDetected)?);
            Ok(())
        })
        .map(CodeKey)
    }

    /// Names the contact, who gets the slot's secret.
    ///
    /// # Errors
    ///
    /// Those of [`Contact::make`].
    pub(crate) fn set_contact(
        &mut self,
        vault: VaultId,
        public: &[u8; 32],
        secret: &ContactSecret,
    ) -> Result<()> {
        self.contact = Some(Contact::make(vault, self.id, public, secret)?);
        Ok(())
    }

    /// A request to the contact.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMatchingSlot`] where the slot has none; [`ErrorKind::RandomUnavailable`].
    pub(crate) fn request(&self, vault: VaultId) -> Result<EmergencyRequest> {
        let contact = self.contact.as_ref().ok_or(ErrorKind::NoMatchingSlot)?;
        EmergencyRequest::make(vault, self.id, contact)
    }

    /// Wraps for the slot, for the purpose. The slot's line must be final: it is bound.
    fn add_wrap(
        &mut self,
        vault: VaultId,
        purpose: WrapPurpose,
        factors: Factors<'_>,
        parameters: KdfParameters,
        keys: &[&ClassKeys],
    ) -> Result<()> {
        let mut wrap = Wrap {
            purpose,
            kdf: None,
            share: None,
            salt: random::make()?,
            commitment: [0; 32],
            key: Vec::new(),
        };
        if self.kind.takes_passphrase() {
            wrap.kdf = Some((parameters, random::make()?));
        }
        if self.kind.takes_share() {
            let host = factors.share.ok_or(ErrorKind::NoMatchingSlot)?;
            wrap.share = Some(EnrolledShare::make(host, purpose.of_share())?);
        }
        self.wraps.push(wrap);
        let wrap = self.wraps.last_mut().expect("the wrap was just added");
        let roots = wrapped_roots(purpose, keys).map(|root| root.expose().as_slice());
        let roots: Vec<&[u8]> = roots.collect();
        let slot_line = slot_line(self.id, self.kind);
        let binding = wrap.binding_in(vault, &slot_line);
        let joined = factors::gather(wrap, purpose.of_share(), factors, || Ok(()))?;
        let (kek, commitment) = derive::slot_key(&wrap.salt, &joined, &binding);
        wrap.commitment = commitment;
        wrap.key = sealing::seal(&kek, binding.as_str(), &roots)?
            .as_bytes()
            .to_vec();
        Ok(())
    }

    /// Opens a wrap that was just made and compares what comes out. A host whose share is not the
    /// same twice is found here, before the slot counts.
    fn verify(
        &self,
        vault: VaultId,
        purpose: WrapPurpose,
        factors: Factors<'_>,
        keys: &[&ClassKeys],
    ) -> Result<()> {
        let opened = self
            .open(vault, purpose, factors, || Ok(()))
            .map_err(|error| match error.kind() {
                ErrorKind::UnlockFailed => ErrorKind::ShareMisbehaved.into(),
                _ => error,
            })?;
        let same = opened.iter().zip(wrapped_roots(purpose, keys));
        if same.fold(true, |same, (keys, root)| {
            same & keys.class_key().matches(root)
        }) {
            Ok(())
        } else {
            Err(ErrorKind::ShareMisbehaved.into())
        }
    }

    /// Destroys the platform keys of a slot that does not come to be.
    pub(crate) fn destroy_shares(&self, factors: Factors<'_>) {
        let Some(host) = factors.share else { return };
        for wrap in &self.wraps {
            if let Some(share) = &wrap.share {
                // Best effort: the error that led here is the one to report.
                let _ = host.destroy(wrap.purpose.of_share(), &share.blob);
            }
        }
    }
}

impl Wrap {
    /// What decides how this wrap's keys are made (spec 02).
    fn binding(&self, vault: VaultId, slot: &Slot) -> String {
        self.binding_in(vault, &slot_line(slot.id, slot.kind))
    }

    fn binding_in(&self, vault: VaultId, slot_line: &str) -> String {
        format!("vault {vault}\n{slot_line}\n{}", self.bound_line())
    }

    /// The wrap's line up to and including the salt.
    pub(super) fn bound_line(&self) -> String {
        let kdf = match &self.kdf {
            None => "none".to_owned(),
            Some((cost, salt)) => format!(
                "argon2id:{}:{}:{}:{}",
                cost.memory_kib(),
                cost.passes(),
                cost.lanes(),
                encode_hex(salt)
            ),
        };
        let share = match &self.share {
            None => "none".to_owned(),
            Some(share) => format!(
                "{}:{}:{}",
                share.provider,
                encode_hex(&share.challenge),
                encode_hex(&share.blob)
            ),
        };
        let salt = encode_hex(&self.salt);
        format!(
            "wrap {} kdf={kdf} share={share} salt={salt}",
            self.purpose.name()
        )
    }
}

/// The class keys that a wrap for this purpose holds, in its order.
fn wrapped_roots<'a>(
    purpose: WrapPurpose,
    keys: &'a [&ClassKeys],
) -> impl Iterator<Item = &'a SecretKey> {
    purpose.classes().iter().map(|class| {
        let of_class = keys.iter().find(|keys| keys.class() == *class);
        of_class
            .expect("the caller holds the keys of every class it wraps")
            .class_key()
    })
}

pub(super) fn slot_line(id: SlotId, kind: SlotKind) -> String {
    format!("slot {id} {}", kind.name())
}

fn escrow_place(vault: VaultId, id: SlotId, kind: SlotKind) -> String {
    format!("vault {vault}\n{}", slot_line(id, kind))
}
