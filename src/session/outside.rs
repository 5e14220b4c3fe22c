//! What happens while the vault is locked, and its way into the trail (spec 10; R-122).

use std::sync::atomic::Ordering;

use super::open_class::OpenClass;
use super::opening::{Opening, Unlocked};
use crate::actor::Actor;
use crate::audit::{self, Entry, Event, Stage};
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::VaultDir;
use crate::id::{SlotId, VaultId};
use crate::keys::{ClassKeys, Code, EmergencyRequest, Factors, Slot, SlotKind, WrapPurpose};
use crate::sealing::{self, Context, Mail, Reader, Sealed, Table};
use crate::secret::SecretBytes;

/// What was brought in from outside.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) entries: Vec<Entry>,
    /// What the last of them is told by.
    pub(super) last: Option<[u8; 16]>,
}

/// The years 1970 to 9999, in microseconds.
const CALENDAR: std::ops::Range<i64> = 0..253_402_300_800_000_000;

/// The length of what is sealed is a multiple of this.
const STEP: usize = 256;

impl Opening {
    /// Opens a wrap while the vault is locked; where that fails the trail will say so.
    ///
    /// # Errors
    ///
    /// Those of [`unlock`](Self::unlock).
    pub(crate) fn unlock_from_outside(
        &self,
        kind: SlotKind,
        purpose: WrapPurpose,
        factors: Factors<'_>,
        code: Option<Code<'_>>,
        by: &Actor,
    ) -> Result<Unlocked> {
        let unlocked = self.unlock(kind, purpose, factors, code);
        if let Err(error) = &unlocked
            && !matches!(error.kind(), ErrorKind::NoMatchingSlot | ErrorKind::Paused)
        {
            // It has failed, whether it can be said or not; how often, the table of attempts says.
            let _ = self.note_outside(kind, by, error);
            if kind.is_everyday() && self.is_due_for_wiping() {
                self.wipe(factors)?;
                return Err(ErrorKind::VaultWiped.into());
            }
        }
        unlocked
    }

    /// A request to the contact of a slot.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::NoMatchingSlot`], [`ErrorKind::RandomUnavailable`], and
    /// those of [`check_running`](Self::check_running).
    pub(crate) fn request(&self, slot: SlotId) -> Result<EmergencyRequest> {
        self.check_running()?;
        let header = &self.newest().header;
        let mut slots = header.slots.iter();
        let slot = slots.find(|known| known.id == slot);
        slot.ok_or(ErrorKind::NotFound)?.request(header.vault)
    }

    /// Opens Emergency with a contact's answer; where that fails the trail will say so.
    ///
    /// # Errors
    ///
    /// Those of [`unlock`](Self::unlock).
    pub(crate) fn unlock_by_answer(
        &self,
        request: &EmergencyRequest,
        answer: &[u8],
        by: &Actor,
    ) -> Result<Unlocked> {
        let kind = SlotKind::EmergencyContact;
        let Some(secret) = request.open(answer) else {
            let error = ErrorKind::UnlockFailed.into();
            let _ = self.note_outside(kind, by, &error);
            return Err(error);
        };
        let (purpose, factors) = (WrapPurpose::Emergency, Factors::default());
        self.unlock_from_outside(kind, purpose, factors, Some(Code::Contact(&secret)), by)
    }

    /// Ends the vault (spec 07, "Wiping"), and what another slot has opened meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the file system: the next attempt goes on.
    fn wipe(&self, factors: Factors<'_>) -> Result<()> {
        let header = self.newest().header.clone();
        if let Some(host) = factors.share {
            let shares = header.slots.iter().flat_map(Slot::shares);
            for share in shares.chain(header.retired.iter().cloned()) {
                if share.provider == host.provider() {
                    // One that cannot be destroyed wraps nothing that is left.
                    let _ = host.destroy(share.purpose, &share.blob);
                }
            }
        }
        // From now on nobody writes a header, or anything else, in between.
        self.wiped.store(true, Ordering::Release);
        self.device_locked();
        let wiped = self.with_any_dir(VaultDir::wipe);
        self.wiped.store(wiped.is_ok(), Ordering::Release);
        wiped
    }

