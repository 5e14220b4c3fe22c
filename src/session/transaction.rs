//! One transaction over several classes, and what a failure in the middle of it leaves to do.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::classes::OpenClasses;
use super::intent::{self, Step};
use super::noted::Noted;
use super::open_class::OpenClass;
use crate::actor::Actor;
use crate::class::Class;
use crate::error::Result;
use crate::id::RecordId;
use crate::records::{Record, StoredAs};
use crate::storage::Writing;

/// One class's part of a transaction.
pub(super) struct Part<'a> {
    pub(super) open: &'a OpenClass,
    pub(super) writing: &'a Writing<'a>,
    /// What was done here; puts are kept only where another class may have to hold them as an
    /// intent.
    steps: Vec<Step>,
    keeps_puts: bool,
    pub(super) noted: Noted,
}

impl<'a> Part<'a> {
    pub(super) fn of(open: &'a OpenClass, writing: &'a Writing<'a>, keeps_puts: bool) -> Self {
        Self {
            open,
            writing,
            steps: Vec::new(),
            keeps_puts,
            noted: Noted::default(),
        }
    }

    pub(super) fn take(&mut self, step: Step) -> Result<()> {
        step.apply(self.open, self.writing, &mut self.noted)?;
        if self.keeps_puts || step.removes() {
            self.steps.push(step);
        }
        Ok(())
    }

    /// Writes what was done into the class's audit trail; the steps that are left to do.
    pub(super) fn record(self, by: &Actor) -> Result<Vec<Step>> {
        for entry in self.noted.entries(by) {
            self.open.append(self.writing, &entry)?;
        }
        Ok(self.steps)
    }

    pub(super) fn put(&mut self, record: &Record, stored: StoredAs) -> Result<()> {
        let change = self.open.write_record(self.writing, record, stored)?;
        self.noted
            .put(change, stored.id, stored.revision, &record.kind);
        if self.keeps_puts {
            self.steps.push(Step::Put(Box::new(record.copy_as(stored))));
        }
        Ok(())
    }
}

/// What became of a transaction that is durable in every class.
pub(super) struct Done<T> {
    pub(super) value: T,
    /// Whether the traces of what was removed are gone as well.
    pub(super) scrubbed: Result<()>,
}

