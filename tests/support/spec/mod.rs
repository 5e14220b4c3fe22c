//! A second reader of the format, written from docs/spec alone: header, keys, rows.
//!
//! **Does** everything that a program with the files and the factors could do, and checks on the
//! way every rule that the specification makes for what it meets.
//! **Never** calls this project: only the primitives come from elsewhere, and XAES-256-GCM is put
//! together here from AES and AES-GCM.
//! **Format** docs/spec/01-header.md, 02-keys.md, 03-sealed-record.md, 05-schema-and-pragmas.md,
//! 06-page-seal.md, 08-anchor.md, 09-audit.md, 10-inbox.md in part.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_debug_implementations,
    reason = "a test may fail where it stands"
)]

use std::path::Path;

use primitives::{argon2id, hkdf};
use unicode_normalization::UnicodeNormalization;

pub mod attempts;
pub mod audit;
mod class_keys;
mod fields;
pub mod pages;
mod primitives;
mod rows;

#[allow(unused_imports, reason = "each test binary uses its own part")]
pub use primitives::{array, code_bits, hex, hmac, lp, message_key, open, sha256_state, unhex};
#[allow(unused_imports, reason = "each test binary uses its own part")]
pub use rows::{Row, read_class};

pub use class_keys::ClassKeys;

pub const EMERGENCY: u8 = 1;
pub const STANDARD: u8 = 2;
pub const PRIORITY: u8 = 3;

pub type Key = [u8; 32];

/// What the host's key stores answer for a share and a purpose.
pub type Release<'a> = dyn Fn(&Share, &str) -> Option<Key> + 'a;

/// What a person brings. Each wrap takes what its kind asks for and leaves the rest.
#[derive(Clone, Copy)]
pub struct Factors<'a> {
    pub passphrase: &'a str,
    pub release: &'a Release<'a>,
    pub recovery_code: &'a str,
    pub emergency_code: &'a str,
}

pub struct Header {
    pub text: String,
    pub vault: [u8; 16],
    pub generation: u64,
    /// The lines of the policy, each after its first word.
    pub policy: [String; 2],
    /// The public keys of Standard and Priority.
    pub inbox: [Key; 2],
    pub slots: Vec<Slot>,
    pub retired: Vec<String>,
    /// Class, where its line begins, MAC; in the order of the file.
    macs: Vec<(u8, usize, Key)>,
}

#[derive(Clone)]
pub struct Slot {
    pub line: String,
    pub kind: String,
    pub escrow: Option<Vec<u8>>,
    /// A contact's public key and capsule.
    pub contact: Option<(Key, Vec<u8>)>,
    pub wraps: Vec<Wrap>,
}

#[derive(Clone)]
pub struct Wrap {
    pub purpose: String,
    pub kdf: Option<Kdf>,
    pub share: Option<Share>,
    salt: Key,
    commitment: Key,
    key: Vec<u8>,
    /// The line up to and including `salt=`.
    bound: String,
}

#[derive(Clone)]
pub struct Kdf {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
    pub salt: [u8; 16],
}

#[derive(Clone)]
pub struct Share {
    pub provider: String,
    pub challenge: Key,
    pub blob: Vec<u8>,
}

/// Everything secret on the way from the factors to the class keys of one wrap.
pub struct Unwrapped {
    pub stretched: Option<Key>,
    /// The last block of each of Argon2id's lanes, which the output is hashed from.
    pub last_blocks: Vec<Vec<u8>>,
    pub share: Option<Key>,
    pub code: Option<Key>,
    /// The pseudo-random key that HKDF extracts from the factors.
    pub extracted: Key,
    pub kek: Key,
    pub class_keys: Vec<(u8, Key)>,
}

