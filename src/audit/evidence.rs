//! What an auditor makes of the evidence of a trail (spec 09, "The auditor").

use super::codec;
use super::entry::AuditEntry;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::VaultId;
use crate::keys::AuditorKey;
use crate::sealing::{Reader, Sealed};

const LABEL: &[u8] = b"vitalock/1/evidence";
/// What the first key of the trail is sealed in.
const MAIL: usize = 81;

/// How far a trail had come when an auditor last saw it: to be kept, and given with the next evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many entries there were.
    pub entries: u64,
    /// What the last of them is told by.
    pub link: [u8; 32],
    /// What the first key of the trail came in, which is the same in all evidence of a vault.
    pub mail: [u8; 81],
}

/// What an auditor found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examined {
    /// Whose trail it is.
    pub vault: VaultId,
    /// The entries up to the first that is wrong.
    pub entries: Vec<AuditEntry>,
    /// The first entry that was changed, taken out, added or moved since it was written.
    pub first_wrong: Option<u64>,
    /// The trail does not go through what was seen before: it was cut, or is another.
    pub not_seen: bool,
    /// How far the trail has come.
    pub seen: Seen,
}

impl AuditorKey {
    /// Examines the evidence of a vault's Priority trail, as
    /// [`Lease::audit_evidence`](crate::Lease::audit_evidence) wrote it, against what was seen of it
    /// before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidEvidence`] where it is none, or is for another auditor.
    ///
    /// # Security
    ///
    /// Whoever opens Priority can leave out the newest entries. That is found where an earlier
    /// evidence had them: ask for it often, and keep [`Examined::seen`].
    ///
    /// The first evidence of a vault is taken on trust: with the public key alone anybody can write
    /// one, of a trail that there never was. Take it when the vault is made, and compare
    /// [`Examined::vault`]. From then on another trail is [not what was seen](Examined::not_seen).
    pub fn examine(&self, evidence: &[u8], before: Option<&Seen>) -> Result<Examined> {
        let mut reader = Reader::over(evidence);
        let (vault, mail) = head(&mut reader).map_err(|_| ErrorKind::InvalidEvidence)?;
        let mut chain = self.begin(vault, Sealed::from_stored(mail.to_vec()))?;
        let is_another = before.is_some_and(|before| before.mail != mail);
        let mut found = Examined {
            vault,
            entries: Vec::new(),
            first_wrong: None,
            not_seen: is_another || before.is_some_and(|before| before.entries > 0),
            seen: Seen {
                entries: 0,
                link: [0; 32],
                mail,
            },
        };
        while reader.left() > 0 {
            let number = chain.entries() + 1;
            let Ok((mac, event)) = entry(&mut reader) else {
                found.first_wrong = Some(number);
                break;
            };
            let seal = chain.append(event);
            let decoded = codec::decode(event).ok();
            let Some(decoded) = decoded.filter(|_| seal.has_mac(&mac)) else {
                found.first_wrong = Some(number);
                break;
            };
            let entry = AuditEntry::new(Class::Priority, number, decoded);
            found.entries.push(entry);
            found.seen = Seen {
                entries: number,
                link: seal.link,
                mail,
            };
            if before == Some(&found.seen) {
                found.not_seen = false;
            }
        }
        Ok(found)
    }
}

fn head(reader: &mut Reader<'_>) -> Result<(VaultId, [u8; MAIL])> {
    if reader.prefixed()? != LABEL {
        return Err(ErrorKind::InvalidEvidence.into());
    }
    let vault = VaultId::from_bytes(reader.array()?);
    Ok((vault, reader.array()?))
}

fn entry<'a>(reader: &mut Reader<'a>) -> Result<([u8; 16], &'a [u8])> {
    Ok((reader.array()?, reader.prefixed()?))
}

/// What stands before the entries.
pub(crate) fn evidence_head(vault: VaultId, mail: &Sealed) -> Vec<u8> {
    let length = u32::try_from(LABEL.len()).expect("the label is short");
    let length = length.to_le_bytes();
    [&length[..], LABEL, &vault.to_bytes(), mail.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Actor;
    use crate::audit::{Entry, Event};
    use crate::keys::{Chain, seal_to_auditor};

    fn evidence_of(auditor: &AuditorKey, vault: VaultId, events: &[Event]) -> Vec<u8> {
        let mut chain = Chain::make(vault, Class::Priority).unwrap();
        let mail = seal_to_auditor(&auditor.public_key(), &chain, vault).unwrap();
        let mut evidence = evidence_head(vault, &mail);
        for event in events {
            let mut entry = Entry::done(&Actor::unnamed(), event.clone());
            entry.at = crate::time::Timestamp::from_micros(5);
            let event = codec::encode(&entry);
            let seal = chain.append(event.expose());
            evidence.extend_from_slice(&seal.mac);
            evidence.extend_from_slice(&u32::try_from(event.expose().len()).unwrap().to_le_bytes());
            evidence.extend_from_slice(event.expose());
        }
        evidence
    }

    /// The honest trail is VaultMade, LeaseEnded, Tampered. After the auditor has seen two entries,
    /// somebody who opens Priority has the third say something else, and all MACs made anew from a
    /// first key of their own, newly sealed to the auditor.
    #[test]
    fn another_first_key_is_not_what_was_seen() {
        let auditor = AuditorKey::make().unwrap();
        let vault = VaultId::from_bytes([7; 16]);
        let honest = evidence_of(&auditor, vault, &[Event::VaultMade, Event::LeaseEnded]);
        let seen = auditor.examine(&honest, None).unwrap().seen;
        let forged = [Event::VaultMade, Event::LeaseEnded, Event::EmergencyNoticed];
        let forged = evidence_of(&auditor, vault, &forged);
        let found = auditor.examine(&forged, Some(&seen)).unwrap();
        assert!(found.not_seen);
        let control = [Event::VaultMade, Event::LeaseEnded];
        let control = evidence_of(&auditor, vault, &control);
        assert!(auditor.examine(&control, Some(&seen)).unwrap().not_seen);
        assert!(!auditor.examine(&honest, Some(&seen)).unwrap().not_seen);
    }
}
