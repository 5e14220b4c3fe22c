//! What writes come to, decided while nobody else can change anything, and then done together.

use std::collections::BTreeSet;

use super::{FhirStore, Precondition, SavedResource, version_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::search::Request;
use crate::fhir::{
    Links, Reader, Stamp, Text, Updated, conditional_references, last_updated, patched, stamped,
};
use crate::id::{RecordId, Uuid};
use crate::keys::TokenSpace;
use crate::records::{Batch, Outcome, Record};
use crate::secret::{SecretBytes, SecretText};
use crate::session::chain::{in_class, resolve};
use crate::session::classes::OpenClasses;
use crate::session::commit;
use crate::session::open_class::is_expired;
use crate::storage::Position;
use crate::time::Timestamp;

/// One write.
pub(super) struct Write<'a> {
    pub(super) verb: Verb<'a>,
    /// What the other writes may call it by.
    pub(super) full_url: Option<Text<'a>>,
}

pub(super) enum Verb<'a> {
    Create {
        json: &'a [u8],
        unless: Option<SecretText>,
    },
    Update {
        json: &'a [u8],
        target: Target,
        precondition: Precondition,
    },
    Patch {
        patch: &'a [u8],
        target: Target,
        precondition: Precondition,
    },
    Delete {
        target: Target,
        precondition: Precondition,
    },
}

/// Which resource a write is about.
pub(super) enum Target {
    /// The one whose type and id the resource has.
    Own,
    Named(SecretText),
    Where(SecretText),
}

/// What became of a write.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Saved(SavedResource),
    Deleted(bool),
}

/// What a write comes to.
struct Plan<'a> {
    /// Its type and id.
    named: SecretText,
    held: Option<Record>,
    expired: Option<RecordId>,
    next: Next<'a>,
}

enum Next<'a> {
    /// What is there is the answer.
    Keep,
    Erase,
    Put(&'a [u8]),
    PutMade(SecretBytes),
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

/// The store while a write is decided.
pub(super) struct Looking<'s> {
    pub(super) store: &'s FhirStore,
    pub(super) open: &'s OpenClasses,
}

