//! Every secret of a vault, by a reader that shares nothing with the crate, and where it may be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use unicode_normalization::UnicodeNormalization as _;

use crate::canary::{self, Field};
use crate::dump::Pieces;
use crate::person::{Platform, Secrets};
use crate::spec::{self, EMERGENCY, Factors, Header, Key, PRIORITY, STANDARD, Share};

/// What a secret is, as far as it matters for when it may be in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// What a person brings and what is made of it on the way to a key.
    Factor,
    /// What exists only while a cipher or a hash runs.
    Passing,
    /// The keys of a class, while it is open.
    Keys(u8),
    /// Kinds, content types and people of a class, while it is open.
    Names(u8),
    /// What only a record that the app holds contains.
    Body,
    /// What belonged to someone who was erased.
    Erased,
}

pub(crate) struct Needles {
    pub(crate) pieces: Pieces,
    names: Vec<(String, Group)>,
    known: HashSet<Vec<u8>>,
    /// Subject keys by class and name, to move them when their subject is erased.
    subjects: HashMap<(u8, String), Vec<usize>>,
    seed: u64,
}

impl Needles {
    pub(crate) fn new(seed: u64, secrets: &Secrets) -> Self {
        let mut needles = Self {
            pieces: Pieces::new(),
            names: Vec::new(),
            known: HashSet::new(),
            subjects: HashMap::new(),
            seed,
        };
        for class in [EMERGENCY, STANDARD, PRIORITY] {
            for field in Field::ALL {
                needles.add_canary(class, field);
            }
        }
        for (name, text) in secrets.all() {
            needles.add_text(name, text);
            for usage in [1, 2] {
                if let Some(bits) = spec::code_bits(text, usage) {
                    needles.add(&format!("{name}: bits"), Group::Factor, &bits);
                }
            }
        }
        needles
    }

    pub(crate) fn name(&self, needle: usize) -> (&str, Group) {
        let (name, group) = &self.names[needle];
        (name, *group)
    }

    /// A text that a person types, in the forms that code might turn it into.
    pub(crate) fn add_text(&mut self, name: &str, text: &str) {
        let normal: String = text.nfc().collect();
        let points: Vec<u8> = normal
            .chars()
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect();
        let bare: String = text.chars().filter(|c| *c != '-').collect();
        for (form, bytes) in [
            ("as typed", text.as_bytes()),
            ("in NFC", normal.as_bytes()),
            ("as code points", &points),
            ("in lower case", text.to_lowercase().as_bytes()),
            ("without hyphens", bare.as_bytes()),
        ] {
            self.add(&format!("{name} {form}"), Group::Factor, bytes);
        }
    }

    pub(crate) fn add_factor(&mut self, name: &str, secret: &[u8]) {
        self.add(name, Group::Factor, secret);
    }

    /// Everything secret that the vault's files give to whoever has all the factors.
    pub(crate) fn learn(&mut self, dir: &Path, platform: &Platform, secrets: &Secrets) {
        let Ok(text) = std::fs::read_to_string(dir.join("header")) else {
            return;
        };
        let header = Header::parse(&text);
        let mut roots = BTreeMap::new();
        for slot in &header.slots {
            for wrap in &slot.wraps {
                let name = format!("{} {}", slot.kind, wrap.purpose);
                let Some(opened) = unwrap(&header, slot, &wrap.purpose, platform, secrets) else {
                    continue;
                };
                for (what, key) in [
                    ("Argon2id output", opened.stretched),
                    ("share", opened.share),
                    ("code key", opened.code),
                    ("extracted key", Some(opened.extracted)),
                    ("key-encryption key", Some(opened.kek)),
                ] {
                    if let Some(key) = key {
                        self.add(&format!("{name}: {what}"), Group::Factor, &key);
                    }
                }
                for block in &opened.last_blocks {
                    self.add(&format!("{name}: last block"), Group::Passing, block);
                }
                self.add_schedule(&name, &opened.kek);
                self.add_hash_states(&name, &opened.extracted);
                roots.extend(opened.class_keys.iter().copied());
            }
        }
        let priority = roots.get(&PRIORITY);
        let priority = priority.map(|root| header.class_keys(PRIORITY, root));
        for (class, root) in roots {
            let keys = header.class_keys(class, &root);
            assert!(header.verifies(&keys));
            for (name, key) in keys.all() {
                let group = match name {
                    "extracted class key"
                    | "escrow key"
                    | "audit-root key"
                    | "inbox key"
                    | "deposit key"
                    | "private key" => Group::Passing,
                    _ => Group::Keys(class),
                };
                let name = format!("{name} of class {class}");
                self.add(&name, group, &key);
                self.add_schedule(&name, &key);
                self.add_hash_states(&name, &key);
            }
            self.learn_rows(dir, &header, &keys, priority.as_ref());
        }
    }

