//! The keys of a class, and what is made of them.

use hpke::{Kem, Serializable};

use super::primitives::hkdf;
use super::{Key, array, hmac, lp};

/// A class key and all that is derived from it.
pub struct ClassKeys {
    pub class: u8,
    pub root: Key,
    /// The pseudo-random key that HKDF extracts from the class key.
    pub extracted: Key,
    pub header_mac: Key,
    pub subject_wrap: Key,
    pub terms: Key,
    pub settings: Key,
    pub intents: Key,
    pub page: Key,
    pub cursor: Key,
    pub blind: Key,
    pub escrow: Key,
    pub entries: Key,
    pub audit_root: Key,
    pub rows: Key,
    pub inbox: Key,
    pub deposit: Key,
    /// The private key that the inbox key makes.
    pub private: Key,
}

impl ClassKeys {
    pub fn derive(vault: &[u8; 16], class: u8, root: &Key) -> Self {
        let key = |label: &str| {
            let info = [lp(label.as_bytes()), vec![class]].concat();
            array(&hkdf(vault, root, &info, 32))
        };
        Self {
            class,
            root: *root,
            extracted: hmac(vault, root),
            header_mac: key("vitalock/1/header-mac"),
            subject_wrap: key("vitalock/1/subject-wrap"),
            terms: key("vitalock/1/terms"),
            settings: key("vitalock/1/settings"),
            intents: key("vitalock/1/intents"),
            page: key("vitalock/1/page"),
            cursor: key("vitalock/1/cursor"),
            blind: key("vitalock/1/blind"),
            escrow: key("vitalock/1/escrow"),
            entries: key("vitalock/1/entries"),
            audit_root: key("vitalock/1/audit-root"),
            rows: key("vitalock/1/rows"),
            inbox: key("vitalock/1/inbox"),
            deposit: key("vitalock/1/deposit"),
            private: private_key(&key("vitalock/1/inbox")),
        }
    }

    /// Every key, with a name for reports.
    pub fn all(&self) -> [(&'static str, Key); 17] {
        [
            ("class key", self.root),
            ("extracted class key", self.extracted),
            ("header MAC key", self.header_mac),
            ("subject-wrap key", self.subject_wrap),
            ("terms key", self.terms),
            ("settings key", self.settings),
            ("intents key", self.intents),
            ("page key", self.page),
            ("cursor key", self.cursor),
            ("blind key", self.blind),
            ("escrow key", self.escrow),
            ("entries key", self.entries),
            ("audit-root key", self.audit_root),
            ("rows key", self.rows),
            ("inbox key", self.inbox),
            ("deposit key", self.deposit),
            ("private key", self.private),
        ]
    }

    /// The look-up token of a text.
    pub fn token(&self, namespace: u8, text: &str) -> [u8; 16] {
        array(
            &hmac(
                &self.blind,
                &[vec![namespace], lp(text.as_bytes())].concat(),
            )[..16],
        )
    }
}

fn private_key(inbox: &Key) -> Key {
    let (private, _) = hpke::kem::X25519HkdfSha256::derive_keypair(inbox);
    array(&private.to_bytes())
}
