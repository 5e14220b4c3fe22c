//! Bundles of requests: all together, or each by itself.

use std::fmt;

use super::interact::Done;
use super::plan::{Target, Verb, Write};
use super::{FhirStore, Precondition, SavedResource};
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::{Interaction, LineCount, Method, Reader, Text, Together, patch_in};
use crate::records::Record;
use crate::secret::{SecretBytes, SecretText};

/// What an entry of a Bundle is answered.
#[non_exhaustive]
pub enum EntryAnswer {
    /// A resource was written, or was there already.
    Saved(SavedResource),
    /// A resource was erased, if there was one.
    Deleted(bool),
    /// What a GET read or found.
    Found(Vec<Record>),
}

impl FhirStore {
    /// Carries out a Bundle of type `transaction`: everything, or nothing. The answers stand in the
    /// order of its entries.
    ///
    /// Entries may be `POST`, `PUT`, `PATCH` (a Binary with a JSON Patch), `DELETE` and `GET`, with
    /// `ifMatch`, `ifNoneMatch` (`*`) and `ifNoneExist`, and with a search in the place of an id. Links
    /// between the entries, such as `urn:uuid:` references, are replaced by the type and id that the
    /// resource meant has now, in references, elements of type uri, url, oid and uuid, and narratives;
    /// a reference such as `Practitioner?identifier=1` by what that finds. Erasing comes first and
    /// reading last, which sees what the transaction wrote; conditions are held against what was there
    /// before.
    ///
    /// # Errors
    ///
    /// Those of the single writes, with the place of the entry in [`Error::json_path`], such as
    /// `entry[17]`; [`Conflict`](ErrorKind::Conflict) also where two entries are about one resource.
    pub fn transaction(&self, bundle: &[u8]) -> Result<Vec<EntryAnswer>> {
        let entries = self.entries(bundle, Together::Transaction)?;
        let patches = patches(&entries, bundle)?;
        let placed = |error: Error, at: usize| match entries.get(at) {
            Some(entry) => in_entry(error, at, entry, &mut LineCount::of(bundle)),
            None => error,
        };
        let mut writes = Vec::new();
        let mut places = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let patch = patches.get(at).and_then(Option::as_ref);
            if let Some(verb) = verb(entry, patch).map_err(|error| placed(error, at))? {
                let full_url = entry.full_url.clone();
                writes.push(Write { verb, full_url });
                places.push(at);
            }
        }
        let done = self.interact(&writes, true).map_err(|(failed, error)| {
            match failed.and_then(|failed| places.get(failed)) {
                Some(at) => placed(error, *at),
                None => error,
            }
        })?;
        let mut done = done.into_iter();
        let answer = |(at, entry): (usize, &Interaction<'_>)| match entry.method {
            Method::Get => self.get(entry).map_err(|error| placed(error, at)),
            _ => done
                .next()
                .map_or_else(|| Err(ErrorKind::NotFound.into()), |done| Ok(done.into())),
        };
        entries.iter().enumerate().map(answer).collect()
    }

    /// Carries out a Bundle of type `batch`: each entry by itself, in their order, whatever becomes of
    /// the others. See [`transaction`](Self::transaction) for what an entry may be; links between
    /// entries are left as they are.
    ///
    /// # Errors
    ///
    /// Those of reading a Bundle. Each answer has the errors of its entry.
    pub fn batch(&self, bundle: &[u8]) -> Result<Vec<Result<EntryAnswer>>> {
        let entries = self.entries(bundle, Together::Batch)?;
        // Each goes on counting where the one before it stopped.
        let mut lines = LineCount::of(bundle);
        let answer = |(at, entry): (usize, &Interaction<'_>)| {
            let answer = || {
                let patch = patch_of(entry)?;
                let Some(verb) = verb(entry, patch.as_ref())? else {
                    return self.get(entry);
                };
                let full_url = None;
                let done = self.interact(&[Write { verb, full_url }], false);
                let mut done = done.map_err(|(_, error)| error)?;
                let done = done.pop().ok_or(ErrorKind::NotFound)?;
                Ok(done.into())
            };
            answer().map_err(|error| in_entry(error, at, entry, &mut lines))
        };
        Ok(entries.iter().enumerate().map(answer).collect())
    }

    fn entries<'a>(&self, bundle: &'a [u8], wanted: Together) -> Result<Vec<Interaction<'a>>> {
        match Reader::new().interactions(bundle)? {
            (together, entries) if together == wanted => Ok(entries),
            _ => Err(Error::at_json_path(ErrorKind::FhirMalformed, "type")),
        }
    }

    fn get(&self, entry: &Interaction<'_>) -> Result<EntryAnswer> {
        let found = match entry.url.split_once('/') {
            Some(_) if !entry.url.contains('?') => self.read(&entry.url)?.into_iter().collect(),
            _ => self.search(&entry.url)?.collect::<Result<_>>()?,
        };
        Ok(EntryAnswer::Found(found))
    }
}

