//! Searching for FHIR resources with the search strings that servers take.

use std::sync::{Arc, Weak};

use super::chain::{in_class, resolve};
use super::classes::{OpenClasses, Reach};
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

impl Matches {
    /// The resources that a search string finds.
    pub(super) fn search(
        inner: &Arc<Inner>,
        reach: Reach,
        search: &str,
        cursor: Option<&Cursor>,
    ) -> Result<Self> {
        let parameters = inner.with(reach, |open| Ok(open.parameters()))?;
        let mut request = Request::read(search, &parameters)?;
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
            let resolved = resolve(inner, open, reach, &request, false)?;
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
    let parameters = inner.with(reach, |open| Ok(open.parameters()))?;
    let request = Request::read(search, &parameters)?;
    if request.needs_confirmation() {
        let mut matches = Matches::search(inner, reach, search, None)?;
        matches.left = usize::MAX;
        return matches.try_fold(0, |count, found| found.map(|_| count + 1));
    }
    let kind = SecretText::copy_of(request.kind);
    inner.with(reach, |open| {
        let now = Timestamp::now().to_micros();
        let mut counts = Vec::new();
        let resolved = resolve(inner, open, reach, &request, false)?;
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
