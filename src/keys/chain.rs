//! The chain that holds an audit trail together (spec 09, "The chain"): links that anybody who reads
//! the trail can follow, and MACs under a key that goes with each entry.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::derive;
use crate::class::Class;
use crate::error::Result;
use crate::id::VaultId;
use crate::memory;
use crate::secret::SecretKey;

/// What an entry is chained by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) link: [u8; 32],
    pub(crate) mac: [u8; 16],
}

/// Where a chain stands: how many entries it has, the last one's link, and the key of the next.
pub(crate) struct Chain {
    vault: VaultId,
    class: Class,
    entries: u64,
    link: [u8; 32],
    key: SecretKey,
}

impl Chain {
    /// A chain without an entry.
    pub(crate) fn begin(vault: VaultId, class: Class, key: SecretKey) -> Self {
        Self::at(vault, class, 0, [0; 32], key)
    }

    /// A new chain: its first key is random.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RandomUnavailable`](crate::ErrorKind::RandomUnavailable).
    pub(crate) fn make(vault: VaultId, class: Class) -> Result<Self> {
        Ok(Self::begin(vault, class, SecretKey::make()?))
    }

    pub(crate) fn at(
        vault: VaultId,
        class: Class,
        entries: u64,
        link: [u8; 32],
        key: SecretKey,
    ) -> Self {
        Self {
            vault,
            class,
            entries,
            link,
            key,
        }
    }

    /// The same chain once more, for a transaction that may be rolled back.
    pub(crate) fn again(&self) -> Self {
        let key = SecretKey::copy_of(self.key.expose());
        Self { key, ..*self }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    pub(crate) fn link(&self) -> [u8; 32] {
        self.link
    }

    /// The key of the next entry.
    pub(crate) fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Takes the next entry, and gives what it is chained by. The key that made its MAC is gone then.
    pub(crate) fn append(&mut self, event: &[u8]) -> Seal {
        self.follow(event);
        let (next, mac_key) = derive::audit_step(&self.vault, self.class, &self.key);
        self.key = next;
        Seal {
            link: self.link,
            mac: *derive::mac(&mac_key, &[&self.link])
                .first_chunk()
                .expect("half of it is shorter"),
        }
    }

    /// The same without the key: the link of the next entry.
    pub(crate) fn follow(&mut self, event: &[u8]) -> [u8; 32] {
        self.entries = self.entries.saturating_add(1);
        self.link = link(self.vault, self.class, self.entries, &self.link, event);
        memory::scrub_stack::<{ memory::HASH_DEPTH }>();
        self.link
    }
}

impl Seal {
    /// Whether this is its MAC.
    pub(crate) fn has_mac(&self, mac: &[u8; 16]) -> bool {
        self.mac.ct_eq(mac).into()
    }

    /// Whether both were made by the same chain for the same event.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.link == other.link && self.has_mac(&other.mac)
    }
}

const LABEL: &[u8] = b"vitalock/1/audit-link";

#[inline(never)]
fn link(vault: VaultId, class: Class, entry: u64, before: &[u8; 32], event: &[u8]) -> [u8; 32] {
    let mut label = Vec::with_capacity(LABEL.len() + 4);
    derive::prefixed(&mut label, LABEL);
    let mut hash = Sha256::new();
    for part in [
        &*label,
        &vault.to_bytes(),
        &[class.code()],
        &entry.to_le_bytes(),
        before,
        event,
    ] {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::copy_of(&[7; 32])
    }

    fn chain() -> Chain {
        Chain::begin(VaultId::from_bytes([1; 16]), Class::Standard, key())
    }

    #[test]
    fn the_same_events_in_the_same_order_give_the_same_chain_and_no_others_do() {
        let run = |events: &[&[u8]]| {
            let mut chain = chain();
            let seals: Vec<Seal> = events.iter().map(|event| chain.append(event)).collect();
            (seals, *chain.key().expose())
        };
        let (seals, after) = run(&[b"a", b"b"]);
        assert_eq!(run(&[b"a", b"b"]).0, seals);
        assert_eq!(run(&[b"a", b"c"]).0[0], seals[0]);
        let others: [&[&[u8]]; 4] = [&[b"a", b"c"], &[b"b", b"a"], &[b"ab"], &[b"b"]];
        for other in others {
            assert!(!run(other).0.last().unwrap().matches(&seals[1]));
        }
        assert_ne!(after, *key().expose());
    }

    #[test]
    fn a_chain_belongs_to_its_vault_and_class() {
        let seal = chain().append(b"a");
        for (vault, class) in [(2, Class::Standard), (1, Class::Emergency)] {
            let mut other = Chain::begin(VaultId::from_bytes([vault; 16]), class, key());
            let other = other.append(b"a");
            assert!(other.link != seal.link && other.mac != seal.mac);
        }
    }

    #[test]
    fn the_key_that_is_left_makes_no_mac_of_an_entry_before() {
        let mut chain = chain();
        let seal = chain.append(b"a");
        // Whoever finds the chain afterwards begins with its present key.
        let mut forged = Chain::begin(
            VaultId::from_bytes([1; 16]),
            Class::Standard,
            SecretKey::copy_of(chain.key().expose()),
        );
        let forged = forged.append(b"a");
        assert_eq!(forged.link, seal.link);
        assert_ne!(forged.mac, seal.mac);
    }
}
