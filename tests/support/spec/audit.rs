//! The entries of an audit trail, and the chain that they make.
//!
//! **Does** read entries, follow the links, check the MACs where the first key is known, and write
//! entries anew as somebody would who holds the keys of today.
//! **Format** docs/spec/09-audit.md.

use super::fields::Fields;
use super::primitives::{hkdf, open, seal, sha256};
use super::rows::State;
use super::{ClassKeys, Key, array, hmac, lp};

pub struct Entry {
    pub number: u64,
    pub link: Key,
    mac: [u8; 16],
    event: Vec<u8>,
    pub at: i64,
    pub actor: String,
    pub purpose: String,
    pub stage: u8,
    pub failure: String,
    pub what: u8,
    pub details: Vec<u8>,
}

impl Entry {
    pub(super) fn read(number: u64, bytes: &[u8]) -> Self {
        let mut fields = Fields(bytes);
        assert_eq!(fields.byte(), 1);
        let (link, mac) = (fields.key(), fields.id());
        Self::parse(number, link, mac, fields.rest())
    }

    fn parse(number: u64, link: Key, mac: [u8; 16], bytes: &[u8]) -> Self {
        let mut fields = Fields(bytes);
        let event = bytes.to_vec();
        let entry = Self {
            number,
            link,
            mac,
            at: fields.time(),
            actor: fields.text(),
            purpose: fields.text(),
            stage: fields.byte(),
            failure: fields.text(),
            what: fields.byte(),
            details: fields.rest().to_vec(),
            event,
        };
        assert!((1..=3).contains(&entry.stage) && (1..=22).contains(&entry.what));
        assert_eq!(entry.failure.is_empty(), entry.stage != 3);
        entry
    }

    /// The entries of a segment that ends with this one.
    pub fn unpack(bytes: &[u8], vault: &[u8; 16], class: u8) -> Vec<Self> {
        let mut fields = Fields(bytes);
        assert_eq!(fields.byte(), 1);
        let (first, mut link) = (fields.number(), fields.key());
        let mut entries: Vec<Self> = Vec::new();
        while !fields.0.is_empty() {
            let mac = fields.id();
            let event = fields.prefixed().to_vec();
            let number = first + entries.len() as u64;
            let mut entry = Self::parse(number, [0; 32], mac, &event);
            link = entry.link_after(&link, vault, class);
            entry.link = link;
            entries.push(entry);
        }
        entries
    }

    /// The link that this entry has after another.
    pub(super) fn link_after(&self, before: &Key, vault: &[u8; 16], class: u8) -> Key {
        let parts = [
            &lp(b"vitalock/1/audit-link"),
            &vault[..],
            &[class],
            &self.number.to_le_bytes(),
            before,
            &self.event,
        ];
        sha256(&parts.concat())
    }
}

/// Checks every MAC of a trail, with the Priority class's keys. Gives the chain's keys, which are gone.
pub fn check_macs(
    vault: &[u8; 16],
    class: u8,
    priority: &ClassKeys,
    state: &State,
    entries: &[Entry],
) -> Vec<Key> {
    let place = [
        &lp(b"vitalock/1/row")[..],
        &[1],
        vault,
        &[class, 6],
        &lp(b""),
        &[0; 16],
        &3_u64.to_le_bytes(),
        &[0; 16],
    ];
    let root = open(&priority.audit_root, &place.concat(), &state.root).unwrap();
    let mut key: Key = array(&root);
    let info = [lp(b"vitalock/1/audit-step"), vec![class]].concat();
    let mut keys = Vec::new();
    for entry in entries {
        keys.push(key);
        let step = hkdf(vault, &key, &info, 64);
        assert_eq!(hmac(&step[32..], &entry.link)[..16], entry.mac);
        key = array(&step[..32]);
    }
    assert_eq!(key, state.next_key);
    keys
}

/// Somebody who holds the keys of a class as they are now, and nothing that was wiped.
pub struct Insider<'a> {
    vault: [u8; 16],
    keys: &'a ClassKeys,
}

/// A trail that is written anew from some entry on.
pub struct Forged {
    link: Key,
    /// The state as it was, whose fields but the link stay.
    state: Vec<u8>,
    key: Key,
}

impl<'a> Insider<'a> {
    pub fn new(vault: &[u8; 16], keys: &'a ClassKeys) -> Self {
        Self {
            vault: *vault,
            keys,
        }
    }