    fn learn_rows(
        &mut self,
        dir: &Path,
        header: &Header,
        keys: &spec::ClassKeys,
        priority: Option<&spec::ClassKeys>,
    ) {
        let class = keys.class;
        let content = spec::read_class(dir, header.vault, keys);
        if let Some(priority) = priority {
            // What made the MACs of entries that are written: nobody has it any more.
            let (state, entries) = (&content.state, &content.entries);
            let gone = spec::audit::check_macs(&header.vault, class, priority, state, entries);
            for key in gone.iter().take(8) {
                self.add("key of an entry before", Group::Passing, key);
            }
        }
        for (at, key) in content.message_keys.iter().enumerate() {
            self.add("message key", Group::Passing, key);
            if at < 8 {
                self.add_schedule("message", key);
            }
        }
        for subject in content.subjects {
            let name = subject.name.unwrap_or_default();
            let what = format!("subject key of class {class}");
            let needle = self.add(&what, Group::Keys(class), &subject.key);
            self.subjects
                .entry((class, name))
                .or_default()
                .extend(needle);
            self.add_schedule(&what, &subject.key);
        }
    }

    /// From now on nothing of this person may be in memory.
    pub(crate) fn erase_subject(&mut self, class: u8, field: Field) {
        let mut name = [0; canary::LENGTH];
        canary::fill(self.seed, class, field, &mut name);
        let name = String::from_utf8(name.to_vec()).unwrap();
        let needles = self.subjects.get(&(class, name.clone()));
        for needle in needles.into_iter().flatten() {
            self.names[*needle].1 = Group::Erased;
        }
        let what = format!("{field:?} of class {class}");
        for (_, group) in self.names.iter_mut().filter(|(name, _)| *name == what) {
            *group = Group::Erased;
        }
    }

    fn add_canary(&mut self, class: u8, field: Field) {
        let mut canary = [0; canary::LENGTH];
        canary::fill(self.seed, class, field, &mut canary);
        let group = match field {
            Field::Kind | Field::Subject | Field::OtherSubject | Field::ContentType => {
                Group::Names(class)
            }
            Field::Client | Field::Device | Field::App | Field::Body => Group::Body,
        };
        self.add(&format!("{field:?} of class {class}"), group, &canary);
        if field == Field::Body {
            // A body repeats it; pieces across the seam count too.
            canary.rotate_left(8);
            self.add(&format!("{field:?} of class {class}"), group, &canary);
            // As the search index has it.
            canary.rotate_right(8);
            canary.make_ascii_lowercase();
            let name = format!("{field:?} of class {class} as a word");
            self.add(&name, Group::Names(class), &canary);
        }
    }

    /// The round keys of AES-256, which give the key back.
    fn add_schedule(&mut self, name: &str, key: &Key) {
        for round in round_keys(key).chunks(16).skip(2) {
            self.add(&format!("{name}: round key"), Group::Passing, round);
        }
    }

    /// The first blocks of HMAC-SHA-256 and the states after them, which stand for the key.
    fn add_hash_states(&mut self, name: &str, key: &Key) {
        for pad in [0x36, 0x5C] {
            let mut block = [pad; 64];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            self.add(
                &format!("{name}: padded for HMAC"),
                Group::Passing,
                &block[..32],
            );
            let state = spec::sha256_state(&block);
            self.add(&format!("{name}: HMAC state"), Group::Passing, &state);
        }
    }

    fn add(&mut self, name: &str, group: Group, secret: &[u8]) -> Option<usize> {
        if !self.known.insert(secret.to_vec()) {
            return None;
        }
        let needle = self.names.len();
        self.names.push((name.to_owned(), group));
        // Two code points are nothing: tables are full of them.
        let by_words = !name.ends_with("code points");
        self.pieces.add(secret, needle, by_words);
        Some(needle)
    }
}

