//! Steps of a change, and the intents that carry them from class to class (spec 05).

use super::classes::OpenClasses;
use super::names::as_u64;
use super::noted::Noted;
use super::open_class::OpenClass;
use super::transaction::Part;
use crate::actor::Actor;
use crate::audit::RecordChange;
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordId;
use crate::records::{self, Record, StoredAs};
use crate::sealing::{self, Context, Reader, Sealed, Table};
use crate::secret::{SecretBytes, SecretText};
use crate::storage::{Reading, Writing};

/// One thing that happens in one class.
pub(super) enum Step {
    /// Puts a record, whose identity, revision and times are decided.
    Put(Box<Record>),
    /// Puts a record among the earlier revisions.
    PutEarlier(Box<Record>),
    /// Removes a record and its earlier revisions.
    Remove(RecordId),
    /// The same for a record that moves to another class.
    MoveOut(RecordId),
    /// Removes a subject's records, earlier revisions and key.
    RemoveSubject(SecretText),
    /// Removes a deposit, which was taken in or is not wanted.
    TakeDeposit(RecordId),
    /// Says why a deposit cannot be taken in.
    SetAside(RecordId, u8),
}

const CODEC: u8 = 1;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
const REMOVE_SUBJECT: u8 = 3;
const PUT_EARLIER: u8 = 4;
const MOVE_OUT: u8 = 5;
const BY: u8 = 6;
const TAKE_DEPOSIT: u8 = 7;
const SET_ASIDE: u8 = 8;

/// About how many bytes one intent holds, so that it stays below SQLite's bound for a value.
const LONGEST: usize = 32 * 1024 * 1024;

impl Step {
    pub(super) fn apply(
        &self,
        open: &OpenClass,
        writing: &Writing<'_>,
        noted: &mut Noted,
    ) -> Result<()> {
        match self {
            Self::Put(record) => {
                let stored = newest(writing, record)?;
                let change = open.write_record(writing, record, stored)?;
                noted.put(change, stored.id, stored.revision, &record.kind);
            }
            Self::PutEarlier(record) => {
                open.write_earlier(writing, record, newest(writing, record)?)?;
            }
            Self::Remove(id) | Self::MoveOut(id) => {
                if open.remove(writing, *id)? {
                    let change = match self {
                        Self::MoveOut(_) => RecordChange::Moved,
                        _ => RecordChange::Erased,
                    };
                    noted.taken(change, *id);
                }
            }
            Self::RemoveSubject(name) => {
                let reading = writing.reading();
                let subject = open.names.find_subject(&open.keys, &reading, Some(name))?;
                if let Some(subject) = subject {
                    open.remove_subject(writing, &subject)?;
                    noted.subject_erased(subject.key_id);
                }
            }
            Self::TakeDeposit(id) => {
                if let Some(tag) = writing.remove_deposit(*id)? {
                    open.count_out(Table::Deposit, *id, 0, &tag);
                }
            }
            Self::SetAside(id, why) => {
                if writing.set_deposit_aside(*id, *why)? {
                    noted.set_aside(*id, *why);
                }
            }
        }
        Ok(())
    }

    /// Whether something was taken away, so that its traces must go as well.
    pub(super) fn removes(&self) -> bool {
        matches!(
            self,
            Self::Remove(_) | Self::MoveOut(_) | Self::RemoveSubject(_) | Self::TakeDeposit(_)
        )
    }
}

/// Takes away what removals left in the classes where they happened, and in the lower ones: what
/// is removed now may once have been held there for a while, as an intent.
///
/// # Errors
///
/// The first of the databases; every class is scrubbed as far as it can be, and keys of subjects
/// that are gone are dropped in any case.
pub(super) fn scrub(open: &OpenClasses, done: &[(Class, Vec<Step>)]) -> Result<()> {
    let removals = |(_, steps): &&(Class, Vec<Step>)| steps.iter().any(Step::removes);
    let highest = done.iter().filter(removals).map(|(class, _)| *class).max();
    highest.map_or(Ok(()), |highest| scrub_up_to(open, highest, done))
}

