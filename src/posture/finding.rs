//! What was found.

use serde_json::{Value, json};

use super::page;
use crate::id::VaultId;
use crate::time::Timestamp;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FindingState {
    /// As it should be.
    Good,
    /// It cannot be seen from here: the host has to see to it.
    Unknown,
    /// Weaker than it could be.
    Attention,
    /// Something is broken, or a safeguard is missing.
    Problem,
}

impl FindingState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Attention => "attention",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at: a short name that stays the same from version to version.
    pub id: &'static str,
    /// What was looked at, in words.
    pub title: &'static str,
    /// How it stands.
    pub state: FindingState,
    /// What was seen.
    pub evidence: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: &'static str,
    /// Which controls it speaks to: sections of 45 CFR 164.312 and groups of the OWASP MASVS.
    pub controls: &'static [&'static str],
}

/// A report on how a vault is protected, as of one moment.
///
/// # Security
///
/// It names the vault's random identity, its key slots by kind and how large its files are: what the
/// files tell to whoever has them. It holds nothing that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Posture {
    /// The vault's identity.
    pub vault: VaultId,
    /// When it was looked at.
    pub at: Timestamp,
    /// The header was vouched for by keys that this handle has opened. Otherwise what is said of
    /// slots, limits and the anchor is what the files say.
    pub vouched: bool,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Posture {
    /// The finding with this id.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// The worst that was found.
    pub fn worst(&self) -> FindingState {
        let states = self.findings.iter().map(|finding| finding.state);
        states.max().unwrap_or(FindingState::Good)
    }

    /// The report as JSON: `vault`, `at` in microseconds since 1970, `vouched`, `worst`, and `findings`
    /// with the fields of [`Finding`].
    pub fn to_json(&self) -> String {
        let finding = |finding: &Finding| {
            json!({
                "id": finding.id,
                "title": finding.title,
                "state": finding.state.name(),
                "evidence": finding.evidence,
                "advice": finding.advice,
                "controls": finding.controls,
            })
        };
        let findings: Vec<Value> = self.findings.iter().map(finding).collect();
        json!({
            "vault": self.vault.to_string(),
            "at": self.at.to_micros(),
            "vouched": self.vouched,
            "worst": self.worst().name(),
            "findings": findings,
        })
        .to_string()
    }

    /// The report as a page of HTML that needs nothing beside itself: no script, no font, no address.
    pub fn to_html(&self) -> String {
        page::of(self)
    }
}
