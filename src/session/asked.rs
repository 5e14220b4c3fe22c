//! A query in the numbers of a class, and how many records it finds.

use super::classes::{OpenClasses, Reach};
use super::live::Inner;
use super::open_class::OpenClass;
use crate::error::Result;
use crate::keys::TokenSpace;
use crate::records::{NO_EFFECTIVE_TIME, Query};
use crate::secret::SecretText;
use crate::storage::Scan;
use crate::time::Timestamp;

/// How many records match, without opening one.
pub(super) fn count(inner: &Inner, reach: Reach, query: &Query) -> Result<u64> {
    let kind = asked_for(query);
    inner.with(reach, |open| {
        let mut counts = Vec::new();
        open.steadily(|| {
            for class in wanted(open, reach, query) {
                if let Some(scan) = scan(class, query)? {
                    counts.push((class, class.store.read(|reading| reading.count(&scan))?));
                }
            }
            Ok(())
        })?;
        for (class, count) in &counts {
            inner.tally_query(reach, class.class(), &kind);
            if *count > 0 {
                inner.admit(open, reach, class, &kind)?;
            }
        }
        Ok(counts.iter().map(|(_, count)| count).sum())
    })
}

/// The kind that a query asks for; empty for any.
pub(super) fn asked_for(query: &Query) -> SecretText {
    query
        .kind
        .clone()
        .unwrap_or_else(|| SecretText::copy_of(""))
}

pub(super) fn wanted<'a>(
    open: &'a OpenClasses,
    reach: Reach,
    query: &'a Query,
) -> impl Iterator<Item = &'a OpenClass> {
    open.within(reach)
        .filter(|open| query.class.is_none_or(|class| class == open.class()))
}

/// The query in a class's own numbers; `None` where a name is unknown there, so nothing matches.
pub(super) fn scan(class: &OpenClass, query: &Query) -> Result<Option<Scan>> {
    let names = &class.names;
    let (order, direction) = query.order();
    let mut scan = Scan {
        kind: None,
        subject: None,
        content: None,
        from: first_start(query),
        until: query.until.map(Timestamp::to_micros),
        updated_after: query
            .updated_since
            .map(|since| since.to_micros().saturating_sub(1)),
        now: Timestamp::now().to_micros(),
        order,
        direction,
    };
    class.store.read(|reading| {
        for (text, space, number) in [
            (&query.kind, TokenSpace::Kind, &mut scan.kind),
            (
                &query.content_type,
                TokenSpace::ContentType,
                &mut scan.content,
            ),
        ] {
            if let Some(text) = text {
                let Some(term) = names.find_term(&class.keys, reading, space, text)? else {
                    return Ok(None);
                };
                *number = Some(term.number);
            }
        }
        if let Some(name) = &query.subject {
            let Some(subject) = names.find_subject(&class.keys, reading, Some(name))? else {
                return Ok(None);
            };
            scan.subject = Some(subject.number);
        }
        Ok(Some(scan))
    })
}

/// A condition on the effective time leaves out the records that have none.
fn first_start(query: &Query) -> Option<i64> {
    let dated = NO_EFFECTIVE_TIME.saturating_add(1);
    let from = query.from.map(|from| from.to_micros().max(dated));
    from.or_else(|| query.until.map(|_| dated))
}