impl Header {
    /// Reads both copies, which must be the same.
    pub fn read(vault: &Path) -> Self {
        let text = std::fs::read_to_string(vault.join("header")).unwrap();
        assert_eq!(
            text,
            std::fs::read_to_string(vault.join("header.2")).unwrap()
        );
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Self {
        assert!(text.len() <= 131_072 && text.ends_with('\n'));
        let mut lines = text.split_inclusive('\n').peekable();
        let mut at = 0;
        // Where the next line begins and what it says after `prefix`, if it begins with that.
        let mut next = |prefix: &str| -> Option<(usize, &str)> {
            let line = lines.next_if(|line| line.starts_with(prefix))?;
            let start = at;
            at += line.len();
            Some((start, line.strip_prefix(prefix)?.trim_end_matches('\n')))
        };
        assert_eq!(next("vitalock ").unwrap().1, "1");
        assert_eq!(next("suite ").unwrap().1, "1");
        let vault = array(&unhex(next("vault ").unwrap().1));
        let generation = next("generation ").unwrap().1.parse().unwrap();
        let policy = [next("session ").unwrap().1, next("lease ").unwrap().1];
        check_policy(policy);
        let anchored = next("anchor ").unwrap().1;
        assert!(["kept", "none"].contains(&anchored));
        let inbox = next("inbox ").unwrap().1.split_once(' ').unwrap();
        let inbox = [
            inbox.0.strip_prefix("standard=").unwrap(),
            inbox.1.strip_prefix("priority=").unwrap(),
        ]
        .map(|key| array(&unhex(key)));
        assert!(["disable", "wipe"].contains(&next("attempts tenth=").unwrap().1));
        let footprint = next("footprint ").unwrap().1;
        let cache = footprint.strip_prefix("cache=").map(str::parse::<u64>);
        assert!(footprint == "full" || (60..=315_360_000).contains(&cache.unwrap().unwrap()));
        let mut slots = Vec::new();
        while let Some((_, line)) = next("slot ") {
            let (_, kind) = line.split_once(' ').unwrap();
            let escrow = next("escrow ").map(|(_, escrow)| unhex(escrow));
            assert_eq!(escrow.is_some(), kind == "recovery-passphrase");
            let contact = next("contact ").map(|(_, contact)| {
                let (public, capsule) = contact.split_once(' ').unwrap();
                (array(&unhex(public)), unhex(capsule))
            });
            assert_eq!(contact.is_some(), kind == "emergency-contact");
            let mut wraps = Vec::new();
            while let Some((_, line)) = next("wrap ") {
                wraps.push(Wrap::parse(line));
            }
            let slot = Slot {
                line: format!("slot {line}"),
                kind: kind.to_owned(),
                escrow,
                contact,
                wraps,
            };
            slot.check_kind();
            slots.push(slot);
        }
        assert!((1..=16).contains(&slots.len()));
        let mut retired = Vec::new();
        while let Some((_, line)) = next("retired ") {
            retired.push(line.to_owned());
        }
        let macs = [
            (PRIORITY, "priority"),
            (STANDARD, "standard"),
            (EMERGENCY, "emergency"),
        ]
        .map(|(class, name)| {
            let (start, mac) = next(&format!("mac {name} ")).unwrap();
            (class, start, array(&unhex(mac)))
        })
        .to_vec();
        assert_eq!(at, text.len(), "there is more than the format knows");
        Self {
            text: text.to_owned(),
            vault,
            generation,
            policy: policy.map(str::to_owned),
            inbox,
            slots,
            retired,
            macs,
        }
    }

    /// Whether the MAC of the keys' class is right.
    pub fn verifies(&self, keys: &ClassKeys) -> bool {
        let (_, start, mac) = self.macs.iter().find(|mac| mac.0 == keys.class).unwrap();
        hmac(&keys.header_mac, &self.text.as_bytes()[..*start]) == *mac
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn vault_line(&self) -> String {
        format!("vault {}", hex(&self.vault))
    }

    pub fn slots_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Slot> {
        self.slots.iter().filter(move |slot| slot.kind == kind)
    }

    /// Opens one wrap of a slot. An error says at which step it went wrong.
    pub fn unwrap(
        &self,
        slot: &Slot,
        purpose: &str,
        factors: Factors<'_>,
    ) -> Result<Unwrapped, &'static str> {
        let wrap = slot.wraps.iter().find(|wrap| wrap.purpose == purpose);
        let wrap = wrap.ok_or("no wrap for this purpose")?;
        let mut last_blocks = Vec::new();
        let stretched = wrap.kdf.as_ref().map(|kdf| {
            let normal: String = factors.passphrase.nfc().collect();
            argon2id(normal.as_bytes(), kdf, &mut last_blocks)
        });
        let share = match &wrap.share {
            None => None,
            Some(share) => {
                let released = (factors.release)(share, purpose);
                Some(released.ok_or("the key store does not release the share")?)
            }
        };
        let code = match slot.kind.as_str() {
            "recovery-share" | "recovery-passphrase" | "recovery-code" => {
                Some(self.code_key(factors.recovery_code, 2)?)
            }
            "emergency" => Some(self.code_key(factors.emergency_code, 1)?),
            "emergency-contact" => return Err("the contact answers with a key of their own"),
            _ => None,
        };
        let ikm = [&stretched, &share, &code]
            .map(|factor| lp(factor.as_ref().map_or(&[], |key| key.as_slice())))
            .concat();
        let binding = format!("{}\n{}\n{}", self.vault_line(), slot.line, wrap.bound);
        let info = [lp(b"vitalock/1/slot"), lp(binding.as_bytes())].concat();
        let output = hkdf(&wrap.salt, &ikm, &info, 64);
        let kek = array(&output[..32]);
        if output[32..] != wrap.commitment {
            return Err("the commitment does not fit");
        }
        let keys = open(&kek, binding.as_bytes(), &wrap.key).ok_or("the wrap does not open")?;
        let classes: &[u8] = match purpose {
            "standard" => &[STANDARD, EMERGENCY],
            "priority" => &[PRIORITY],
            _ => &[EMERGENCY],
        };
        assert_eq!(keys.len(), 32 * classes.len());
        Ok(Unwrapped {
            stretched,
            last_blocks,
            share,
            code,
            extracted: hmac(&wrap.salt, &ikm),
            kek,
            class_keys: classes
                .iter()
                .copied()
                .zip(keys.chunks(32).map(array))
                .collect(),
        })
    }

    /// The recovery code's key out of what is kept beside a slot.
    pub fn escrowed(&self, slot: &Slot, priority: &ClassKeys) -> Option<Key> {
        let place = format!("{}\n{}", self.vault_line(), slot.line);
        let sealed = slot.escrow.as_ref()?;
        open(&priority.escrow, place.as_bytes(), sealed).map(|key| array(&key))
    }

    /// The factor that a written code gives.
    pub fn code_key(&self, typed: &str, usage: u8) -> Result<Key, &'static str> {
        let bits = code_bits(typed, usage).ok_or("the code is mistyped")?;
        let info = [lp(b"vitalock/1/code"), vec![usage]].concat();
        Ok(array(&hkdf(&self.vault, &bits, &info, 32)))
    }

