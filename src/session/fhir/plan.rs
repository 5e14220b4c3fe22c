//! What each write comes to, by what is there.

use std::collections::BTreeSet;

use super::store::{FhirStore, version_of};
use super::writing::Precondition;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::search::Request;
use crate::fhir::{Reader, Text, patched};
use crate::id::{RecordId, Uuid};
use crate::keys::TokenSpace;
use crate::records::Record;
use crate::secret::{SecretBytes, SecretText};
use crate::session::chain::{in_class, resolve};
use crate::session::classes::OpenClasses;
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

/// What a write comes to.
pub(super) struct Plan<'a> {
    /// Its type and id.
    pub(super) named: SecretText,
    pub(super) held: Option<Record>,
    pub(super) expired: Option<RecordId>,
    pub(super) next: Next<'a>,
}

pub(super) enum Next<'a> {
    /// What is there is the answer.
    Keep,
    Erase,
    Put(&'a [u8]),
    PutMade(SecretBytes),
}

/// The store while a write is decided.
pub(super) struct Looking<'s> {
    pub(super) store: &'s FhirStore,
    pub(super) open: &'s OpenClasses,
}

impl Looking<'_> {
    pub(super) fn plans<'w>(
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
    pub(super) fn only(&self, search: &str, kind: &str) -> Result<Option<Record>> {
        let (inner, reach) = (self.store.session.inner(), self.store.session.reach());
        let request = Request::read(search, &self.open.parameters())?;
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
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.next, Next::Keep)
    }
}

/// The type and id of a resource that is there.
pub(super) fn named(held: &Record) -> Result<SecretText> {
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