    fn note_outside(&self, kind: SlotKind, by: &Actor, error: &Error) -> Result<()> {
        let entry = Entry::failed(by, Event::UnlockFailed(kind), error.kind().words());
        let event = audit::encode(&entry);
        let length = u32::try_from(event.expose().len()).map_err(|_| ErrorKind::Io)?;
        let zeros = vec![0; (4 + event.expose().len()).next_multiple_of(STEP)];
        let padding = zeros.get(4 + event.expose().len()..).unwrap_or_default();
        let header = &self.newest().header;
        let sealed = sealing::post(
            &header.inbox.standard,
            &mail(header.vault),
            &[&length.to_le_bytes(), event.expose(), padding],
        )?;
        // One after another: each looks for the end of the file.
        let _table = self.table();
        self.with_dir(|dir| {
            let (_, whole) = sealing::frames(&dir.read_events()?);
            dir.append_event(whole, &sealing::frame(&sealed))
        })
    }

    /// What happened since Standard was last open.
    pub(super) fn outside(&self, standard: &OpenClass) -> Outside {
        let mut outside = Outside::default();
        let tampered = Entry::failed(
            &Actor::unnamed(),
            Event::Tampered,
            ErrorKind::TamperDetected.words(),
        );
        let Ok(file) = self.with_dir(VaultDir::read_events) else {
            outside.entries.push(tampered);
            return outside;
        };
        let (frames, _) = sealing::frames(&file);
        let known = standard.standing().committed.event;
        let told = |frame: &Sealed| told_by(frame) == Some(known);
        let first = frames.iter().rposition(told).map_or(0, |at| at + 1);
        for frame in frames.into_iter().skip(first) {
            let by = told_by(&frame);
            match open_event(standard, frame) {
                Ok(entry) => outside.entries.push(entry),
                Err(_) => {
                    outside.entries.push(tampered);
                    outside.last = by.or(outside.last);
                    break;
                }
            }
            outside.last = by;
        }
        outside
    }

    /// Empties the file, once what was in it is in the trail.
    pub(super) fn forget_outside(&self) {
        let _table = self.table();
        // Where it fails, nothing is taken in twice all the same.
        let _ = self.with_dir(|dir| dir.forget_events());
    }
}

/// The event in a frame, not yet believed.
pub(super) fn open_event_bytes(standard: &ClassKeys, frame: Sealed) -> Result<SecretBytes> {
    let mail = mail(standard.vault());
    let opened = sealing::collect(&standard.inbox(), &mail, frame)?;
    let mut reader = Reader::over(opened.expose());
    reader.prefixed().map(SecretBytes::copy_of)
}

fn open_event(standard: &OpenClass, frame: Sealed) -> Result<Entry> {
    let event = open_event_bytes(&standard.keys, frame)?;
    let entry = audit::decode(event.expose())?;
    // Whoever knows the public key can write anything here; this is all that is believed.
    let failed = matches!(entry.event, Event::UnlockFailed(_)) && entry.stage == Stage::Failed;
    let known = |kind: &ErrorKind| kind.words() == entry.failure.expose();
    let sound = ErrorKind::ALL.iter().any(known)
        && entry.by.check().is_ok()
        && CALENDAR.contains(&entry.at.to_micros());
    match failed && sound {
        true => Ok(entry),
        false => Err(ErrorKind::TamperDetected.into()),
    }
}

/// The first half of the key that each piece of mail has of its own.
fn told_by(frame: &Sealed) -> Option<[u8; 16]> {
    frame.as_bytes().get(1..17)?.try_into().ok()
}

fn mail(vault: VaultId) -> Mail<'static> {
    Mail {
        place: Context::of_class(vault, Class::Standard, Table::Event, 0),
        psk: None,
    }
}
