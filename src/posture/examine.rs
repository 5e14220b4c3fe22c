//! Looking: one function for each finding.

use std::time::Duration;

use super::finding::FindingState::{Attention, Good, Problem, Unknown};
use super::finding::{Finding, Posture};
use super::slots::{attempts, code_alone, emergency, factors, kdf, recovery};
use crate::class::Class;
use crate::error::ErrorKind;
use crate::keys::{Footprint, SessionPolicy};
use crate::memory::MemoryProtection;
use crate::session::Opening;
use crate::time::Timestamp;

/// Looks at everything.
pub(crate) fn examine(opening: &Opening, memory: MemoryProtection) -> Posture {
    let slots = opening.slots();
    let findings = vec![
        files(opening),
        factors(&slots),
        kdf(&slots),
        recovery(&slots),
        code_alone(&slots),
        emergency(&slots),
        emergency_notice(opening),
        attempts(&slots, opening.wipes()),
        limits(&opening.policy()),
        anchor(opening),
        trail(opening),
        key_memory(memory),
        classes(opening),
        footprint(opening),
        copies(opening.footprint()),
    ];
    Posture {
        vault: opening.vault(),
        at: Timestamp::now(),
        vouched: opening.is_vouched_for(),
        findings,
    }
}

fn files(opening: &Opening) -> Finding {
    let looked = opening.check_private();
    let (state, evidence) = match &looked {
        Ok(()) => (
            Good,
            String::from(
                "The directory is open to its owner alone (0700), and so is every file (0600).",
            ),
        ),
        Err(error) if error.kind() == ErrorKind::Paused => (
            Unknown,
            String::from("The vault is paused, and its files are closed."),
        ),
        Err(error) => (Problem, sentence(error.kind().words())),
    };
    Finding {
        id: "files.private",
        title: "Files are private",
        state,
        evidence,
        advice: match state {
            Problem => {
                "Find out who changed the files, and set the modes back: 0700 for the directory, \
             0600 for the files, no links, no other owner."
            }
            _ => "",
        },
        controls: &["164.312(a)(1)", "MASVS-STORAGE-1"],
    }
}

fn emergency_notice(opening: &Opening) -> Finding {
    let (state, evidence) = match opening.has_emergency_notice() {
        None => (
            Unknown,
            String::from("It is seen while the vault is unlocked."),
        ),
        Some(false) => (
            Good,
            String::from("No emergency access waits for the owner's notice."),
        ),
        Some(true) => (
            Problem,
            String::from(
                "Somebody used the emergency code, or asked a contact, and the owner has not \
                 acknowledged it.",
            ),
        ),
    };
    Finding {
        id: "emergency.noticed",
        title: "The owner knows of emergency accesses",
        state,
        evidence,
        advice: match state {
            Problem => {
                "Show Session::emergency_accesses, and call \
             Session::acknowledge_emergency_accesses when the owner has seen them. Make a new \
             code if it was not meant to be used."
            }
            _ => "",
        },
        controls: &["164.312(b)", "164.312(a)(2)(ii)"],
    }
}

fn limits(policy: &SessionPolicy) -> Finding {
    let minutes = policy.idle_limit() > Duration::from_secs(5 * 60);
    let grace = policy.background_grace() > Duration::ZERO;
    Finding {
        id: "session.limits",
        title: "Sessions end by themselves",
        state: if minutes || grace { Attention } else { Good },
        evidence: format!(
            "A session ends after {} without a call, after {} in all, and {} after the app went \
             to the background; priority documents are open for {}.",
            time(policy.idle_limit()),
            time(policy.absolute_limit()),
            time(policy.background_grace()),
            time(policy.lease_limit()),
        ),
        advice: match minutes || grace {
            true => {
                "Keep the idle limit at five minutes or less and no grace in the background, \
             unless the work needs more (Lease::set_session_policy)."
            }
            false => "",
        },
        controls: &["164.312(a)(2)(iii)", "MASVS-AUTH-3"],
    }
}

fn anchor(opening: &Opening) -> Finding {
    let (asked, brought) = opening.anchoring();
    let (state, evidence) = match (asked, brought) {
        (true, true) => (
            Good,
            String::from("How far the vault had come is kept outside its directory."),
        ),
        (true, false) => (
            Problem,
            String::from(
                "The vault is anchored, and the host has not brought its anchor: it will not open.",
            ),
        ),
        (false, _) => (
            Attention,
            String::from(
                "Nothing outside the directory says how far the vault had come: an older copy \
             that is put back is a vault like any other.",
            ),
        ),
    };
    Finding {
        id: "anchor.kept",
        title: "An older copy is noticed",
        state,
        evidence,
        advice: match state {
            Problem => "Call Vault::anchored after opening and before unlocking.",
            Attention => {
                "Make vaults with Options::anchor, over the platform's key store or a server."
            }
            _ => "",
        },
        controls: &["164.312(c)(1)", "164.312(c)(2)", "MASVS-RESILIENCE-2"],
    }
}

