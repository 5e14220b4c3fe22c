//! The three protection classes.
//!
//! **Does** name them and say their order.
//! **Never** decides who may open one.
//! **Format** one byte: 1, 2, 3.

/// How closely a record is kept. Each class is a database file of its own under a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What a clinician needs in an emergency. Opened by every session, and by the emergency slot
    /// alone.
    Emergency,
    /// The record at large. Opened by every session that unlocked with the owner's factors.
    Standard,
    /// Documents that need fresh proof of who is asking. Opened only by step-up, for a lease.
    Priority,
}

impl Class {
    /// Every class, lowest first.
    pub const ALL: [Self; 3] = [Self::Emergency, Self::Standard, Self::Priority];

    /// The class's number in the format.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Emergency => 1,
            Self::Standard => 2,
            Self::Priority => 3,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }
}
