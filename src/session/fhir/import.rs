//! Resources of another store taken in as they stand.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::Read;
use std::ops::ControlFlow;

use super::export::{Progress, failed};
use super::lines::{Line, Lines};
use super::plan::Looking;
use super::store::{FhirStore, version_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::{Enclosed, LineCount, Links, Reader, Resource, Stamp, Text, is_id, stamped};
use crate::records::{Batch, Record};
use crate::secret::{SecretBytes, SecretText};
use crate::session::commit;

/// What became of the resources of an import.
#[derive(Debug, Default)]
#[must_use = "it tells what was not taken in"]
#[non_exhaustive]
pub struct Imported {
    /// Resources that were not there.
    pub created: u64,
    /// Resources that were there in an earlier version, or without one and with other content.
    pub updated: u64,
    /// Resources that were there as they are.
    pub unchanged: u64,
    /// Resources that were there in a later version, which stays.
    pub older: u64,
    /// Resources that were not taken in: what is no resource, has no id, or has the version of one
    /// that is there and other content ([`Conflict`](ErrorKind::Conflict)).
    pub refused: u64,
    /// Why and where, for the first hundred of those: `line[17]` or `entry[17]`, counted from 0.
    pub faults: Vec<Error>,
}

/// So many resources, or so many bytes of them, are made durable at once.
const MOST: usize = 2000;
const MOST_BYTES: usize = 8 << 20;
const MOST_FAULTS: usize = 100;

/// A resource that is to be taken in, and where it stood.
struct Waiting {
    record: Record,
    named: SecretText,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Line(u64),
    /// With the line that its resource begins on.
    Entry(usize, u64),
}

/// An import under way.
struct Import<'s> {
    store: &'s FhirStore,
    waiting: Vec<Waiting>,
    bytes: usize,
    /// The types and ids of those that wait.
    met: BTreeSet<SecretText>,
    imported: Imported,
    progress: Progress,
}

