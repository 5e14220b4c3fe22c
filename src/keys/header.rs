//! The header as a value: slots, generation, and the MACs that vouch for its text.

use super::class_keys::ClassKeys;
use super::footprint::Footprint;
use super::header_text;
use super::kind::SlotKind;
use super::policy::SessionPolicy;
use super::share::Purpose;
use super::slot::Slot;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::VaultId;
use crate::sealing;

/// What a vault's header says.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) vault: VaultId,
    pub(crate) generation: u64,
    pub(crate) policy: SessionPolicy,
    /// The vault's generations are kept outside of it.
    pub(crate) anchored: bool,
    pub(crate) inbox: Inbox,
    /// The tenth failed attempt of an everyday slot ends the vault.
    pub(crate) wipes: bool,
    pub(crate) footprint: Footprint,
    pub(crate) slots: Vec<Slot>,
    pub(crate) retired: Vec<RetiredShare>,
}

/// The public keys for what is written while a class is closed (spec 10).
#[derive(Clone, Copy)]
pub(crate) struct Inbox {
    pub(crate) standard: [u8; 32],
    pub(crate) priority: [u8; 32],
}

impl Inbox {
    pub(crate) fn of(standard: &ClassKeys, priority: &ClassKeys) -> Self {
        let public = |keys: &ClassKeys| sealing::public_key(&keys.inbox());
        Self {
            standard: public(standard),
            priority: public(priority),
        }
    }
}

/// A platform key of a slot that is gone, until the host confirms that it is destroyed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RetiredShare {
    pub(crate) provider: String,
    pub(crate) purpose: Purpose,
    pub(crate) blob: Vec<u8>,
}

impl Header {
    pub(crate) const MAX_BYTES: usize = 128 * 1024;
    pub(crate) const MAX_SLOTS: usize = 16;
    pub(crate) const MAX_RETIRED: usize = 32;

    /// The header's text under the MACs of all three classes.
    pub(crate) fn to_text(&self, keys: [&ClassKeys; 3]) -> String {
        let mut text = header_text::body(self);
        for class in MAC_ORDER {
            let of_class = keys.iter().find(|keys| keys.class() == class);
            let mac = of_class
                .expect("a header is written with all three keys")
                .header_mac(&text);
            text.push_str(&header_text::mac_line(class, &mac));
        }
        text
    }

    /// The next version of this header.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SlotTableFull`] where it has more slots, or more platform keys waiting to be
    /// destroyed, than a header may hold.
    pub(crate) fn next(&self, slots: Vec<Slot>, retired: Vec<RetiredShare>) -> Result<Self> {
        if slots.len() > Self::MAX_SLOTS || retired.len() > Self::MAX_RETIRED {
            return Err(ErrorKind::SlotTableFull.into());
        }
        Ok(Self {
            generation: self.generation + 1,
            slots,
            retired,
            ..self.clone()
        })
    }

    /// The next version of this header, with another policy of sessions.
    pub(crate) fn with_policy(&self, policy: SessionPolicy) -> Self {
        Self {
            generation: self.generation + 1,
            policy,
            ..self.clone()
        }
    }

    pub(crate) fn slots_of(&self, kind: SlotKind) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.kind == kind)
    }
}

/// A header read from a file: parsed, and not yet believed.
pub(crate) struct StoredHeader {
    pub(crate) header: Header,
    pub(super) text: String,
    /// Where each MAC's line begins and what it says, in the order of the file.
    pub(super) macs: [(usize, [u8; 32]); 3],
}

impl StoredHeader {
    /// Reads a header's text strictly (spec 01).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::HeaderDamaged`], [`ErrorKind::UnsupportedFormat`],
    /// [`ErrorKind::KdfParametersRefused`].
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        header_text::parse(bytes)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the MAC of this class is right.
    pub(crate) fn verifies(&self, keys: &ClassKeys) -> bool {
        let mut macs = MAC_ORDER.into_iter().zip(&self.macs);
        let found = macs.find(|(class, _)| *class == keys.class());
        found.is_some_and(|(_, (start, mac))| {
            self.text
                .get(..*start)
                .is_some_and(|signed| keys.verifies(signed, mac))
        })
    }
}

/// Each MAC covers the lines of those before it, so the last covers the file (spec 01).
pub(super) const MAC_ORDER: [Class; 3] = [Class::Priority, Class::Standard, Class::Emergency];