/// A class's keys, for who has all the factors.
pub(crate) fn keys(
    dir: &Path,
    class: u8,
    platform: &Platform,
    secrets: &Secrets,
) -> (Header, spec::ClassKeys) {
    let header = Header::parse(&std::fs::read_to_string(dir.join("header")).unwrap());
    let root = header
        .slots
        .iter()
        .flat_map(|slot| slot.wraps.iter().map(move |wrap| (slot, wrap)))
        .filter_map(|(slot, wrap)| unwrap(&header, slot, &wrap.purpose, platform, secrets))
        .find_map(|opened| {
            let mut keys = opened.class_keys.iter();
            keys.find(|(of, _)| *of == class).map(|(_, key)| *key)
        });
    let keys = header.class_keys(class, &root.unwrap());
    (header, keys)
}

/// What a wrap gives to the right factors; the same wrap is opened once in a run.
fn unwrap(
    header: &Header,
    slot: &spec::Slot,
    purpose: &str,
    platform: &Platform,
    secrets: &Secrets,
) -> Option<std::sync::Arc<spec::Unwrapped>> {
    type Opened = Option<std::sync::Arc<spec::Unwrapped>>;
    static OPENED: Mutex<BTreeMap<String, Opened>> = Mutex::new(BTreeMap::new());
    let wrap = slot.wraps.iter().find(|wrap| wrap.purpose == purpose)?;
    let name = format!("{} {purpose} {}", slot.line, wrap.bound());
    let known = OPENED.lock().unwrap().get(&name).cloned();
    if let Some(known) = known {
        return known;
    }
    let release = |share: &Share, purpose: &str| {
        platform.share(purpose == "priority", &share.blob, &share.challenge)
    };
    // Only what the slot takes is tried in all its forms.
    let passphrases = secrets.passphrases().into_iter();
    let passphrases: Vec<_> = passphrases
        .take(if wrap.kdf.is_some() { 9 } else { 1 })
        .collect();
    let with_code = slot.kind.starts_with("recovery") || slot.kind == "emergency";
    let codes: Vec<_> = secrets
        .codes()
        .into_iter()
        .take(if with_code { 9 } else { 1 })
        .collect();
    let mut opened = None;
    for passphrase in passphrases {
        for code in &codes {
            let factors = Factors {
                passphrase,
                release: &release,
                recovery_code: code,
                emergency_code: code,
            };
            opened = opened.or_else(|| header.unwrap(slot, purpose, factors).ok());
        }
    }
    let opened = opened.map(std::sync::Arc::new);
    OPENED.lock().unwrap().insert(name, opened.clone());
    opened
}

/// The key schedule of AES-256 (FIPS 197), from its definition.
fn round_keys(key: &Key) -> Vec<u8> {
    let mut words: Vec<[u8; 4]> = key.chunks(4).map(spec::array).collect();
    let mut constant = 1_u8;
    for at in 8..60 {
        let mut word = words[at - 1];
        if at % 8 == 0 {
            word.rotate_left(1);
            word = word.map(substitute);
            word[0] ^= constant;
            constant = times_two(constant);
        } else if at % 8 == 4 {
            word = word.map(substitute);
        }
        words.push(std::array::from_fn(|byte| word[byte] ^ words[at - 8][byte]));
    }
    words.concat()
}

fn substitute(byte: u8) -> u8 {
    static BOX: OnceLock<[u8; 256]> = OnceLock::new();
    BOX.get_or_init(|| std::array::from_fn(|byte| in_box(byte as u8)))[usize::from(byte)]
}

/// The S-box: the inverse in GF(2^8), then the affine map.
fn in_box(byte: u8) -> u8 {
    let times = |mut a: u8, mut b: u8| {
        let mut product = 0;
        while b > 0 {
            if b & 1 == 1 {
                product ^= a;
            }
            a = times_two(a);
            b >>= 1;
        }
        product
    };
    // The inverse is the 254th power.
    let inverse = (0..254).fold(1, |power, _| times(power, byte));
    let rotations = (1..5).fold(inverse, |sum, by| sum ^ inverse.rotate_left(by));
    rotations ^ 0x63
}

fn times_two(byte: u8) -> u8 {
    byte << 1 ^ if byte & 0x80 == 0 { 0 } else { 0x1B }
}

#[test]
fn the_key_schedule_is_that_of_fips_197() {
    let key = spec::array(&spec::unhex(
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    ));
    let last = &round_keys(&key)[56 * 4..];
    assert_eq!(spec::hex(last), "fe4890d1e6188d0b046df344706c631e");
}