impl FhirStore {
    /// Takes in the resources of another store, a line each (NDJSON, as bulk exports are), under the
    /// types and ids that they have there. Their bytes stay as they are, `meta` too.
    ///
    /// Importing again changes nothing. Of two versions of a resource the later one stays, by the
    /// number in `meta.versionId` or else by `meta.lastUpdated`; where neither store tells a version,
    /// what comes takes the place of what is there. A line that cannot be taken in is counted and told,
    /// and does not stop the others.
    ///
    /// `progress` is asked after each part of up to 2,000 resources, which is durable then, and stops
    /// the import by [`ControlFlow::Break`]. Memory does not grow with the source; a line may be 16 MiB.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) where the source fails, [`Cancelled`](ErrorKind::Cancelled), and those of
    /// the store. What was durable before stays: import again to go on.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn of(fhir: &vitalock::FhirStore, mut file: std::fs::File) -> vitalock::Result<()> {
    /// use std::ops::ControlFlow;
    ///
    /// let imported = fhir.import_ndjson(&mut file, &mut |_| ControlFlow::Continue(()))?;
    /// assert_eq!(imported.refused, 0, "{:?}", imported.faults);
    /// # Ok(())
    /// # }
    /// ```
    pub fn import_ndjson(
        &self,
        source: &mut dyn Read,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Imported> {
        let mut import = Import::of(self);
        let mut lines = Lines::of(source);
        loop {
            let line = lines.next().map_err(|error| failed(&error))?;
            let Some((index, line)) = line else { break };
            let place = Place::Line(index);
            match line {
                Line::TooLong => import.refuse(ErrorKind::FhirTooLarge.into(), place),
                Line::Whole(json) => match Reader::new().resource(json) {
                    Ok(resource) => import.add(&resource, place)?,
                    Err(error) => import.refuse(error, place),
                },
            }
            import.progress.bytes = lines.taken();
            import.go_on(progress)?;
        }
        import.finish(progress)
    }

    /// Takes in the resources of a Bundle of any type, as [`import_ndjson`](Self::import_ndjson) does
    /// those of its lines. Links between the entries, such as `urn:uuid:` references, are replaced by
    /// the type and id of the resource meant; a resource without an id goes by its `urn:uuid:`.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::bundle`], and those of `import_ndjson`.
    pub fn import_bundle(
        &self,
        bundle: &[u8],
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Imported> {
        let entries = Reader::new().enclosed(bundle)?;
        let mut links = Links::default();
        for entry in &entries {
            if let (Some(full_url), Some(json)) = (&entry.full_url, entry.resource)
                && let Ok(resource) = Reader::new().resource(json.as_bytes())
                && let Some(id) = id_of(&resource, entry)
            {
                links.add(full_url, &Text::joined(&[resource.kind(), "/", &id]));
            }
        }
        let mut import = Import::of(self);
        let mut lines = LineCount::of(bundle);
        for (at, entry) in entries.iter().enumerate() {
            let Some(json) = entry.resource else { continue };
            import.progress.bytes += u64::try_from(json.len()).unwrap_or(u64::MAX);
            let place = Place::Entry(at, lines.line_of(json));
            match prepared(entry, json, &links) {
                Ok(json) => import.add(&Reader::new().resource(json.expose())?, place)?,
                Err(error) => import.refuse(error, place),
            }
            import.go_on(progress)?;
        }
        import.finish(progress)
    }
}

/// The id that an entry's resource has, or is given.
fn id_of<'a>(resource: &'a Resource<'_>, entry: &'a Enclosed<'_>) -> Option<Text<'a>> {
    let own = resource.id();
    let given = || entry.full_url.as_deref()?.strip_prefix("urn:uuid:");
    let id = own.or_else(|| given().filter(|id| is_id(id)))?;
    Some(Text::Lent(id))
}

/// An entry's resource with its id, and its links followed.
fn prepared(entry: &Enclosed<'_>, json: &str, links: &Links) -> Result<SecretBytes> {
    let given = Reader::new().resource(json.as_bytes())?;
    let id = id_of(&given, entry);
    let stamp = id.as_ref().map(|id| Stamp { id, version: None });
    stamped(
        json,
        stamp.as_ref(),
        Some((links, entry.full_url.as_deref())),
    )
}

impl<'s> Import<'s> {
    fn of(store: &'s FhirStore) -> Self {
        Self {
            store,
            waiting: Vec::new(),
            bytes: 0,
            met: BTreeSet::new(),
            imported: Imported::default(),
            progress: Progress::default(),
        }
    }

    fn refuse(&mut self, error: Error, place: Place) {
        self.imported.refused += 1;
        if self.imported.faults.len() < MOST_FAULTS {
            self.imported.faults.push(match place {
                Place::Line(line) => error.in_line(line),
                Place::Entry(entry, line) => error.in_entry(entry, line),
            });
        }
    }

    /// Lets a resource wait, after those of the same type and id.
    fn add(&mut self, resource: &Resource<'_>, place: Place) -> Result<()> {
        let Some(id) = resource.id() else {
            let error = Error::at_json_path(ErrorKind::FhirMalformed, "id");
            self.refuse(error, place);
            return Ok(());
        };
        let named = Text::joined(&[resource.kind(), "/", id]);
        let named = SecretText::copy_of(&named);
        if self.met.contains(&named) {
            self.commit()?;
        }
        let record = resource.to_record_from(self.store.source.expose());
        if let Err(error) = record.check() {
            self.refuse(error, place);
            return Ok(());
        }
        self.bytes += record.body().len();
        self.met.insert(named.clone());
        self.waiting.push(Waiting {
            record,
            named,
            place,
        });
        Ok(())
    }

    /// Makes what waits durable where it is enough.
    fn go_on(&mut self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<()> {
        if self.waiting.len() < MOST && self.bytes < MOST_BYTES {
            return Ok(());
        }
        self.commit()?;
        match progress(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ErrorKind::Cancelled.into()),
        }
    }

    fn finish(mut self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Imported> {
        self.commit()?;
        // All of it is done: there is nothing left to stop.
        let _ = progress(self.progress);
        Ok(self.imported)
    }

    fn commit(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        (self.bytes, self.met) = (0, BTreeSet::new());
        self.progress.resources += u64::try_from(waiting.len()).unwrap_or(u64::MAX);
        let store = self.store;
        let (inner, reach) = (store.session.inner(), store.session.reach());
        let imported = &mut self.imported;
        let conflicts = inner.changing(reach, |open| {
            let decide = || take_in(&Looking { store, open }, waiting, imported);
            commit::decided(inner, open, reach, decide).map(|(_, conflicts)| conflicts)
        })?;
        for place in conflicts {
            self.refuse(ErrorKind::Conflict.into(), place);
        }
        Ok(())
    }
}

/// What the resources come to beside what is there, and where those stood that are not taken in.
fn take_in(
    looking: &Looking<'_>,
    waiting: Vec<Waiting>,
    imported: &mut Imported,
) -> Result<(Batch, Vec<Place>)> {
    let mut batch = Batch::new();
    let mut conflicts = Vec::new();
    for Waiting {
        record,
        named,
        place,
    } in waiting
    {
        let (held, expired) = looking.held(&named)?;
        let Some(held) = held else {
            if let Some(id) = expired {
                batch.erase(id);
            }
            imported.created += 1;
            batch.put(record.class(looking.store.class));
            continue;
        };
        if held.body() == record.body() {
            imported.unchanged += 1;
            continue;
        }
        match (
            version_of(&record).cmp(&version_of(&held)),
            version_of(&record),
        ) {
            (Ordering::Greater, _) | (Ordering::Equal, 0) => {
                imported.updated += 1;
                batch.put(record.in_the_place_of(&held));
            }
            (Ordering::Less, 1..) => imported.older += 1,
            (Ordering::Less, 0) | (Ordering::Equal, _) => conflicts.push(place),
        }
    }
    Ok((batch, conflicts))
}