/// The same, where the highest class that lost something is known.
pub(super) fn scrub_up_to(
    open: &OpenClasses,
    highest: Class,
    done: &[(Class, Vec<Step>)],
) -> Result<()> {
    let mut result = Ok(());
    for class in open.classes.iter().filter(|open| open.class() <= highest) {
        let here = done.iter().filter(|(at, _)| *at == class.class());
        let steps = here.flat_map(|(_, steps)| steps);
        let scrubbed = class.scrub(steps.filter_map(|step| match step {
            Step::RemoveSubject(name) => Some(name),
            _ => None,
        }));
        result = result.and(scrubbed);
    }
    result
}

/// Leaves `steps`, which belong to `target`, in `writing`'s class until they are done: in one
/// intent, or in several where they are large. `identify` gives the first, the second and so on an
/// identity; they must grow.
pub(super) fn leave(
    writing: &Writing<'_>,
    target: &OpenClass,
    by: &Actor,
    steps: &[Step],
    identify: impl Fn(usize) -> RecordId,
) -> Result<Vec<RecordId>> {
    let mut left = Vec::new();
    let mut waiting: Vec<SecretBytes> = Vec::new();
    let mut flush = |waiting: &mut Vec<SecretBytes>| {
        let intent = identify(left.len());
        let body = sealed(by, waiting, |parts| {
            sealing::seal(target.keys.intents(), &place(target, intent), parts)
        })?;
        writing.insert_intent(intent, target.class(), &body)?;
        left.push(intent);
        waiting.clear();
        Ok::<(), Error>(())
    };
    let mut total = 0;
    for step in steps {
        let step = encode(step)?;
        total += step.expose().len();
        if total > LONGEST && !waiting.is_empty() {
            total = step.expose().len();
            flush(&mut waiting)?;
        }
        waiting.push(step);
    }
    flush(&mut waiting)?;
    Ok(left)
}

/// One step for somebody, as an intent has it.
pub(super) fn seal_step(
    by: &Actor,
    step: &Step,
    seal: impl FnOnce(&[&[u8]]) -> Result<Sealed>,
) -> Result<Sealed> {
    sealed(by, &[encode(step)?], seal)
}

fn sealed(
    by: &Actor,
    steps: &[SecretBytes],
    seal: impl FnOnce(&[&[u8]]) -> Result<Sealed>,
) -> Result<Sealed> {
    let (name, purpose) = (by.name().expose(), by.reason().expose());
    let (name_length, purpose_length) = (length(name.len())?, length(purpose.len())?);
    let mut parts: Vec<&[u8]> = vec![&[CODEC, BY]];
    parts.extend([&name_length, name.as_bytes()]);
    parts.extend([&purpose_length, purpose.as_bytes()]);
    parts.extend(steps.iter().map(SecretBytes::expose));
    seal(&parts)
}

/// Finishes whatever waits for the open classes.
///
/// # Errors
///
/// [`ErrorKind::TamperDetected`] for an intent that this vault did not write, and those of the
/// databases; what is not finished keeps waiting.
pub(super) fn settle(open: &OpenClasses) -> Result<()> {
    let mut done = Vec::new();
    let settled = settle_each(open, &mut done);
    // What was done is scrubbed even where something else failed.
    let scrubbed = scrub(open, &done);
    settled.and(scrubbed)
}

fn settle_each(open: &OpenClasses, done: &mut Vec<(Class, Vec<Step>)>) -> Result<()> {
    for target in &open.classes {
        let class = target.class();
        for holder in open.classes.iter().filter(|open| open.class() < class) {
            let waiting = |reading: &Reading<'_>| reading.intent_for(class);
            while let Some((intent, body)) = holder.store.read(waiting)? {
                let opened = sealing::open(target.keys.intents(), &place(target, intent), body)?;
                let (by, steps) = decode(opened.expose(), class)?;
                open.name_durably()?;
                let written = target.write(|writing| {
                    let mut part = Part::of(target, writing, false);
                    if writing.reading().has_applied(intent)? {
                        return Ok(Vec::new());
                    }
                    steps.into_iter().try_for_each(|step| part.take(step))?;
                    writing.mark_applied(intent)?;
                    part.record(&by)
                });
                target.names.settle(written.is_ok());
                done.push((class, written?));
                holder.write(|writing| writing.remove_intent(intent))?;
            }
        }
        forget_applied(target)?;
    }
    Ok(())
}

