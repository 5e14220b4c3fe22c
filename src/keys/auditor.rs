//! An auditor's key, which alone opens what the trail of Priority began with (spec 09, "The auditor").

use super::chain::Chain;
use super::pair::second_party;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::VaultId;
use crate::sealing::{self, Context, Mail, Sealed, Table};
use crate::secret::SecretKey;

/// The key of an auditor, who can tell whether the audit trail of Priority was written anew, even by
/// the owner. It stays with them; its public half goes into the vault when it is made
/// ([`Options::auditor`](crate::Options::auditor)).
pub struct AuditorKey(SecretKey);

second_party!(AuditorKey, "auditor");

impl AuditorKey {
    /// Checks a public key before anything depends on it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPublicKey`], [`ErrorKind::RandomUnavailable`].
    pub(crate) fn check(public: &[u8; 32]) -> Result<()> {
        let vault = VaultId::make()?;
        let chain = Chain::make(vault, Class::Priority)?;
        seal_to_auditor(public, &chain, vault).map(drop)
    }

    /// The beginning of a trail, out of what was sealed to the auditor.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidEvidence`] where it was sealed to another, or changed.
    pub(crate) fn begin(&self, vault: VaultId, sealed: Sealed) -> Result<Chain> {
        let opened = sealing::collect(&self.0, &mail(vault), sealed);
        let opened = opened.map_err(|_| ErrorKind::InvalidEvidence)?;
        match opened.expose().len() {
            32 => {
                let key = SecretKey::copy_of(opened.expose());
                Ok(Chain::begin(vault, Class::Priority, key))
            }
            _ => Err(ErrorKind::InvalidEvidence.into()),
        }
    }
}

/// Seals the key that the trail of Priority begins with to an auditor.
///
/// # Errors
///
/// [`ErrorKind::InvalidPublicKey`], [`ErrorKind::RandomUnavailable`].
pub(crate) fn seal_to_auditor(public: &[u8; 32], chain: &Chain, vault: VaultId) -> Result<Sealed> {
    let sealed = sealing::post(public, &mail(vault), &[chain.key().expose()]);
    sealed.map_err(|error| match error.kind() {
        ErrorKind::HeaderDamaged => ErrorKind::InvalidPublicKey.into(),
        _ => error,
    })
}

fn mail(vault: VaultId) -> Mail<'static> {
    Mail {
        place: Context::of_class(vault, Class::Priority, Table::AuditorRoot, 3),
        psk: None,
    }
}
