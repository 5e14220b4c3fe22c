//! Resources written out, one at a time.

use std::io::Write;
use std::ops::ControlFlow;

use super::FhirStore;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::{CONTENT_TYPE, in_one_line};
use crate::records::{Query, Record};
use crate::session::matches::Matches;

/// How far a long operation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Resources that are done.
    pub resources: u64,
    /// Bytes that were read or written.
    pub bytes: u64,
}

/// What resources are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// NDJSON: a line for each resource. White space between the parts of a resource is left out;
    /// nothing else changes.
    Ndjson,
    /// A Bundle of type `collection`, each resource as it is stored.
    Bundle,
}

impl FhirStore {
    /// Every resource, by its effective time, latest first.
    pub fn all(&self) -> Matches {
        let query = Query::new().content_type(CONTENT_TYPE).newest_first();
        self.session.query(&query)
    }

    /// Writes resources to `out`, one at a time: those of a [`search`](Self::search), of
    /// [`everything`](Self::everything) or [`all`](Self::all). How many.
    ///
    /// `progress` is asked after each of them, and stops the export by [`ControlFlow::Break`]. Until
    /// it returns what was written is a part only.
    ///
    /// # Errors
    ///
    /// Those of the resources, [`Io`](ErrorKind::Io) where `out` fails, and
    /// [`Cancelled`](ErrorKind::Cancelled).
    ///
    /// # Security
    ///
    /// What is written is in clear.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn of(fhir: &vitalock::FhirStore, file: &mut std::fs::File) -> vitalock::Result<()> {
    /// use std::ops::ControlFlow;
    /// use vitalock::ExportFormat;
    ///
    /// let person = fhir.everything("Patient/p1")?;
    /// fhir.export(person, ExportFormat::Ndjson, file, &mut |_| ControlFlow::Continue(()))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn export(
        &self,
        resources: impl Iterator<Item = Result<Record>>,
        format: ExportFormat,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<u64> {
        let mut so_far = Progress::default();
        let mut write = |bytes: &[u8], so_far: &mut Progress| {
            so_far.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            out.write_all(bytes).map_err(|error| failed(&error))
        };
        if format == ExportFormat::Bundle {
            let head = b"{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[";
            write(head, &mut so_far)?;
        }
        for record in resources {
            let record = record?;
            match format {
                ExportFormat::Ndjson => {
                    let json = std::str::from_utf8(record.body());
                    let json = json.map_err(|_| ErrorKind::TamperDetected)?;
                    write(in_one_line(json).expose(), &mut so_far)?;
                    write(b"\n", &mut so_far)?;
                }
                ExportFormat::Bundle => {
                    let comma: &[u8] = if so_far.resources > 0 { b"," } else { b"" };
                    for part in [comma, b"\n{\"resource\":", record.body(), b"}"] {
                        write(part, &mut so_far)?;
                    }
                }
            }
            so_far.resources += 1;
            if progress(so_far).is_break() {
                return Err(ErrorKind::Cancelled.into());
            }
        }
        if format == ExportFormat::Bundle {
            write(b"\n]}\n", &mut so_far)?;
        }
        out.flush().map_err(|error| failed(&error))?;
        Ok(so_far.resources)
    }
}

pub(super) fn failed(error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(code) => Error::os(ErrorKind::Io, code),
        None => ErrorKind::Io.into(),
    }
}