/// Takes away the intents of a transaction that every class has committed, and then the marks that
/// they were done.
pub(super) fn finish(
    lowest: &OpenClass,
    others: &[&OpenClass],
    intents: &[RecordId],
) -> Result<()> {
    lowest.write(|writing| {
        let mut intents = intents.iter();
        intents.try_for_each(|intent| writing.remove_intent(*intent))
    })?;
    others.iter().try_for_each(|other| forget_applied(other))
}

/// Only where nothing waits any more.
fn forget_applied(target: &OpenClass) -> Result<()> {
    if target.store.read(|reading| reading.has_any_applied())? {
        target.write(|writing| writing.forget_applied())?;
    }
    Ok(())
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
        Step::MoveOut(id) => {
            part(&[MOVE_OUT]);
            part(&id.to_bytes());
        }
        Step::RemoveSubject(name) => {
            part(&[REMOVE_SUBJECT]);
            part(&length(name.expose().len())?);
            part(name.expose().as_bytes());
        }
        Step::TakeDeposit(id) => {
            part(&[TAKE_DEPOSIT]);
            part(&id.to_bytes());
        }
        Step::SetAside(id, why) => {
            part(&[SET_ASIDE]);
            part(&id.to_bytes());
            part(&[*why]);
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(SecretBytes::expose).collect();
    Ok(SecretBytes::concatenation(&parts))
}

fn stored_of(record: &Record) -> Result<StoredAs> {
    record.stored.ok_or_else(|| ErrorKind::InvalidRecord.into())
}

/// The same, where no later revision is there: an intent that puts a record over one was kept from
/// earlier and planted again, to take the record back.
fn newest(writing: &Writing<'_>, record: &Record) -> Result<StoredAs> {
    let stored = stored_of(record)?;
    let there = writing.reading().row(stored.id)?;
    if there.is_some_and(|row| as_u64(row.revision) >= stored.revision) {
        return Err(ErrorKind::TamperDetected.into());
    }
    Ok(stored)
}

fn length(length: usize) -> Result<[u8; 4]> {
    u32::try_from(length)
        .map(u32::to_le_bytes)
        .map_err(|_| ErrorKind::InvalidRecord.into())
}

/// For whom it is done, and what, in a class.
pub(super) fn decode(bytes: &[u8], target: Class) -> Result<(Actor, Vec<Step>)> {
    let (codec, rest) = bytes.split_first().ok_or(ErrorKind::TamperDetected)?;
    if *codec != CODEC {
        return Err(ErrorKind::UnsupportedFormat.into());
    }
    let mut reader = Reader::over(rest);
    if reader.array()? != [BY] {
        return Err(ErrorKind::TamperDetected.into());
    }
    let (name, purpose) = (reader.text()?, reader.text()?);
    let mut steps = Vec::new();
    while reader.left() > 0 {
        let [step] = reader.array()?;
        steps.push(match step {
            PUT => Step::Put(Box::new(record(&mut reader, target)?)),
            PUT_EARLIER => Step::PutEarlier(Box::new(record(&mut reader, target)?)),
            REMOVE => Step::Remove(RecordId::from_bytes(reader.array()?)),
            MOVE_OUT => Step::MoveOut(RecordId::from_bytes(reader.array()?)),
            REMOVE_SUBJECT => Step::RemoveSubject(reader.text()?),
            TAKE_DEPOSIT => Step::TakeDeposit(RecordId::from_bytes(reader.array()?)),
            SET_ASIDE => {
                let id = RecordId::from_bytes(reader.array()?);
                let [why] = reader.array()?;
                Step::SetAside(id, why)
            }
            _ => return Err(ErrorKind::TamperDetected.into()),
        });
    }
    Ok((Actor::of(name, purpose), steps))
}

fn record(reader: &mut Reader<'_>, target: Class) -> Result<Record> {
    let id = RecordId::from_bytes(reader.array()?);
    let revision = u64::from_le_bytes(reader.array()?);
    let kind = reader.text()?;
    let subject = match reader.array()? {
        [0] => None,
        [1] => Some(reader.text()?),
        _ => return Err(ErrorKind::TamperDetected.into()),
    };
    let content = SecretBytes::copy_of(reader.prefixed()?);
    records::decode(content.into(), target, kind, subject, id, revision)
}

/// Row numbers and revisions are stored as SQLite's signed integers.
pub(super) fn revision_of(row: i64) -> u64 {
    as_u64(row)
}
