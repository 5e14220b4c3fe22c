//! What the key slots tell.

use super::finding::Finding;
use super::finding::FindingState::{Attention, Good, Problem};
use crate::keys::{KdfParameters, SlotKind};
use crate::session::SlotInfo;

pub(super) fn factors(slots: &[SlotInfo]) -> Finding {
    let everyday: Vec<SlotKind> = slots.iter().map(|slot| slot.kind).collect();
    let alone = everyday.contains(&SlotKind::Passphrase);
    Finding {
        id: "factors.two",
        title: "Opening takes two factors",
        state: if alone { Attention } else { Good },
        evidence: match alone {
            true => String::from("A key slot opens with a passphrase and nothing else."),
            false => String::from(
                "Every everyday key slot takes a share that a key store or a server releases.",
            ),
        },
        advice: match alone {
            true => {
                "Replace the slot by one that takes a passphrase and a share (Slots::replace), \
             where the device has a key store."
            }
            false => "",
        },
        controls: &["164.312(d)", "MASVS-AUTH-2"],
    }
}

pub(super) fn kdf(slots: &[SlotInfo]) -> Finding {
    let costs: Vec<KdfParameters> = slots.iter().filter_map(|slot| slot.kdf).collect();
    let work = |cost: &KdfParameters| u64::from(cost.memory_kib()) * u64::from(cost.passes());
    let weakest = costs.iter().min_by_key(|cost| work(cost));
    let (state, evidence) = match weakest {
        None => (Good, String::from("No key slot takes a passphrase.")),
        Some(cost) => (
            if work(cost) < work(&KdfParameters::DEFAULT) {
                Attention
            } else {
                Good
            },
            format!(
                "The weakest passphrase slot is stretched by Argon2id with {} KiB, {} passes and \
             {} lanes; RFC 9106 recommends {} KiB, {} and {}.",
                cost.memory_kib(),
                cost.passes(),
                cost.lanes(),
                KdfParameters::DEFAULT.memory_kib(),
                KdfParameters::DEFAULT.passes(),
                KdfParameters::DEFAULT.lanes(),
            ),
        ),
    };
    Finding {
        id: "kdf.cost",
        title: "Passphrases are stretched",
        state,
        evidence,
        advice: match state {
            Attention => {
                "Make new vaults with a calibrated cost (Kdf::Calibrated, the default). Below it \
             a passphrase is cheaper to guess by whoever has the share."
            }
            _ => "",
        },
        controls: &["164.312(d)", "MASVS-CRYPTO-1", "MASVS-CRYPTO-2"],
    }
}

pub(super) fn recovery(slots: &[SlotInfo]) -> Finding {
    let recoverable = slots.iter().any(|slot| slot.kind.is_recovery());
    Finding {
        id: "recovery.verified",
        title: "There is a way back",
        state: if recoverable { Good } else { Problem },
        evidence: match recoverable {
            true => {
                String::from("There is a recovery code, and it was typed back before it counted.")
            }
            false => String::from(
                "There is no recovery code: a forgotten passphrase or a lost device loses every \
             record.",
            ),
        },
        advice: match recoverable {
            true => "",
            false => {
                "Make a vault with a recovery code (Setup::confirm_recovery) and move the records."
            }
        },
        controls: &["164.312(a)(2)(ii)", "164.312(c)(1)"],
    }
}

pub(super) fn code_alone(slots: &[SlotInfo]) -> Finding {
    let has = |kind| slots.iter().any(|slot| slot.kind == kind);
    let alone = has(SlotKind::RecoveryCode);
    Finding {
        id: "recovery.two-factors",
        title: "Recovery takes two factors",
        state: if alone { Attention } else { Good },
        evidence: match alone {
            true => String::from(
                "Whoever finds the written code and a copy of the files has everything.",
            ),
            false => String::from("No key slot opens with the written code alone."),
        },
        advice: match alone {
            true => {
                "Add a slot with a share, and renew the recovery code with it \
             (Slots::renew_recovery)."
            }
            false => "",
        },
        controls: &["164.312(d)", "MASVS-AUTH-2"],
    }
}

pub(super) fn emergency(slots: &[SlotInfo]) -> Finding {
    let there = slots.iter().any(|slot| slot.kind.is_emergency());
    Finding {
        id: "emergency.procedure",
        title: "Emergency access",
        state: if there { Good } else { Attention },
        evidence: match there {
            true => String::from(
                "An emergency code, or a contact's key, opens the Emergency class, for a reason \
                 that is recorded.",
            ),
            false => String::from("There is neither an emergency code nor a contact."),
        },
        advice: match there {
            true => "",
            false => {
                "Where others may have to reach what saves a life, add an emergency code \
             (Slots::add_emergency) and say where it is kept, or a contact \
             (Slots::add_emergency_contact)."
            }
        },
        controls: &["164.312(a)(2)(ii)"],
    }
}

pub(super) fn attempts(slots: &[SlotInfo], wipes: bool) -> Finding {
    let failed: u32 = slots.iter().map(|slot| slot.failed_attempts).sum();
    let disabled = slots.iter().filter(|slot| slot.disabled).count();
    let state = match (disabled, failed) {
        (1.., _) => Problem,
        (0, 3..) => Attention,
        (0, _) if wipes => Attention,
        _ => Good,
    };
    let tenth = match wipes {
        true => "The tenth in a row ends the vault.",
        false => "The tenth in a row disables a slot where there is another way in.",
    };
    Finding {
        id: "attempts.failed",
        title: "Nobody is guessing",
        state,
        evidence: format!(
            "{failed} attempts have failed since the key slots last opened; {disabled} slots are \
             disabled by it. {tenth}"
        ),
        advice: match state {
            Problem => {
                "Recover with the written code, or replace the slot from another, and ask who \
             tried."
            }
            Attention if failed < 3 => {
                "See that there is always a backup: anybody can end the vault."
            }
            Attention => "Ask whether it was the owner.",
            _ => "",
        },
        controls: &["164.312(a)(1)", "164.312(d)", "MASVS-AUTH-2"],
    }
}
