//! Reading the audit trails, and leaving with them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use super::classes::{OpenClasses, Reach};
use super::handle::Session;
use super::live::Inner;
use super::names::as_u64;
use super::open_class::OpenClass;
use super::segments::{entries_back_from, entries_from};
use crate::audit::{self, AuditAction, AuditEntry, AuditQuery, Entry, Event};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::storage::Reading;

/// The entries that an [`AuditQuery`] wants: class by class, each in the order of its trail. Each step
/// checks that the session is still open.
#[must_use = "nothing is read before the iterator is asked"]
pub struct AuditTrail {
    inner: Weak<Inner>,
    reach: Reach,
    query: AuditQuery,
    /// The classes that are still to be read, the next one first.
    classes: VecDeque<Class>,
    /// The number of the next entry, in the class under way.
    next: Option<i64>,
    page: VecDeque<AuditEntry>,
    begun: bool,
    ended: bool,
}

const PAGE: usize = 256;

impl Session {
    /// The entries of the audit trails of Standard and Emergency, and on a lease of Priority; see
    /// [`AuditEntry`](crate::AuditEntry). What was read until now is among them.
    pub fn audit_trail(&self, query: &AuditQuery) -> AuditTrail {
        AuditTrail::begin(self.inner(), self.reach, query)
    }

    /// The emergency accesses that the owner has not taken notice of, oldest first. To be asked for
    /// after unlocking, and shown.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn emergency_accesses(&self) -> Result<Vec<AuditEntry>> {
        emergency_accesses(self.inner(), self.reach)
    }

    /// The owner has taken notice of the emergency accesses so far. The trail keeps them, and says
    /// this too.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn acknowledge_emergency_accesses(&self) -> Result<()> {
        acknowledge(self.inner(), self.reach)
    }
}

impl AuditTrail {
    pub(super) fn begin(inner: &Arc<Inner>, reach: Reach, query: &AuditQuery) -> Self {
        Self {
            inner: Arc::downgrade(inner),
            reach,
            query: query.clone(),
            classes: VecDeque::new(),
            next: None,
            page: VecDeque::new(),
            begun: false,
            ended: false,
        }
    }

    fn advance(&mut self) -> Result<Option<AuditEntry>> {
        let inner = self.inner.upgrade().ok_or(ErrorKind::Locked)?;
        inner.with(self.reach, |open| {
            if !self.begun {
                // What was read until now is part of the answer.
                inner.write_reads(open)?;
                let within = open.within(self.reach).map(OpenClass::class);
                let wanted =
                    within.filter(|class| self.query.class.is_none_or(|one| one == *class));
                self.classes = wanted.collect();
                self.begun = true;
            }
            loop {
                if let Some(entry) = self.page.pop_front() {
                    return Ok(Some(entry));
                }
                let Some(class) = self.classes.front() else {
                    return Ok(None);
                };
                self.fill(open.class(self.reach, *class)?)?;
            }
        })
    }

    fn fill(&mut self, class: &OpenClass) -> Result<()> {
        let newest_first = self.query.newest_first;
        let first = if newest_first { i64::MAX } else { 1 };
        let from = self.next.unwrap_or(first);
        let read = |reading: &Reading<'_>| match newest_first {
            true => entries_back_from(&class.keys, reading, from, PAGE),
            false => entries_from(&class.keys, reading, from, PAGE),
        };
        let rows = class.store.read(read)?;
        match rows.last() {
            None => {
                self.classes.pop_front();
                self.next = None;
            }
            Some((number, _)) => {
                let step = if newest_first { -1 } else { 1 };
                let next = number.checked_add(step);
                self.next = Some(next.ok_or(ErrorKind::TamperDetected)?);
            }
        }
        for (number, entry) in rows {
            let number = as_u64(number);
            let entry = audit::decode(entry?.event.expose())?;
            let entry = AuditEntry::new(class.class(), number, entry);
            if self.query.wants(&entry) {
                self.page.push_back(entry);
            }
        }
        Ok(())
    }
}

impl Iterator for AuditTrail {
    type Item = Result<AuditEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        if self.ended {
            self.page.clear();
        }
        next
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditTrail(..)")
    }
}

/// The emergency accesses that nobody has taken notice of.
pub(super) fn emergency_accesses(inner: &Arc<Inner>, reach: Reach) -> Result<Vec<AuditEntry>> {
    let first = inner.with(reach, |open| {
        let emergency = open.class(reach, Class::Emergency)?;
        Ok(emergency.standing().committed.notice)
    })?;
    if first == 0 {
        return Ok(Vec::new());
    }
    let query = AuditQuery::new()
        .class(Class::Emergency)
        .action(AuditAction::EmergencyAccess);
    let mut trail = AuditTrail::begin(inner, reach, &query);
    trail.next = i64::try_from(first).ok();
    trail.collect()
}

pub(super) fn acknowledge(inner: &Inner, reach: Reach) -> Result<()> {
    inner.with(reach, |open| {
        let emergency = open.class(reach, Class::Emergency)?;
        if emergency.standing().committed.notice == 0 {
            return Ok(());
        }
        let noticed = Entry::done(&inner.actor(reach), Event::EmergencyNoticed);
        inner.note(open, emergency, &[noticed])
    })
}

/// Writes the entries that are wanted as NDJSON; how many.
pub(super) fn export(
    inner: &Arc<Inner>,
    reach: Reach,
    query: &AuditQuery,
    out: &mut dyn std::io::Write,
) -> Result<u64> {
    let vault = inner.opening.vault();
    let by = inner.actor(reach);
    let say = |stage: Entry| {
        let note = |open: &OpenClasses| inner.note_or_owe(open, stage);
        inner.with(reach, note)
    };
    let stage = |stage, written| Entry::at_stage(&by, Event::Exported(written), stage);
    say(stage(audit::Stage::Begun, 0))?;
    let mut written = 0;
    let exported: Result<()> = AuditTrail::begin(inner, reach, query).try_for_each(|entry| {
        let line = audit::write_line(vault, &entry?)?;
        out.write_all(line.as_bytes()).map_err(|_| ErrorKind::Io)?;
        written += 1;
        Ok(())
    });
    match exported {
        Ok(()) => say(stage(audit::Stage::Done, written))?,
        Err(error) => {
            let words = error.kind().words();
            let _ = say(Entry::failed(&by, Event::Exported(written), words));
            return Err(error);
        }
    }
    Ok(written)
}