    pub fn entry(&self, number: u64, body: &[u8]) -> Entry {
        let place = self.place(9, number);
        Entry::read(number, &open(&self.keys.entries, &place, body).unwrap())
    }

    /// A segment in which one entry names another actor, with the MAC that it had.
    pub fn repack(&self, last: u64, body: &[u8], number: u64) -> Vec<u8> {
        let plain = open(&self.keys.entries, &self.place(14, last), body).unwrap();
        let entries = Entry::unpack(&plain, &self.vault, self.keys.class);
        let mut packed = plain[..41].to_vec();
        for entry in entries {
            let mut event = entry.event;
            if entry.number == number {
                let place = event.windows(3).position(|word| word == b"ada").unwrap();
                event[place..place + 3].copy_from_slice(b"eve");
            }
            packed.extend([&entry.mac[..], &lp(&event)].concat());
        }
        self.envelope(&self.keys.entries, 14, last, &packed)
    }

    pub fn begin(&self, state: &[u8]) -> Forged {
        let state = open(&self.keys.settings, &self.place(6, 2), state).unwrap();
        Forged {
            link: [0; 32],
            key: array(&state[81..113]),
            state,
        }
    }

    pub fn segment(&self, last: u64, plain: &[u8]) -> Vec<u8> {
        self.envelope(&self.keys.entries, 14, last, plain)
    }

    pub fn with_auditor(&self, settings: &[u8]) -> Vec<u8> {
        let mut plain = open(&self.keys.settings, &self.place(6, 1), settings).unwrap();
        assert_eq!(plain.len(), 3);
        plain.extend([9; 32]);
        self.envelope(&self.keys.settings, 6, 1, &plain)
    }

    fn place(&self, table: u8, number: u64) -> Vec<u8> {
        [
            &lp(b"vitalock/1/row")[..],
            &[1],
            &self.vault,
            &[self.keys.class, table],
            &lp(b""),
            &[0; 16],
            &number.to_le_bytes(),
            &[0; 16],
        ]
        .concat()
    }

    fn envelope(&self, key: &Key, table: u8, number: u64, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).unwrap();
        let sealed = seal(key, &self.place(table, number), &nonce, plain);
        [&[1], &nonce[..], &sealed].concat()
    }
}

impl Forged {
    /// The entry stays as it is.
    pub fn keep(&mut self, entry: &Entry) {
        self.link = entry.link;
    }

    /// The entry as it shall be from now on.
    pub fn write(&mut self, insider: &Insider<'_>, entry: &Entry) -> Vec<u8> {
        let text = |text: &str| lp(text.as_bytes());
        let event = [
            &entry.at.to_le_bytes()[..],
            &text(&entry.actor),
            &text(&entry.purpose),
            &[entry.stage],
            &text(&entry.failure),
            &[entry.what],
            &entry.details,
        ]
        .concat();
        let parts = [
            &lp(b"vitalock/1/audit-link"),
            &insider.vault[..],
            &[insider.keys.class],
            &entry.number.to_le_bytes(),
            &self.link,
            &event,
        ];
        self.link = sha256(&parts.concat());
        // The key of that day is gone: today's has to do.
        let info = [lp(b"vitalock/1/audit-step"), vec![insider.keys.class]].concat();
        let step = hkdf(&insider.vault, &self.key, &info, 64);
        let mac = hmac(&step[32..], &self.link);
        let plain = [&[1], &self.link[..], &mac[..16], &event].concat();
        insider.envelope(&insider.keys.entries, 9, entry.number, &plain)
    }

    pub fn appended_state(&self, insider: &Insider<'_>) -> Vec<u8> {
        let mut state = self.state.clone();
        let count = u64::from_le_bytes(state[41..49].try_into().unwrap()) + 1;
        state[41..49].copy_from_slice(&count.to_le_bytes());
        state[49..81].copy_from_slice(&self.link);
        let info = [lp(b"vitalock/1/audit-step"), vec![insider.keys.class]].concat();
        let step = hkdf(&insider.vault, &self.key, &info, 64);
        state[81..113].copy_from_slice(&step[..32]);
        insider.envelope(&insider.keys.settings, 6, 2, &state)
    }

    /// The state that goes with it.
    pub fn state(&self, insider: &Insider<'_>) -> Vec<u8> {
        let mut state = self.state.clone();
        state[49..81].copy_from_slice(&self.link);
        insider.envelope(&insider.keys.settings, 6, 2, &state)
    }
}
