//! Steps of a change, and the intents that carry them from class to class (spec 05).

use super::live::OpenClasses;
use super::names::as_u64;
use super::open_class::OpenClass;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::records::{self, Record, StoredAs};
use crate::sealing::{self, Context, Table};
use crate::secret::{SecretBytes, SecretText};
use crate::storage::Writing;

/// One thing that happens in one class.
pub(super) enum Step {
    /// Puts a record, whose identity, revision and times are decided.
    Put(Box<Record>),
    /// Puts a record among the earlier revisions.
    PutEarlier(Box<Record>),
    /// Removes a record and its earlier revisions.
    Remove(RecordId),
    /// Removes a subject's records, earlier revisions and key.
    RemoveSubject(SecretText),
}

const CODEC: u8 = 1;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
const REMOVE_SUBJECT: u8 = 3;
const PUT_EARLIER: u8 = 4;

impl Step {
    pub(super) fn apply(&self, open: &OpenClass, writing: &Writing<'_>) -> Result<()> {
        match self {
            Self::Put(record) => open.write_record(writing, record, stored_of(record)?),
            Self::PutEarlier(record) => open.write_earlier(writing, record, stored_of(record)?),
            Self::Remove(id) => writing.remove(*id).map(|_| ()),
            Self::RemoveSubject(name) => {
                let subject =
                    open.names
                        .find_subject(&open.keys, &writing.reading(), Some(name))?;
                let number = subject.map(|subject| subject.number);
                number.map_or(Ok(()), |number| writing.remove_subject(number).map(|_| ()))
            }
        }
    }

    /// Whether something was taken away, so that its traces must go as well.
    pub(super) fn removes(&self) -> bool {
        matches!(self, Self::Remove(_) | Self::RemoveSubject(_))
    }
}

/// Empties the log after removals, and drops the keys of subjects that are gone.
pub(super) fn scrub(open: &OpenClass, steps: &[Step]) -> Result<()> {
    if !steps.iter().any(Step::removes) {
        return Ok(());
    }
    open.store.scrub(|| {
        for step in steps {
            if let Step::RemoveSubject(name) = step {
                open.names.forget_subject(name);
            }
        }
    })
}

/// Leaves `steps`, which belong to `target`, in `writing`'s class until they are done.
pub(super) fn leave(
    writing: &Writing<'_>,
    target: &OpenClass,
    intent: RecordId,
    steps: &[Step],
) -> Result<()> {
    let parts = steps.iter().map(encode).collect::<Result<Vec<_>>>()?;
    let mut bytes: Vec<&[u8]> = vec![&[CODEC]];
    bytes.extend(parts.iter().map(SecretBytes::expose));
    let body = sealing::seal(target.keys.intents(), &place(target, intent), &bytes)?;
    writing.insert_intent(intent, target.class(), &body)
}

/// Finishes whatever waits for the open classes.
///
/// # Errors
///
/// [`ErrorKind::TamperDetected`] for an intent that this vault did not write, and those of the
/// databases; what is not finished keeps waiting.
pub(super) fn settle(open: &OpenClasses) -> Result<()> {
    for target in &open.classes {
        let mut applied = false;
        for holder in open
            .classes
            .iter()
            .filter(|holder| holder.class() < target.class())
        {
            while let Some((intent, body)) = holder
                .store
                .read(|reading| reading.intent_for(target.class()))?
            {
                let opened = sealing::open(target.keys.intents(), &place(target, intent), body)?;
                let steps = decode(opened.expose(), target)?;
                let done = target.store.write(|writing| {
                    if writing.reading().has_applied(intent)? {
                        return Ok(());
                    }
                    steps
                        .iter()
                        .try_for_each(|step| step.apply(target, writing))?;
                    writing.mark_applied(intent)
                });
                target.names.settle(done.is_ok());
                done?;
                scrub(target, &steps)?;
                finish(holder, intent)?;
                applied = true;
            }
        }
        if applied || target.store.read(|reading| reading.has_any_applied())? {
            target.store.write(|writing| writing.forget_applied())?;
        }
    }
    Ok(())
}

