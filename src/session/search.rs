//! Searching for FHIR resources with the search strings that servers take.

use std::sync::{Arc, Weak};

use super::chain::{in_class, resolve};
use super::classes::{OpenClasses, Reach};
use super::handle::Session;
use super::including::Including;
use super::live::Inner;
use super::matches::{Matches, Stream, cursor_place};
use super::open_class::OpenClass;
use super::sorting::ranked;
use super::source::Source;
use crate::error::Result;
use crate::fhir::search::Request;
use crate::id::encode_hex;
use crate::keys::TokenSpace;
use crate::records::Cursor;
use crate::secret::SecretText;
use crate::storage::Direction;
use crate::time::Timestamp;

impl Session {
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
    /// let mut page = session.search(search)?;
    /// for observation in page.by_ref() {
    ///     println!("{} bytes", observation?.body().len());
    /// }
    /// if let Some(end) = page.cursor()? {
    ///     let next = session.search_after(search, &end)?;
    ///     # drop(next);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn search(&self, search: &str) -> Result<Matches> {
        Matches::search(self.inner(), self.reach, search, None)
    }

    /// The matches of the same search that come after a cursor's.
    ///
    /// # Errors
    ///
    /// Those of [`search`](Self::search), and [`InvalidCursor`](crate::ErrorKind::InvalidCursor).
    pub fn search_after(&self, search: &str, cursor: &Cursor) -> Result<Matches> {
        Matches::search(self.inner(), self.reach, search, Some(cursor))
    }

    /// How many resources a search string finds, without `_count`.
    ///
    /// # Errors
    ///
    /// Those of [`search`](Self::search).
    pub fn search_count(&self, search: &str) -> Result<u64> {
        count(self.inner(), self.reach, search)
    }
}

impl Matches {
    /// The resources that a search string finds.
    pub(super) fn search(
        inner: &Arc<Inner>,
        reach: Reach,
        search: &str,
        cursor: Option<&Cursor>,
    ) -> Result<Self> {
        let mut request = Request::read(search)?;
        let kind = SecretText::copy_of(request.kind);
        let mut matches = Self {
            inner: Weak::new(),
            reach,
            direction: match request.newest_first && request.sort.is_empty() {
                true => Direction::Descending,
                false => Direction::Ascending,
            },
            fingerprint: String::new(),
            any_kind: false,
            last: None,
            streams: Vec::new(),
            confirm: None,
            including: None,
            left: request.page.unwrap_or(usize::MAX),
            failure: None,
            ended: false,
        };
        matches.inner = Arc::downgrade(inner);
        inner.with(reach, |open| {
            let (keys, _) = cursor_place(open)?;
            matches.fingerprint = encode_hex(&keys.token(TokenSpace::Search, search));
            matches.go_on_from(open, cursor)?;
            let resolved = resolve(inner, open, reach, &request)?;
            let mut searches = Vec::new();
            for class in open.within(reach) {
                inner.tally_query(reach, class.class(), &kind);
                searches.push((class.class(), in_class(class, &request, &resolved)?));
            }
            let sources: Vec<_> = match request.sort.is_empty() {
                true => {
                    let plain = |search| Source::Search(Box::new(search));
                    let plain = |(class, search): (_, Option<_>)| (class, search.map(plain));
                    searches.into_iter().map(plain).collect()
                }
                false => ranked(inner, open, &request, searches, &mut matches.last)?,
            };
            let streams = sources.into_iter();
            let streams = streams.map(|(class, source)| Stream::of(class, source));
            matches.streams = streams.collect();
            Ok(())
        })?;
        matches.including = Including::of(std::mem::take(&mut request.includes));
        matches.confirm = request.needs_confirmation().then_some(request);
        Ok(matches)
    }
}

/// How many resources a search string finds, without handing one out.
pub(super) fn count(inner: &Arc<Inner>, reach: Reach, search: &str) -> Result<u64> {
    let request = Request::read(search)?;
    if request.needs_confirmation() {
        let mut matches = Matches::search(inner, reach, search, None)?;
        matches.left = usize::MAX;
        return matches.try_fold(0, |count, found| found.map(|_| count + 1));
    }
    let kind = SecretText::copy_of(request.kind);
    inner.with(reach, |open| {
        let now = Timestamp::now().to_micros();
        let mut counts = Vec::new();
        let resolved = resolve(inner, open, reach, &request)?;
        open.steadily(|| {
            for class in open.within(reach) {
                if let Some(search) = in_class(class, &request, &resolved)? {
                    let count = class
                        .store
                        .read(|reading| reading.search_count(&search, now))?;
                    counts.push((class, count));
                }
            }
            Ok(())
        })?;
        admit(inner, open, reach, &kind, &counts)?;
        Ok(counts.iter().map(|(_, count)| count).sum())
    })
}

fn admit(
    inner: &Inner,
    open: &OpenClasses,
    reach: Reach,
    kind: &SecretText,
    counts: &[(&OpenClass, u64)],
) -> Result<()> {
    for (class, count) in counts {
        inner.tally_query(reach, class.class(), kind);
        if *count > 0 {
            inner.admit(open, reach, class, kind)?;
        }
    }
    Ok(())
}
