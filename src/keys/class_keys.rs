//! A class key and everything derived from it, held while the class is open.

use subtle::ConstantTimeEq;

use super::derive::{self, ClassKeyUse};
use crate::class::Class;
use crate::error::Result;
use crate::id::{RecordId, VaultId};
use crate::sealing::{PageSealer, Table};
use crate::secret::SecretKey;

/// What a look-up token stands for (spec 03, "Look-up tokens").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TokenSpace {
    Kind,
    ContentType,
    Subject,
    Client,
    NoSubject,
    Search,
}

impl TokenSpace {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Kind => 1,
            Self::ContentType => 2,
            Self::Subject => 3,
            Self::Client => 4,
            Self::NoSubject => 5,
            Self::Search => 6,
        }
    }
}

/// The keys of one open class.
pub(crate) struct ClassKeys {
    vault: VaultId,
    class: Class,
    root: SecretKey,
    blind: SecretKey,
    cursor: SecretKey,
    entries: SecretKey,
    header_mac: SecretKey,
    intents: SecretKey,
    rows: SecretKey,
    settings: SecretKey,
    subject_wrap: SecretKey,
    terms: SecretKey,
}

impl ClassKeys {
    pub(crate) fn derive(vault: VaultId, class: Class, root: SecretKey) -> Self {
        let key = |usage| derive::class_key(&root, &vault, class, usage);
        Self {
            vault,
            class,
            blind: key(ClassKeyUse::Blind),
            cursor: key(ClassKeyUse::Cursor),
            entries: key(ClassKeyUse::Entries),
            header_mac: key(ClassKeyUse::HeaderMac),
            intents: key(ClassKeyUse::Intents),
            rows: key(ClassKeyUse::Rows),
            settings: key(ClassKeyUse::Settings),
            subject_wrap: key(ClassKeyUse::SubjectWrap),
            terms: key(ClassKeyUse::Terms),
            root,
        }
    }

    /// A new class: its random key, made once.
    pub(crate) fn make(vault: VaultId, class: Class) -> Result<Self> {
        Ok(Self::derive(vault, class, SecretKey::make()?))
    }

    /// The same keys once more, for a database that is opened anew.
    pub(crate) fn again(&self) -> Self {
        let root = SecretKey::copy_of(self.root.expose());
        Self::derive(self.vault, self.class, root)
    }

    pub(crate) fn vault(&self) -> VaultId {
        self.vault
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    pub(crate) fn cursor(&self) -> &SecretKey {
        &self.cursor
    }

    /// What seals the entries of this class's audit trail.
    pub(crate) fn entries(&self) -> &SecretKey {
        &self.entries
    }

    /// What seals the key that an audit trail began with. Only the Priority class's is used.
    pub(crate) fn audit_root(&self) -> SecretKey {
        derive::class_key(&self.root, &self.vault, self.class, ClassKeyUse::AuditRoot)
    }

    /// What makes the key pair for mail to this class (spec 10).
    pub(crate) fn inbox(&self) -> SecretKey {
        derive::class_key(&self.root, &self.vault, self.class, ClassKeyUse::Inbox)
    }

    /// What shows of a deposit that its writer had this class open. Only the Standard class's is used.
    pub(crate) fn deposits(&self) -> SecretKey {
        derive::class_key(&self.root, &self.vault, self.class, ClassKeyUse::Deposit)
    }

    pub(crate) fn intents(&self) -> &SecretKey {
        &self.intents
    }

    pub(crate) fn settings(&self) -> &SecretKey {
        &self.settings
    }

    pub(crate) fn subject_wrap(&self) -> &SecretKey {
        &self.subject_wrap
    }

    pub(crate) fn terms(&self) -> &SecretKey {
        &self.terms
    }

    /// The token under which a text is looked up in this class.
    pub(crate) fn token(&self, space: TokenSpace, text: &str) -> [u8; 16] {
        let mut prefixed = Vec::with_capacity(5);
        prefixed.push(space.code());
        let length = u32::try_from(text.len()).expect("names are bounded before they get here");
        prefixed.extend_from_slice(&length.to_le_bytes());
        let mac = derive::mac(&self.blind, &[&prefixed, text.as_bytes()]);
        *mac.first_chunk().expect("a MAC is longer than a token")
    }

    /// What a row adds to the hash over all rows of this class (spec 08).
    pub(crate) fn row_hash(
        &self,
        table: Table,
        id: RecordId,
        revision: u64,
        tag: &[u8; 16],
    ) -> [u8; 32] {
        let (id, revision) = (id.to_bytes(), revision.to_le_bytes());
        derive::mac(&self.rows, &[&[1, table.code()], &id, &revision, tag])
    }

    /// What a state of this class's database is told from every other by (spec 08).
    pub(crate) fn root(&self, state: &[&[u8]]) -> [u8; 16] {
        let parts: Vec<&[u8]> = [[2].as_slice()]
            .into_iter()
            .chain(state.iter().copied())
            .collect();
        let mac = derive::mac(&self.rows, &parts);
        *mac.first_chunk().expect("a MAC is longer than a root")
    }

    /// What seals the pages of this class's database.
    pub(crate) fn page_sealer(&self) -> PageSealer {
        let key = derive::class_key(&self.root, &self.vault, self.class, ClassKeyUse::Page);
        PageSealer::new(key, self.vault, self.class)
    }

    pub(super) fn class_key(&self) -> &SecretKey {
        &self.root
    }

    /// The key that seals the recovery code key beside its slot.
    pub(super) fn escrow(&self) -> SecretKey {
        derive::class_key(&self.root, &self.vault, self.class, ClassKeyUse::Escrow)
    }

    pub(super) fn header_mac(&self, signed: &str) -> [u8; 32] {
        derive::mac(&self.header_mac, &[signed.as_bytes()])
    }

    pub(super) fn verifies(&self, signed: &str, mac: &[u8; 32]) -> bool {
        self.header_mac(signed).ct_eq(mac).into()
    }
}