/// Runs `work` in a transaction of each class at once. The lowest commits first and holds the
/// others' steps until they are done, so that a crash at any point leaves all of it or nothing.
///
/// # Errors
///
/// Those of `work`, and of the commits. Nothing was changed then, unless the failure cut the
/// transaction in two.
pub(super) fn in_one_transaction<T>(
    open: &OpenClasses,
    classes: &[&OpenClass],
    by: &Actor,
    waiting: &mut bool,
    work: &mut dyn FnMut(&mut [Part<'_>]) -> Result<T>,
) -> Result<Done<T>> {
    let first = RecordId::make()?;
    let mut intents = Vec::new();
    let mut done = None;
    let mut alone = None;
    let mut finish = |held: &[Held<'_>]| {
        let mut parts: Vec<Part<'_>> = Vec::new();
        for &(open, writing) in held {
            parts.push(Part::of(open, writing, classes.len() > 1));
        }
        let value = work(&mut parts)?;
        intents = leave_intents(&parts, first, by)?;
        if !intents.is_empty() {
            // From the first commit to the last nobody looks at two classes.
            let between = open.between_classes.write();
            alone = Some(between.unwrap_or_else(PoisonError::into_inner));
        }
        let steps = parts
            .into_iter()
            .map(|part| Ok((part.open.class(), part.record(by)?)));
        done = Some((value, steps.collect::<Result<Vec<(Class, Vec<Step>)>>>()?));
        Ok(())
    };
    // Until the end is seen, a panic included, there may be something to finish.
    *waiting = true;
    let mut result = nest(classes, &[], &mut finish);
    for class in classes {
        class.names.settle(result.is_ok());
    }
    match (&result, classes) {
        (Ok(()), [lowest, others @ ..]) if !intents.is_empty() => {
            // Everything is durable; what fails here is done before the next change.
            *waiting = intent::finish(lowest, others, &intents).is_err();
        }
        (Ok(()), _) => *waiting = false,
        (Err(_), _) => {
            let begun = has_begun(classes, intents.first());
            let in_doubt = classes.iter().any(|class| class.store.is_in_doubt());
            open.cut
                .store(!matches!(begun, Ok(false)), Ordering::Release);
            if !in_doubt && matches!(begun, Ok(false)) {
                // Refused, and rolled back as if it had never been tried.
                *waiting = false;
            } else if finish_earlier(open, waiting).is_ok() && matches!(begun, Ok(true)) {
                // The lowest class had committed, and the others have now caught up with it.
                result = Ok(());
            }
        }
    }
    drop(alone);
    result?;
    let (value, steps) = done.expect("a transaction that was committed was worked on");
    let scrubbed = intent::scrub(open, &steps);
    Ok(Done { value, scrubbed })
}

/// To be called before anything is written. What a failure left is put in order first: a commit that was reported
/// as failed stays undone, and a change over several classes that was cut in two is finished.
///
/// # Errors
///
/// Those of the databases; it is to be tried again before the next write.
pub(super) fn finish_earlier(open: &OpenClasses, waiting: &mut bool) -> Result<()> {
    open.name_durably()?;
    if *waiting {
        open.classes.iter().try_for_each(OpenClass::start_over)?;
        intent::settle(open)?;
        *waiting = false;
        open.cut.store(false, Ordering::Release);
    }
    Ok(())
}

/// Whether the lowest class was committed, so that the others' parts wait in it.
fn has_begun(classes: &[&OpenClass], intent: Option<&RecordId>) -> Result<bool> {
    match (classes.first(), intent) {
        (Some(lowest), Some(intent)) => lowest.store.read(|reading| reading.has_intent(*intent)),
        _ => Ok(false),
    }
}

/// The lowest class holds what the others are about to do, where more than one class changes.
fn leave_intents(parts: &[Part<'_>], first: RecordId, by: &Actor) -> Result<Vec<RecordId>> {
    let mut left = Vec::new();
    let changes = parts.iter().filter(|part| !part.steps.is_empty()).count();
    let Some((lowest, others)) = parts.split_first().filter(|_| changes > 1) else {
        return Ok(left);
    };
    for other in others.iter().filter(|part| !part.steps.is_empty()) {
        let number = left.len();
        let of_class = intent::leave(lowest.writing, other.open, by, &other.steps, |at| {
            numbered(first, number + at)
        })?;
        for intent in &of_class {
            other.writing.mark_applied(*intent)?;
        }
        left.extend(of_class);
    }
    Ok(left)
}

/// Identities of one transaction's intents, in the order of their numbers.
fn numbered(first: RecordId, number: usize) -> RecordId {
    let mut bytes = first.to_bytes();
    if let Some(last) = bytes.last_chunk_mut() {
        let number = u32::try_from(number).expect("memory holds fewer intents");
        *last = number.to_be_bytes();
    }
    RecordId::from_bytes(bytes)
}

/// A class and its writer, inside a transaction.
type Held<'a> = (&'a OpenClass, &'a Writing<'a>);

/// Opens a transaction in each class, the highest outermost, so that the lowest commits first.
fn nest(
    classes: &[&OpenClass],
    held: &[Held<'_>],
    work: &mut dyn FnMut(&[Held<'_>]) -> Result<()>,
) -> Result<()> {
    let Some((highest, lower)) = classes.split_last() else {
        return work(held);
    };
    highest.write(|writing| {
        let mut all = vec![(*highest, writing)];
        all.extend_from_slice(held);
        nest(lower, &all, work)
    })
}
