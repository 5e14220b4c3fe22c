//! What writes come to, decided while nobody else can change anything, and then done together.

use std::collections::BTreeSet;

use super::plan::{Looking, Next, Plan, Write, named};
use super::saved::SavedResource;
use super::store::{FhirStore, version_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::{Links, Reader, Stamp, Updated, conditional_references, last_updated, stamped};
use crate::id::RecordId;
use crate::records::{Batch, Outcome, Record};
use crate::secret::SecretText;
use crate::session::commit;
use crate::time::Timestamp;

/// What became of a write.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Saved(SavedResource),
    Deleted(bool),
}

/// An error, and which of the writes it is of.
type Failed = (Option<usize>, Error);

impl FhirStore {
    /// Does all of these or none. `linked` lets them refer to each other.
    pub(super) fn interact(&self, writes: &[Write<'_>], linked: bool) -> Result<Vec<Done>, Failed> {
        let (inner, reach) = (self.session.inner(), self.session.reach());
        let mut failed = None;
        let mut kinds = BTreeSet::new();
        let done = inner.changing(reach, |open| {
            let decided = commit::decided(inner, open, reach, || {
                let looking = Looking { store: self, open };
                let plans = looking.plans(writes, &mut failed)?;
                for plan in plans.iter().filter(|plan| plan.is_kept()) {
                    let kind = plan.named.expose().split('/').next().unwrap_or_default();
                    let class = plan.held.as_ref().map_or(self.class, |held| held.class);
                    kinds.insert((class, SecretText::copy_of(kind)));
                }
                looking.batch(writes, plans, linked, &mut failed)
            });
            let (stored, mut outcomes) = decided?;
            // Whoever is told what is there has access to it.
            for (class, kind) in &kinds {
                inner.tally_query(reach, *class, kind);
                inner.admit(open, reach, open.class(reach, *class)?, kind)?;
            }
            let mut stored = stored.into_iter();
            for done in &mut outcomes {
                if let Some((Done::Saved(saved), true)) = done
                    && let Some(stored) = stored.next()
                {
                    saved.record = stored.id;
                    saved.outcome = stored.outcome;
                }
            }
            Ok(outcomes)
        });
        match done {
            Ok(outcomes) => Ok(outcomes
                .into_iter()
                .flatten()
                .map(|(done, _)| done)
                .collect()),
            Err(error) => Err((failed, error)),
        }
    }
}

/// What each write comes to, in their order, and whether one of the batch's puts is its.
type Outcomes = Vec<Option<(Done, bool)>>;

impl Looking<'_> {
    /// The changes that the plans come to, and what each write is told.
    fn batch(
        &self,
        writes: &[Write<'_>],
        plans: Vec<Plan<'_>>,
        linked: bool,
        failed: &mut Option<usize>,
    ) -> Result<(Batch, Outcomes)> {
        let mut links = Links::default();
        if linked {
            for (write, plan) in writes.iter().zip(&plans) {
                if let Some(full_url) = write.full_url.as_deref()
                    && !matches!(plan.next, Next::Erase)
                {
                    links.add(full_url, plan.named.expose());
                }
            }
            for (at, plan) in plans.iter().enumerate() {
                *failed = Some(at);
                if let Next::Put(json) = plan.next {
                    self.follow_conditions(json, &mut links)?;
                }
            }
        }
        let mut batch = Batch::new();
        let mut outcomes: Outcomes = writes.iter().map(|_| None).collect();
        // A transaction erases first. What was named before may then be named again.
        for (plan, outcome) in plans.iter().zip(&mut outcomes) {
            if let (Next::Erase, held) = (&plan.next, &plan.held) {
                if let Some(id) = held.as_ref().and_then(Record::id) {
                    batch.erase(id);
                }
                *outcome = Some((Done::Deleted(held.is_some()), false));
            }
        }
        let updated = Timestamp::now();
        let all = plans.into_iter().zip(writes).zip(&mut outcomes);
        for (at, ((plan, write), outcome)) in all.enumerate() {
            *failed = Some(at);
            let Plan {
                named,
                held,
                expired,
                next,
            } = plan;
            let made;
            let json = match &next {
                Next::Erase => continue,
                Next::Keep => {
                    let held = held.ok_or(ErrorKind::NotFound)?;
                    *outcome = Some((unchanged(named, &held)?, false));
                    continue;
                }
                Next::Put(json) => *json,
                Next::PutMade(json) => {
                    made = json;
                    made.expose()
                }
            };
            let links = linked.then_some((&links, write.full_url.as_deref()));
            let json = std::str::from_utf8(json).map_err(|_| ErrorKind::FhirMalformed)?;
            let id = named.expose().split_once('/').map_or("", |(_, id)| id);
            if let Some(held) = &held
                && is_same(json, id, held, links)?
            {
                *outcome = Some((unchanged(named, held)?, false));
                continue;
            }
            let version = held.as_ref().map_or(0, version_of) + 1;
            let stamp = Stamp {
                id,
                version: Some((version, Updated::At(updated))),
            };
            let stamped = stamped(json, Some(&stamp), links)?;
            let resource = Reader::new().resource(stamped.expose())?;
            let record = resource.to_record_from(self.store.source.expose());
            if let Some(id) = expired {
                batch.erase(id);
            }
            batch.put(match &held {
                Some(held) => record.in_the_place_of(held),
                None => record.class(self.store.class),
            });
            let saved = SavedResource {
                reference: named,
                version,
                outcome: Outcome::Created,
                record: RecordId::from_bytes([0; 16]),
            };
            *outcome = Some((Done::Saved(saved), true));
        }
        *failed = None;
        Ok((batch, outcomes))
    }

    /// Looks up what references such as `Patient?identifier=1` name.
    fn follow_conditions(&self, json: &[u8], links: &mut Links) -> Result<()> {
        let json = std::str::from_utf8(json).map_err(|_| ErrorKind::FhirMalformed)?;
        for condition in conditional_references(json) {
            if links.target(&condition, None).is_some() {
                continue;
            }
            let kind = condition.split('?').next().unwrap_or_default();
            let held = self.only(&condition, kind)?.ok_or(ErrorKind::NotFound)?;
            links.add(&condition, named(&held)?.expose());
        }
        Ok(())
    }
}

/// Whether a resource says what the one that is there says, but for what the store sets.
fn is_same(
    json: &str,
    id: &str,
    held: &Record,
    links: Option<(&Links, Option<&str>)>,
) -> Result<bool> {
    let body = held.body();
    let Some(updated) = std::str::from_utf8(body).ok().and_then(last_updated) else {
        return Ok(stamped(json, None, links)?.expose() == body);
    };
    let stamp = Stamp {
        id,
        version: Some((version_of(held), Updated::As(updated))),
    };
    Ok(stamped(json, Some(&stamp), links)?.expose() == body)
}

fn unchanged(reference: SecretText, held: &Record) -> Result<Done> {
    Ok(Done::Saved(SavedResource {
        reference,
        version: version_of(held),
        outcome: Outcome::Unchanged,
        record: held.id().ok_or(ErrorKind::NotFound)?,
    }))
}