fn patches(entries: &[Interaction<'_>], bundle: &[u8]) -> Result<Vec<Option<SecretBytes>>> {
    let entries = entries.iter().enumerate();
    let patch = |(at, entry): (usize, &Interaction<'_>)| {
        patch_of(entry).map_err(|error| in_entry(error, at, entry, &mut LineCount::of(bundle)))
    };
    entries.map(patch).collect()
}

fn in_entry(error: Error, at: usize, entry: &Interaction<'_>, lines: &mut LineCount<'_>) -> Error {
    let line = lines.line_of(entry.part_of(&error));
    error.in_entry(at, line)
}

fn patch_of(entry: &Interaction<'_>) -> Result<Option<SecretBytes>> {
    if entry.method != Method::Patch {
        return Ok(None);
    }
    let malformed = || Error::at_json_path(ErrorKind::FhirMalformed, "resource");
    let patch = entry.resource.and_then(patch_in).ok_or_else(malformed)?;
    // The lines of what is encoded are not those of the Bundle.
    Reader::new().json(patch.expose()).map_err(|error| {
        let path = error.json_path().filter(|path| path.starts_with('['));
        Error::at_json_path(error.kind(), path.unwrap_or("resource"))
    })?;
    Ok(Some(patch))
}

/// What an entry writes; `None` where it reads.
fn verb<'a>(
    entry: &'a Interaction<'_>,
    patch: Option<&'a SecretBytes>,
) -> Result<Option<Verb<'a>>> {
    let malformed = |place| Error::at_json_path(ErrorKind::FhirMalformed, place);
    let resource = || {
        entry
            .resource
            .map(str::as_bytes)
            .ok_or_else(|| malformed("resource"))
    };
    let precondition = match (entry.if_match, entry.if_none_match) {
        (Some(_), true) => return Err(malformed("request")),
        (Some(version), false) => Precondition::IfMatch(version),
        (None, true) => Precondition::IfNoneMatch,
        (None, false) => Precondition::None,
    };
    let target = || match (entry.url.contains('?'), entry.url.contains('/')) {
        (true, _) => Ok(Target::Where(SecretText::copy_of(&entry.url))),
        (false, true) => Ok(Target::Named(SecretText::copy_of(&entry.url))),
        (false, false) => Err(malformed("request.url")),
    };
    Ok(Some(match entry.method {
        Method::Get => return Ok(None),
        Method::Post => {
            let json = resource()?;
            if Reader::new().resource(json)?.kind() != &*entry.url {
                return Err(malformed("request.url"));
            }
            let condition = entry.if_none_exist.as_deref();
            let unless = condition.map(|condition| Text::joined(&[&entry.url, "?", condition]));
            let unless = unless.map(|unless| SecretText::copy_of(&unless));
            Verb::Create { json, unless }
        }
        Method::Put => Verb::Update {
            json: resource()?,
            target: target()?,
            precondition,
        },
        Method::Patch => Verb::Patch {
            patch: patch
                .map(SecretBytes::expose)
                .ok_or_else(|| malformed("resource"))?,
            target: target()?,
            precondition,
        },
        Method::Delete => Verb::Delete {
            target: target()?,
            precondition,
        },
    }))
}

impl From<Done> for EntryAnswer {
    fn from(done: Done) -> Self {
        match done {
            Done::Saved(saved) => Self::Saved(saved),
            Done::Deleted(deleted) => Self::Deleted(deleted),
        }
    }
}

impl fmt::Debug for EntryAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saved(saved) => saved.fmt(f),
            Self::Deleted(deleted) => write!(f, "Deleted({deleted})"),
            Self::Found(found) => write!(f, "Found({})", found.len()),
        }
    }
}
