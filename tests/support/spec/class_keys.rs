//! The keys of a class, and what is made of them.

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
}

impl ClassKeys {
    /// Every key, with a name for reports.
    pub fn all(&self) -> [(&'static str, Key); 11] {
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