    pub fn class_keys(&self, class: u8, root: &Key) -> ClassKeys {
        ClassKeys::derive(&self.vault, class, root)
    }
}

impl Slot {
    fn check_kind(&self) {
        let (passphrase, share) = match self.kind.as_str() {
            "primary" => (true, true),
            "biometric" | "recovery-share" => (false, true),
            "passphrase" | "recovery-passphrase" => (true, false),
            "recovery-code" | "emergency" | "emergency-contact" => (false, false),
            other => panic!("the format knows no slot of kind {other}"),
        };
        for wrap in &self.wraps {
            assert_eq!(
                (wrap.kdf.is_some(), wrap.share.is_some()),
                (passphrase, share)
            );
        }
        let purposes: Vec<&str> = self.wraps.iter().map(|wrap| &*wrap.purpose).collect();
        assert!(match self.kind.as_str() {
            "biometric" => purposes == ["standard"] || purposes == ["standard", "priority"],
            "emergency" | "emergency-contact" => purposes == ["emergency"],
            _ => purposes == ["standard", "priority"],
        });
    }
}

impl Wrap {
    /// What the wrap's keys are bound to beside the slot; no other wrap has the same.
    pub fn bound(&self) -> &str {
        &self.bound
    }

    fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields.len(), 6, "a purpose and five fields");
        let field = |at: usize, name: &str| fields[at].strip_prefix(name).unwrap();
        let kdf = match field(1, "kdf=") {
            "none" => None,
            cost => Some(Kdf::parse(cost.strip_prefix("argon2id:").unwrap())),
        };
        let share = match field(2, "share=") {
            "none" => None,
            share => {
                let parts: Vec<&str> = share.split(':').collect();
                assert_eq!(parts.len(), 3);
                Some(Share {
                    provider: parts[0].to_owned(),
                    challenge: array(&unhex(parts[1])),
                    blob: unhex(parts[2]),
                })
            }
        };
        Self {
            purpose: fields[0].to_owned(),
            kdf,
            share,
            salt: array(&unhex(field(3, "salt="))),
            commitment: array(&unhex(field(4, "commit="))),
            key: unhex(field(5, "key=")),
            bound: format!("wrap {}", fields[..4].join(" ")),
        }
    }
}

impl Kdf {
    fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split(':').collect();
        assert_eq!(parts.len(), 4);
        let number = |at: usize| parts[at].parse::<u32>().unwrap();
        let kdf = Self {
            memory_kib: number(0),
            passes: number(1),
            lanes: number(2),
            salt: array(&unhex(parts[3])),
        };
        assert!((19_456..=1_048_576).contains(&kdf.memory_kib));
        assert!((2..=16).contains(&kdf.passes) && (1..=8).contains(&kdf.lanes));
        kdf
    }
}

/// The limits of sessions and leases, each within the bounds of the specification.
fn check_policy([session, lease]: [&str; 2]) {
    let fields = session.split(' ').chain(lease.split(' '));
    let bounds = [
        ("idle=", 1, 900),
        ("absolute=", 1, 43_200),
        ("background=", 0, 30),
        ("seconds=", 1, 300),
        ("reads=", 1, 1_000_000),
    ];
    assert_eq!(fields.clone().count(), bounds.len());
    for (field, (name, least, most)) in fields.zip(bounds) {
        let number = field.strip_prefix(name).unwrap();
        if (name, number) != ("reads=", "unlimited") {
            let number: u32 = number.parse().unwrap();
            assert!((least..=most).contains(&number), "{field}");
        }
    }
}