/// Takes a finished intent out of the class that held it.
pub(super) fn finish(holder: &OpenClass, intent: RecordId) -> Result<()> {
    holder.store.write(|writing| writing.remove_intent(intent))
}

fn place(target: &OpenClass, intent: RecordId) -> Context<'static> {
    let keys = &target.keys;
    Context {
        row: intent,
        ..Context::of_class(keys.vault(), keys.class(), Table::Intent, 0)
    }
}

fn encode(step: &Step) -> Result<SecretBytes> {
    let mut parts: Vec<SecretBytes> = Vec::new();
    let mut part = |bytes: &[u8]| parts.push(SecretBytes::copy_of(bytes));
    match step {
        Step::Put(record) | Step::PutEarlier(record) => {
            let stored = stored_of(record)?;
            part(&[if matches!(step, Step::Put(_)) {
                PUT
            } else {
                PUT_EARLIER
            }]);
            part(&stored.id.to_bytes());
            part(&stored.revision.to_le_bytes());
            part(&length(record.kind.expose().len())?);
            part(record.kind.expose().as_bytes());
            match &record.subject {
                None => part(&[0]),
                Some(subject) => {
                    part(&[1]);
                    part(&length(subject.expose().len())?);
                    part(subject.expose().as_bytes());
                }
            }
            let header = records::encode_header(record, stored.created, stored.updated);
            part(&length(header.expose().len() + record.body().len())?);
            part(header.expose());
            part(record.body());
        }
        Step::Remove(id) => {
            part(&[REMOVE]);
            part(&id.to_bytes());
        }
        Step::RemoveSubject(name) => {
            part(&[REMOVE_SUBJECT]);
            part(&length(name.expose().len())?);
            part(name.expose().as_bytes());
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(SecretBytes::expose).collect();
    Ok(SecretBytes::concatenation(&parts))
}

fn stored_of(record: &Record) -> Result<StoredAs> {
    record.stored.ok_or_else(|| ErrorKind::InvalidRecord.into())
}

fn length(length: usize) -> Result<[u8; 4]> {
    u32::try_from(length)
        .map(u32::to_le_bytes)
        .map_err(|_| ErrorKind::InvalidRecord.into())
}

fn decode(bytes: &[u8], target: &OpenClass) -> Result<Vec<Step>> {
    let (codec, rest) = bytes.split_first().ok_or(ErrorKind::TamperDetected)?;
    if *codec != CODEC {
        return Err(ErrorKind::UnsupportedFormat.into());
    }
    let mut reader = Reader { rest };
    let mut steps = Vec::new();
    while !reader.rest.is_empty() {
        let [step] = reader.array()?;
        steps.push(match step {
            PUT => Step::Put(Box::new(reader.record(target)?)),
            PUT_EARLIER => Step::PutEarlier(Box::new(reader.record(target)?)),
            REMOVE => Step::Remove(RecordId::from_bytes(reader.array()?)),
            REMOVE_SUBJECT => Step::RemoveSubject(reader.text()?),
            _ => return Err(ErrorKind::TamperDetected.into()),
        });
    }
    Ok(steps)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(ErrorKind::TamperDetected)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn prefixed(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?));
        let length = length.map_err(|_| ErrorKind::TamperDetected)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(ErrorKind::TamperDetected)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<SecretText> {
        let text = std::str::from_utf8(self.prefixed()?).map_err(|_| ErrorKind::TamperDetected)?;
        Ok(SecretText::copy_of(text))
    }

    fn record(&mut self, target: &OpenClass) -> Result<Record> {
        let id = RecordId::from_bytes(self.array()?);
        let revision = u64::from_le_bytes(self.array()?);
        let kind = self.text()?;
        let subject = match self.array()? {
            [0] => None,
            [1] => Some(self.text()?),
            _ => return Err(ErrorKind::TamperDetected.into()),
        };
        let content = SecretBytes::copy_of(self.prefixed()?);
        records::decode(content.into(), target.class(), kind, subject, id, revision)
    }
}

/// Row numbers and revisions are stored as SQLite's signed integers.
pub(super) fn revision_of(row: i64) -> u64 {
    as_u64(row)
}
