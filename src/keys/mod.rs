//! Where keys come from and how they are held.
//!
//! **Does** stretch passphrases, ask hosts for their shares, read and write key slots and the
//! header's text, derive every key from the class keys.
//! **Never** touches a file, makes a key on an error path, or derives a class key from a factor.
//! **Format** docs/spec/01-header.md, docs/spec/02-keys.md, docs/spec/07-attempts.md, the chain of
//! docs/spec/09-audit.md, the keys of docs/spec/10-inbox.md, and docs/spec/11-contact.md.
//!
//! ```text
//! slot, purpose standard:  passphrase --Argon2id--+ share + code --HKDF--> Standard, Emergency key
//! slot, purpose priority:  the same kinds of factor, released afresh       --> Priority key
//! class key (random) --HKDF--> header MAC | subject wrap | terms | settings | intents | cursor | blind
//! subject key (random, one per person and class) --> record bodies
//! ```

mod attempts;
mod auditor;
mod chain;
mod class_keys;
mod code;
mod contact;
mod credentials;
mod derive;
mod factors;
mod footprint;
mod header;
mod header_text;
mod kdf;
mod kind;
mod pair;
mod passphrase;
mod policy;
mod share;
mod slot;
#[cfg(test)]
mod vectors;

pub use auditor::AuditorKey;
pub use code::{EmergencyCode, RecoveryCode};
pub use contact::{ContactKey, EmergencyQuestion, EmergencyRequest};
pub use credentials::Credentials;
pub use footprint::Footprint;
pub use kdf::{Kdf, KdfParameters};
pub use kind::SlotKind;
pub use passphrase::Passphrase;
pub use policy::SessionPolicy;
pub use share::{KeyShare, Purpose, ShareError, ShareSink};

pub(crate) use attempts::{Attempts, Failed, Slots};
pub(crate) use auditor::seal_to_auditor;
pub(crate) use chain::{Chain, Seal};
pub(crate) use class_keys::{ClassKeys, TokenSpace};
pub(crate) use code::{Code, CodeKey};
pub(crate) use contact::ContactSecret;
pub(crate) use factors::Factors;
pub(crate) use header::{Header, Inbox, RetiredShare, StoredHeader};
pub(crate) use kind::WrapPurpose;
pub(crate) use slot::Slot;