impl Looking<'_> {
    fn plans<'w>(
        &self,
        writes: &'w [Write<'_>],
        failed: &mut Option<usize>,
    ) -> Result<Vec<Plan<'w>>> {
        let mut plans = Vec::with_capacity(writes.len());
        let mut met = BTreeSet::new();
        for (at, write) in writes.iter().enumerate() {
            *failed = Some(at);
            let plan = self.plan(&write.verb)?;
            let changes = !matches!(plan.next, Next::Keep);
            if changes && !met.insert(plan.named.clone()) {
                // Which of the two should it be?
                return Err(ErrorKind::Conflict.into());
            }
            plans.push(plan);
        }
        *failed = None;
        Ok(plans)
    }

    fn plan<'w>(&self, verb: &'w Verb<'_>) -> Result<Plan<'w>> {
        match verb {
            Verb::Create { json, unless } => {
                let resource = Reader::new().resource(json)?;
                if let Some(search) = unless
                    && let Some(held) = self.only(search.expose(), resource.kind())?
                {
                    let named = named(&held)?;
                    let next = Next::Keep;
                    return Ok(Plan::of(named, Some(held), next));
                }
                let id = Uuid::make()?;
                let named = Text::joined(&[resource.kind(), "/", &id.to_string()]);
                let named = SecretText::copy_of(&named);
                Ok(Plan::of(named, None, Next::Put(json)))
            }
            Verb::Update {
                json,
                target,
                precondition,
            } => {
                let resource = Reader::new().resource(json)?;
                let own = resource
                    .id()
                    .map(|id| SecretText::copy_of(&Text::joined(&[resource.kind(), "/", id])));
                let found = match target {
                    Target::Own | Target::Named(_) => None,
                    Target::Where(search) => self.only(search.expose(), resource.kind())?,
                };
                let (named, held, expired) = match (target, own, found) {
                    (Target::Where(_), own, Some(held)) => {
                        let named = named(&held)?;
                        if own.is_some_and(|own| own != named) {
                            return Err(ErrorKind::Conflict.into());
                        }
                        (named, Some(held), None)
                    }
                    (Target::Where(_), None, None) => {
                        let id = Uuid::make()?.to_string();
                        let named = Text::joined(&[resource.kind(), "/", &id]);
                        (SecretText::copy_of(&named), None, None)
                    }
                    (Target::Where(_), Some(own), None) => match self.held(&own)? {
                        (Some(_), _) => return Err(ErrorKind::Conflict.into()),
                        (None, expired) => (own, None, expired),
                    },
                    (target, Some(own), _) => {
                        if matches!(target, Target::Named(named) if *named != own) {
                            return Err(Error::at_json_path(ErrorKind::FhirMalformed, "id"));
                        }
                        let (held, expired) = self.held(&own)?;
                        (own, held, expired)
                    }
                    (_, None, _) => {
                        return Err(Error::at_json_path(ErrorKind::FhirMalformed, "id"));
                    }
                };
                require(*precondition, held.as_ref())?;
                let next = Next::Put(json);
                Ok(Plan {
                    expired,
                    ..Plan::of(named, held, next)
                })
            }
            Verb::Patch {
                patch,
                target,
                precondition,
            } => {
                let (named, held) = self.targeted(target)?;
                let held = held.ok_or(ErrorKind::NotFound)?;
                require(*precondition, Some(&held))?;
                let patch = Reader::new().json(patch)?;
                let json =
                    std::str::from_utf8(held.body()).map_err(|_| ErrorKind::TamperDetected)?;
                let made = patched(json, patch)?;
                let failed = || Error::from(ErrorKind::PatchFailed);
                let resource = Reader::new()
                    .resource(made.expose())
                    .map_err(|_| failed())?;
                let id = named.expose().split_once('/').map(|(_, id)| id);
                if resource.kind() != held.kind() || resource.id() != id {
                    return Err(failed());
                }
                Ok(Plan::of(named, Some(held), Next::PutMade(made)))
            }
            Verb::Delete {
                target,
                precondition,
            } => {
                let (named, held) = self.targeted(target)?;
                require(*precondition, held.as_ref())?;
                Ok(Plan::of(named, held, Next::Erase))
            }
        }
    }

    fn targeted(&self, target: &Target) -> Result<(SecretText, Option<Record>)> {
        match target {
            Target::Own => Err(ErrorKind::NotFound.into()),
            Target::Named(named) => Ok((named.clone(), self.held(named)?.0)),
            Target::Where(search) => {
                let kind = search.expose().split('?').next().unwrap_or_default();
                match self.only(search.expose(), kind)? {
                    Some(held) => Ok((named(&held)?, Some(held))),
                    None => Ok((search.clone(), None)),
                }
            }
        }
    }

    /// The resource with that type and id, or what is left of one that has expired.
    pub(super) fn held(&self, named: &SecretText) -> Result<(Option<Record>, Option<RecordId>)> {
        let identity = self.store.identity(named.expose());
        let now = Timestamp::now();
        let mut expired = None;
        for class in self.open.within(self.store.session.reach()) {
            let token = class.keys.token(TokenSpace::Client, &identity);
            let held = class.store.read(|reading| {
                let Some(row) = reading.row_of_client(token)? else {
                    return Ok(None);
                };
                if is_expired(&row, now) {
                    expired = Some(row.id);
                    return Ok(None);
                }
                class.open_row(class.name(reading, row)?).map(Some)
            })?;
            if held.is_some() {
                return Ok((held, None));
            }
        }
        Ok((None, expired))
    }

    /// The one resource that a search finds.
    fn only(&self, search: &str, kind: &str) -> Result<Option<Record>> {
        let (inner, reach) = (self.store.session.inner(), self.store.session.reach());
        let request = Request::read(search)?;
        if request.kind != kind {
            return Err(ErrorKind::SearchInvalid.into());
        }
        let resolved = resolve(inner, self.open, reach, &request, true)?;
        let now = Timestamp::now();
        let mut only = None;
        for class in self.open.within(reach) {
            let Some(search) = in_class(class, &request, &resolved)? else {
                continue;
            };
            let mut after: Option<Position> = None;
            loop {
                inner.go_on()?;
                let mut count = 0;
                let rows = class.store.read(|reading| {
                    let rows = reading.search(&search, after, 4)?.into_iter();
                    let named = rows.map(|row| class.name(reading, row));
                    named.collect::<Result<Vec<_>>>()
                })?;
                for located in rows {
                    count += 1;
                    after = Some(Position {
                        key: located.row.index.start,
                        place: located.row.place,
                    });
                    if is_expired(&located.row, now) {
                        continue;
                    }
                    let record = class.open_row(located)?;
                    let json = std::str::from_utf8(record.body()).unwrap_or_default();
                    if !request.confirms(json) {
                        continue;
                    }
                    if only.replace(record).is_some() {
                        return Err(ErrorKind::SearchAmbiguous.into());
                    }
                }
                if count == 0 {
                    break;
                }
            }
        }
        Ok(only)
    }

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

impl<'a> Plan<'a> {
    fn of(named: SecretText, held: Option<Record>, next: Next<'a>) -> Self {
        Self {
            named,
            held,
            expired: None,
            next,
        }
    }

    /// Whether the answer is what a condition has found.
    fn is_kept(&self) -> bool {
        matches!(self.next, Next::Keep)
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

/// The type and id of a resource that is there.
fn named(held: &Record) -> Result<SecretText> {
    let resource = Reader::new().resource(held.body())?;
    let id = resource.id().ok_or(ErrorKind::Conflict)?;
    let named = Text::joined(&[resource.kind(), "/", id]);
    Ok(SecretText::copy_of(&named))
}

fn require(precondition: Precondition, held: Option<&Record>) -> Result<()> {
    let met = match (precondition, held) {
        (Precondition::None, _) | (Precondition::IfNoneMatch, None) => true,
        (Precondition::IfMatch(version), Some(held)) => version_of(held) == version,
        _ => false,
    };
    match met {
        true => Ok(()),
        false => Err(ErrorKind::Conflict.into()),
    }
}
