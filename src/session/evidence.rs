//! The evidence of Priority's trail, for an auditor (spec 09, "The auditor").

use std::io::Write;

use super::lease::Lease;
use super::names::as_u64;
use super::segments::entries_from;
use crate::audit::{self, Entry, Event, Stage};
use crate::class::Class;
use crate::error::{ErrorKind, Result};

const PAGE: usize = 256;

impl Lease {
    /// Writes the evidence of Priority's audit trail to `out`, for the auditor that the vault was made
    /// with ([`Options::auditor`](crate::Options::auditor)); how many entries. Nothing is written
    /// where there is no auditor. Until it returns, what was written is a part only.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`](crate::Session), and [`ErrorKind::Io`] where `out` fails.
    ///
    /// # Security
    ///
    /// What is written is in clear: identities, kinds, and the app's words about who acted.
    pub fn audit_evidence(&self, out: &mut dyn Write) -> Result<Option<u64>> {
        let (inner, reach) = (self.inner(), self.reach());
        let audited = inner.with(reach, |open| {
            Ok(open.class(reach, Class::Priority)?.is_audited)
        })?;
        if !audited {
            return Ok(None);
        }
        let by = inner.actor(reach);
        let say = |stage, written| {
            let entry = Entry::at_stage(&by, Event::Exported(written), stage);
            inner.with(reach, |open| inner.note_or_owe(open, entry))
        };
        say(Stage::Begun, 0)?;
        let written = self.write_evidence(out).inspect_err(|error| {
            let failed = Entry::failed(&by, Event::Exported(0), error.kind().words());
            let _ = inner.with(reach, |open| inner.note_or_owe(open, failed));
        })?;
        say(Stage::Done, written)?;
        Ok(Some(written))
    }

    fn write_evidence(&self, out: &mut dyn Write) -> Result<u64> {
        let (inner, reach) = (self.inner(), self.reach());
        let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(|_| ErrorKind::Io);
        let head = inner.with(reach, |open| {
            let mail = open.class(reach, Class::Priority)?.store.audit_root()?;
            Ok(audit::evidence_head(inner.opening.vault(), &mail))
        })?;
        put(&head)?;
        let mut next = 1;
        loop {
            // Between pages the lease is asked anew.
            let page = inner.with(reach, |open| {
                let priority = open.class(reach, Class::Priority)?;
                let keys = &priority.keys;
                priority
                    .store
                    .read(|reading| entries_from(keys, reading, next, PAGE))
            })?;
            let Some((last, _)) = page.last() else {
                return Ok(as_u64(next - 1));
            };
            let after = last.checked_add(1).ok_or(ErrorKind::TamperDetected)?;
            for (_, entry) in page {
                let entry = entry?;
                let event = entry.event.expose();
                let length = u32::try_from(event.len()).map_err(|_| ErrorKind::Io)?;
                put(&entry.seal.mac)?;
                put(&length.to_le_bytes())?;
                put(event)?;
            }
            next = after;
        }
    }
}