fn trail(opening: &Opening) -> Finding {
    let (state, evidence) = match opening.entries() {
        None => (
            Good,
            String::from(
                "Every class keeps an audit trail that cannot be switched off. How long they are \
             is seen while the vault is unlocked.",
            ),
        ),
        Some(entries) => {
            let told: Vec<String> = entries
                .iter()
                .map(|(class, count)| format!("{count} in {class:?}"))
                .collect();
            (
                Good,
                format!(
                    "Every class keeps an audit trail that cannot be switched off. Entries: {}.",
                    told.join(", ")
                ),
            )
        }
    };
    Finding {
        id: "audit.trail",
        title: "What is done is recorded",
        state,
        evidence,
        advice: "Verify it now and then, with a lease (Session::verify), and name who acts \
             (Credentials::by).",
        controls: &["164.312(b)", "164.312(c)(2)"],
    }
}

fn key_memory(memory: MemoryProtection) -> Finding {
    let MemoryProtection {
        keys_locked,
        keys_undumpable,
        sqlite_heap_wiped,
    } = memory;
    let all = keys_locked && keys_undumpable && sqlite_heap_wiped;
    let yes = |is| if is { "yes" } else { "no" };
    Finding {
        id: "memory.keys",
        title: "Keys stay in memory",
        state: if all { Good } else { Attention },
        evidence: format!(
            "Keys kept out of swap: {}; out of core dumps: {}; SQLite's memory wiped when it is \
             freed: {}.",
            yes(keys_locked),
            yes(keys_undumpable),
            yes(sqlite_heap_wiped),
        ),
        advice: match all {
            true => "",
            false => {
                "Let the process lock memory, and open the vault before anything else uses SQLite."
            }
        },
        controls: &["MASVS-STORAGE-2", "MASVS-CRYPTO-2"],
    }
}

fn classes(opening: &Opening) -> Finding {
    let (state, evidence) = match opening.records() {
        None => (
            Unknown,
            String::from("It is seen while the vault is unlocked."),
        ),
        Some(counts) => {
            let emergency = counts.iter().find(|(class, _)| *class == Class::Emergency);
            let empty = emergency.is_some_and(|(_, count)| *count == 0);
            let told: Vec<String> = counts
                .iter()
                .map(|(class, count)| format!("{count} in {class:?}"))
                .collect();
            let state = if empty { Attention } else { Good };
            (state, format!("Records: {}.", told.join(", ")))
        }
    };
    Finding {
        id: "classes.use",
        title: "Records are in the class they belong to",
        state,
        evidence,
        advice: match state {
            Attention => {
                "Put allergies, medication and contacts into Class::Emergency: else the \
             emergency code opens nothing of use."
            }
            _ => "",
        },
        controls: &["164.312(a)(1)", "164.312(a)(2)(ii)"],
    }
}

fn footprint(opening: &Opening) -> Finding {
    let (state, evidence) = match opening.size() {
        Ok(size) => (
            Good,
            format!(
                "{} {} bytes: {} of databases, {} of logs, {} of headers and reserve. Nothing is \
             written outside the directory.",
                match opening.footprint() {
                    Footprint::Cache { time_to_live } => {
                        format!("A cache: records are erased after {}.", time(time_to_live))
                    }
                    Footprint::MemoryOnly => String::from(
                        "In memory, and gone with the process: nothing is on the device.",
                    ),
                    Footprint::Full =>
                        String::from("Records stay until they are erased, or say when."),
                },
                size.total(),
                size.databases,
                size.logs,
                size.headers
            ),
        ),
        Err(_) => (
            Unknown,
            String::from("The files cannot be looked at just now."),
        ),
    };
    Finding {
        id: "footprint.known",
        title: "Where the data is",
        state,
        evidence,
        advice: "",
        controls: &["164.312(a)(1)", "MASVS-STORAGE-1", "MASVS-STORAGE-2"],
    }
}

/// The host's affair, and not to be seen from here.
fn copies(footprint: Footprint) -> Finding {
    if footprint == Footprint::MemoryOnly {
        return Finding {
            id: "backup.excluded",
            title: "Copies of the directory",
            state: Good,
            evidence: String::from("There is no directory, and nothing to copy."),
            advice: "",
            controls: &["164.312(a)(1)", "MASVS-STORAGE-2"],
        };
    }
    Finding {
        id: "backup.excluded",
        title: "Copies of the directory",
        state: Unknown,
        evidence: String::from(
            "Whether the platform copies the directory into its backups cannot be seen from here.",
        ),
        advice: "Leave the vault's directory out of the platform's backups, or know that copies \
             outlive what is erased: isExcludedFromBackup on iOS, dataExtractionRules on Android.",
        controls: &["164.312(a)(1)", "MASVS-STORAGE-2"],
    }
}

/// A time as people say it.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 172_800 && seconds.is_multiple_of(86_400) => {
            format!("{} days", seconds / 86_400)
        }
        seconds if seconds >= 7200 && seconds.is_multiple_of(3600) => {
            format!("{} hours", seconds / 3600)
        }
        seconds if seconds >= 120 && seconds.is_multiple_of(60) => {
            format!("{} minutes", seconds / 60)
        }
        seconds => format!("{seconds} seconds"),
    }
}

/// Fixed words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
