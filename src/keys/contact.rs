//! A second party's key, which opens Emergency without coming to the device (spec 11).

use std::fmt;

use super::code::CodeKey;
use super::derive;
use super::pair::second_party;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::{SlotId, VaultId};
use crate::random;
use crate::sealing::{self, Context, Mail, Reader, Sealed, Table};
use crate::secret::{SecretBytes, SecretKey};

const LABEL: &[u8] = b"vitalock/1/request";
const USE: u8 = 3;
/// The length of a capsule, and of an answer.
pub(super) const CAPSULE: usize = 81;

/// The key of a second party for emergencies: a relative, a hospital. It stays with them; the owner
/// adds its public half to the vault ([`Slots::add_emergency_contact`](crate::Slots::add_emergency_contact)).
///
/// # Examples
///
/// ```
/// use vitalock::{ContactKey, EmergencyQuestion};
///
/// fn on_the_contacts_device(key: &ContactKey, received: &[u8]) -> vitalock::Result<Vec<u8>> {
///     let question = EmergencyQuestion::read(received)?;
///     // Ask the person whether they know of an emergency, and say whose vault it is: question.vault().
///     key.answer(&question)
/// }
/// ```
pub struct ContactKey(SecretKey);

second_party!(ContactKey, "contact");

impl ContactKey {
    /// Answers a request, 81 bytes. Whoever made the request then reads the Emergency class.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidEmergencyRequest`] where the request is for another contact, or was
    /// changed; [`ErrorKind::RandomUnavailable`].
    ///
    /// # Security
    ///
    /// A request comes from whoever has a copy of the vault's header: answer none that is not
    /// expected.
    pub fn answer(&self, question: &EmergencyQuestion) -> Result<Vec<u8>> {
        let invalid = ErrorKind::InvalidEmergencyRequest;
        let capsule = Sealed::from_stored(question.capsule.clone());
        let place = mail(question.vault, question.slot, Table::Capsule);
        let secret = sealing::collect(&self.0, &place, capsule).map_err(|_| invalid)?;
        let place = mail(question.vault, question.slot, Table::Answer);
        sealing::post(&question.reply, &place, &[secret.expose()])
            .map(|answer| answer.as_bytes().to_vec())
            .map_err(|error| match error.kind() {
                ErrorKind::HeaderDamaged => invalid.into(),
                _ => error,
            })
    }
}

/// A request as the contact has it: what to show before it is answered. Nothing vouches for what it
/// says before [`ContactKey::answer`] has opened it.
#[derive(Clone, PartialEq, Eq)]
pub struct EmergencyQuestion {
    vault: VaultId,
    slot: SlotId,
    contact: [u8; 32],
    capsule: Vec<u8>,
    reply: [u8; 32],
}

impl EmergencyQuestion {
    /// Reads a request, as [`EmergencyRequest::to_bytes`] gave it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidEmergencyRequest`].
    pub fn read(request: &[u8]) -> Result<Self> {
        Self::parse(request).ok_or_else(|| ErrorKind::InvalidEmergencyRequest.into())
    }

    fn parse(request: &[u8]) -> Option<Self> {
        let mut reader = Reader::over(request);
        let label = reader.prefixed().ok()?;
        let question = Self {
            vault: VaultId::from_bytes(reader.array().ok()?),
            slot: SlotId::from_bytes(reader.array().ok()?),
            contact: reader.array().ok()?,
            capsule: reader.array::<CAPSULE>().ok()?.to_vec(),
            reply: reader.array().ok()?,
        };
        let whole = label == LABEL && reader.left() == 0;
        whole.then_some(question)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        derive::prefixed(&mut bytes, LABEL);
        bytes.extend_from_slice(&self.vault.to_bytes());
        bytes.extend_from_slice(&self.slot.to_bytes());
        bytes.extend_from_slice(&self.contact);
        bytes.extend_from_slice(&self.capsule);
        bytes.extend_from_slice(&self.reply);
        bytes
    }

    /// The vault that is to be opened.
    pub fn vault(&self) -> VaultId {
        self.vault
    }

    /// The key slot that is to open it.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// The public key of the contact who is asked.
    pub fn contact(&self) -> [u8; 32] {
        self.contact
    }
}

impl fmt::Debug for EmergencyQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmergencyQuestion(..)")
    }
}

/// A request to a contact, on the device that has the vault. Only this value can use the answer, so
/// keep it until the answer comes; a request that is dropped is never answered.
pub struct EmergencyRequest {
    question: EmergencyQuestion,
    reply: SecretKey,
}

impl EmergencyRequest {
    pub(super) fn make(vault: VaultId, slot: SlotId, contact: &Contact) -> Result<Self> {
        let reply = SecretKey::make()?;
        let question = EmergencyQuestion {
            vault,
            slot,
            contact: contact.public,
            capsule: contact.capsule.clone(),
            reply: sealing::public_key(&reply),
        };
        Ok(Self { question, reply })
    }

    /// The same request with another reply key.
    #[cfg(test)]
    pub(crate) fn replying_to(mut self, reply: SecretKey) -> Self {
        self.question.reply = sealing::public_key(&reply);
        Self { reply, ..self }
    }

    /// The request, to be brought to the contact: 191 bytes, which fit a QR code. It holds nothing
    /// that the vault's files do not show.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.question.to_bytes()
    }

    /// What is in an answer; nothing where it is none to this request.
    pub(crate) fn open(&self, answer: &[u8]) -> Option<ContactSecret> {
        if answer.len() != CAPSULE {
            return None;
        }
        let place = mail(self.question.vault, self.question.slot, Table::Answer);
        let answer = Sealed::from_stored(answer.to_vec());
        let secret = sealing::collect(&self.reply, &place, answer).ok()?;
        Some(ContactSecret(SecretBytes::copy_of(secret.expose())))
    }
}

impl fmt::Debug for EmergencyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmergencyRequest(..)")
    }
}

/// What stands in the header of the contact.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) public: [u8; 32],
    pub(super) capsule: Vec<u8>,
}

impl Contact {
    /// Seals a slot's secret to a contact.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPublicKey`], [`ErrorKind::RandomUnavailable`].
    pub(crate) fn make(
        vault: VaultId,
        slot: SlotId,
        public: &[u8; 32],
        secret: &ContactSecret,
    ) -> Result<Self> {
        let place = mail(vault, slot, Table::Capsule);
        let sealed = sealing::post(public, &place, &[secret.0.expose()]);
        let sealed = sealed.map_err(|error| match error.kind() {
            ErrorKind::HeaderDamaged => ErrorKind::InvalidPublicKey.into(),
            _ => error,
        })?;
        Ok(Self {
            public: *public,
            capsule: sealed.as_bytes().to_vec(),
        })
    }
}

/// The secret of a contact's slot, which comes back in the answer.
pub(crate) struct ContactSecret(SecretBytes);

impl ContactSecret {
    pub(crate) fn make() -> Result<Self> {
        let mut secret = SecretBytes::zeroed(32);
        random::fill(secret.expose_mut())?;
        Ok(Self(secret))
    }

    /// The factor that the secret gives in this vault.
    pub(crate) fn key(&self, vault: VaultId) -> CodeKey {
        CodeKey(derive::code_key(&vault, &self.0, USE))
    }
}

fn mail(vault: VaultId, slot: SlotId, table: Table) -> Mail<'static> {
    let number = u64::from_le_bytes(slot.to_bytes());
    Mail {
        place: Context::of_class(vault, Class::Emergency, table, number),
        psk: None,
    }
}
