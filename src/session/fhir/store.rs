//! The handle of a vault's FHIR resources.

use std::fmt;

use crate::class::Class;
use crate::error::Result;
use crate::fhir::Text;
use crate::id::RecordId;
use crate::keys::TokenSpace;
use crate::records::{Cursor, Record};
use crate::secret::SecretText;
use crate::session::handle::Session;
use crate::session::matches::Matches;
use crate::session::search::count;
use crate::time::Timestamp;

/// The FHIR R4 resources of a vault, under their types and ids, as a FHIR server has them.
///
/// It is a handle of the [`Session`] or [`Lease`](crate::Lease) that it was made by, and ends with it.
/// Resources are records of [`fhir::CONTENT_TYPE`](crate::fhir::CONTENT_TYPE) whose client identity is
/// the resource's `Type/id`; their bytes come back as they were given, but for what FHIR has a store
/// set: `id` where a resource is created, `meta.versionId` and `meta.lastUpdated`.
///
/// # Errors
///
/// Beside what each method says, those of a [`Session`].
///
/// # Examples
///
/// ```no_run
/// # fn of(session: &vitalock::Session) -> vitalock::Result<()> {
/// use vitalock::Precondition;
///
/// let fhir = session.fhir();
/// let patient = fhir.create(br#"{"resourceType": "Patient", "name": [{"family": "Sand"}]}"#)?;
/// let renamed = format!(
///     r#"{{"resourceType": "Patient", "id": "{}", "name": [{{"family": "Dupin"}}]}}"#,
///     patient.id()
/// );
/// let second = fhir.update(renamed.as_bytes(), Precondition::IfMatch(patient.version()))?;
/// assert_eq!(second.version(), 2);
/// for found in fhir.search("Patient?name=dupin")? {
///     println!("{} bytes", found?.body().len());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct FhirStore {
    pub(super) session: Session,
    pub(super) class: Class,
    pub(super) source: SecretText,
}

impl Session {
    /// The vault's FHIR resources.
    pub fn fhir(&self) -> FhirStore {
        FhirStore {
            session: self.clone(),
            class: Class::Standard,
            source: SecretText::copy_of(""),
        }
    }
}

impl FhirStore {
    /// The same store, where new resources come into another protection class. One that is there stays
    /// where it is.
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// The resources of a source, such as the address of a server: its ids are its own, so that what
    /// two sources call by the same id are two resources. Searches find those of every source.
    pub fn source(mut self, source: &str) -> Self {
        self.source = SecretText::copy_of(source);
        self
    }

    /// The FHIR resources that a search string finds, in the words that servers take: a type, and
    /// parameters of FHIR R4's "Search" with prefixes, modifiers and lists.
    ///
    /// Found are records of [`fhir::CONTENT_TYPE`](crate::fhir::CONTENT_TYPE), as
    /// [`Resource::to_record`](crate::fhir::Resource::to_record) makes them, in the open classes. Where
    /// no `_sort` says otherwise they come by their effective time, latest first. With `_count` the
    /// matches end after so many, and [`Matches::cursor`] leads to the next page: see
    /// [`search_after`](Self::search_after). Nothing is left out in silence: what is not known is an
    /// error. Which parameters there are is in `docs/search-parameters.md`.
    ///
    /// Beyond the specification: codes are compared without case, a `code` and a boolean are of any
    /// system, an absolute reference is not taken apart, and numbers are compared as IEEE 754 doubles.
    ///
    /// # Errors
    ///
    /// [`SearchInvalid`](crate::ErrorKind::SearchInvalid) and
    /// [`SearchUnsupported`](crate::ErrorKind::SearchUnsupported), both with the
    /// [parameter](crate::Error::search_parameter); [`Locked`](crate::ErrorKind::Locked).
    ///
    /// # Security
    ///
    /// The matches keep the words of the search, in memory that is wiped when they end or are dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn of(session: &vitalock::Session) -> vitalock::Result<()> {
    /// let search = "Observation?patient=Patient/1&code=http://loinc.org|8867-4\
    ///               &date=ge2024-01-01&_sort=-date&_count=50";
    /// let mut page = session.fhir().search(search)?;
    /// for observation in page.by_ref() {
    ///     println!("{} bytes", observation?.body().len());
    /// }
    /// if let Some(end) = page.cursor()? {
    ///     let next = session.fhir().search_after(search, &end)?;
    ///     # drop(next);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn search(&self, search: &str) -> Result<Matches> {
        Matches::search(self.session.inner(), self.session.reach(), search, None)
    }

    /// The matches of the same search that come after a cursor's.
    ///
    /// # Errors
    ///
    /// Those of [`search`](Self::search), and [`InvalidCursor`](crate::ErrorKind::InvalidCursor).
    pub fn search_after(&self, search: &str, cursor: &Cursor) -> Result<Matches> {
        Matches::search(
            self.session.inner(),
            self.session.reach(),
            search,
            Some(cursor),
        )
    }

    /// How many resources a search string finds, without `_count`.
    ///
    /// # Errors
    ///
    /// Those of [`search`](Self::search).
    pub fn search_count(&self, search: &str) -> Result<u64> {
        count(self.session.inner(), self.session.reach(), search)
    }

    /// Reads a resource by its type and id, such as `Patient/p1`; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn read(&self, reference: &str) -> Result<Option<Record>> {
        match self.record_of(reference)? {
            Some(id) => self.session.get(id),
            None => Ok(None),
        }
    }

    /// Reads one version of a resource; `None` where there is none. Earlier versions are there where
    /// the vault was made to keep them: see [`Options::keep_history`](crate::Options::keep_history).
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn read_version(&self, reference: &str, version: u64) -> Result<Option<Record>> {
        let versions = self.history(reference)?;
        Ok(versions
            .into_iter()
            .find(|held| version_of(held) == version))
    }

    /// Reads the versions of a resource, oldest first; the last is the present one.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn history(&self, reference: &str) -> Result<Vec<Record>> {
        let Some(id) = self.record_of(reference)? else {
            return Ok(Vec::new());
        };
        let mut versions = self.session.history(id)?;
        versions.extend(self.session.get(id)?);
        Ok(versions)
    }

    /// Another handle of the same.
    pub(super) fn again(&self) -> Self {
        Self {
            session: self.session.clone(),
            class: self.class,
            source: self.source.clone(),
        }
    }

    /// The record that a type and id name.
    pub(super) fn record_of(&self, reference: &str) -> Result<Option<RecordId>> {
        let identity = self.identity(reference);
        let reach = self.session.reach();
        self.session.inner().with(reach, |open| {
            let now = Timestamp::now();
            open.steadily(|| {
                for class in open.within(reach) {
                    let token = class.keys.token(TokenSpace::Client, &identity);
                    let row = class.store.read(|reading| reading.row_of_client(token))?;
                    let row = row.filter(|row| !crate::session::open_class::is_expired(row, now));
                    if let Some(row) = row {
                        return Ok(Some(row.id));
                    }
                }
                Ok(None)
            })
        })
    }

    /// The client identity of a resource of this source.
    pub(super) fn identity(&self, reference: &str) -> Text<'static> {
        Text::joined(&[self.source.expose(), " ", reference])
    }
}

/// The number of a resource's version.
pub(super) fn version_of(record: &Record) -> u64 {
    record.client_identity().map_or(0, |(_, version)| version)
}

impl fmt::Debug for FhirStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FhirStore(..)")
    }
}
