//! Deposits that are not among the records: shown, read, removed (spec 10, "Deposits").

use std::fmt;
use std::sync::PoisonError;

use super::classes::{OpenClasses, Reach};
use super::deposits::{CONFLICT, UNREADABLE, WAITING, alone, open_deposit};
use super::intent::{self, Step};
use super::live::Inner;
use super::noted::Noted;
use super::open_class::OpenClass;
use crate::audit::{Entry, Event};
use crate::class::Class;
use crate::error::Result;
use crate::id::RecordId;
use crate::records::Record;
use crate::secret::SecretText;
use crate::storage::DepositRow;

/// A deposit that is not yet among the records of Priority.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Deposit {
    id: RecordId,
    state: DepositState,
}

/// What keeps a deposit from being taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DepositState {
    /// Nothing: it will be taken in at the next step-up, or by
    /// [`Lease::take_in_deposits`](crate::Lease::take_in_deposits).
    Waiting,
    /// It does not open. Whoever wrote it did not have Standard open, or it was changed.
    NotAuthentic,
    /// The store has other content for the same version of the client's record.
    /// [`Lease::deposited`](crate::Lease::deposited) gives what was deposited.
    Conflict,
    /// What is in it is no record that this version reads.
    Unreadable,
}

impl DepositState {
    const fn of(aside: u8) -> Self {
        match aside {
            WAITING => Self::Waiting,
            CONFLICT => Self::Conflict,
            UNREADABLE => Self::Unreadable,
            _ => Self::NotAuthentic,
        }
    }
}

impl Deposit {
    /// The identity that [`Session::deposit`](crate::Session::deposit) gave.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// What keeps it from being taken in.
    pub fn state(&self) -> DepositState {
        self.state
    }
}

impl fmt::Debug for Deposit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deposit")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish()
    }
}

/// What is not yet among the records.
pub(super) fn list(inner: &Inner, reach: Reach) -> Result<Vec<Deposit>> {
    inner.with(reach, |open| {
        open.class(reach, Class::Priority)?;
        let standard = open.class(reach, Class::Standard)?;
        let mut deposits = Vec::new();
        each(standard, |row| {
            deposits.push(Deposit {
                id: row.id,
                state: DepositState::of(row.aside),
            });
            Ok(())
        })?;
        Ok(deposits)
    })
}

fn each(standard: &OpenClass, mut look: impl FnMut(DepositRow) -> Result<()>) -> Result<()> {
    let mut last = i64::MIN;
    while let Some(row) = standard
        .store
        .read(|reading| reading.deposit_beyond(last))?
    {
        last = row.number;
        look(row)?;
    }
    Ok(())
}

/// What was deposited under an identity, where it is still there and opens.
pub(super) fn read(inner: &Inner, reach: Reach, id: RecordId) -> Result<Option<Record>> {
    inner.with(reach, |open| {
        let priority = open.class(reach, Class::Priority)?;
        let standard = open.class(reach, Class::Standard)?;
        let Some(row) = find(standard, id)? else {
            return Ok(None);
        };
        let Ok((_, mut record)) = open_deposit(standard, priority, row) else {
            return Ok(None);
        };
        inner.admit(open, reach, priority, &record.kind)?;
        inner.release(Class::Priority, 1)?;
        inner.tally(reach, Class::Priority, &record.kind, id);
        record.stored = None;
        Ok(Some(record))
    })
}

fn find(standard: &OpenClass, id: RecordId) -> Result<Option<DepositRow>> {
    let mut found = None;
    each(standard, |row| {
        if row.id == id {
            found = Some(row);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Removes a deposit that was set aside; whether there was one.
pub(super) fn discard(inner: &Inner, reach: Reach, id: RecordId) -> Result<bool> {
    inner.changing(reach, |open| {
        open.class(reach, Class::Priority)?;
        let standard = open.class(reach, Class::Standard)?;
        let by = inner.actor(reach);
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        match find(standard, id)? {
            Some(row) if row.aside != WAITING => {}
            _ => return Ok(false),
        }
        alone(open, standard, &mut waiting, || {
            standard.write(|writing| {
                Step::TakeDeposit(id).apply(standard, writing, &mut Noted::default())?;
                standard.append(writing, &Entry::done(&by, Event::AsideRemoved(id)))
            })
        })?;
        intent::scrub_up_to(open, Class::Standard, &[])?;
        Ok(true)
    })
}

/// The deposits about a subject, as far as they open.
pub(super) fn about(
    open: &OpenClasses,
    reach: Reach,
    subject: &SecretText,
) -> Result<Vec<RecordId>> {
    let priority = open.class(reach, Class::Priority)?;
    let standard = open.class(reach, Class::Standard)?;
    let mut found = Vec::new();
    each(standard, |row| {
        let id = row.id;
        if let Ok((_, record)) = open_deposit(standard, priority, row)
            && record.subject.as_ref() == Some(subject)
        {
            found.push(id);
        }
        Ok(())
    })?;
    Ok(found)
}
