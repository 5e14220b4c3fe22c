//! Matches of a query, merged in order over the open classes, opened one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use super::classes::{OpenClasses, Reach};
use super::live::Inner;
use super::located::Waiting;
use super::open_class::{OpenClass, is_expired};
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::TokenSpace;
use crate::records::{Cursor, Mark, NO_EFFECTIVE_TIME, Query, Record};
use crate::sealing::{self, Context, Table};
use crate::secret::SecretText;
use crate::storage::{Direction, Order, Position, Row, Scan};
use crate::time::Timestamp;

/// The records that match a query, in its order. Each is decrypted when it is asked for, and each
/// step checks that the session is still open.
///
/// A page of rows is one snapshot; the iterator as a whole is not. A record that stays as it is
/// while it is read through is met exactly once. It does not keep the session open: where the last
/// handle of the session is dropped, it fails with [`ErrorKind::Locked`]. A name that no
/// record had when the query was made finds nothing later.
#[must_use = "nothing is read before the iterator is asked"]
pub struct Matches {
    inner: Weak<Inner>,
    reach: Reach,
    direction: Direction,
    /// The query in the spelling that cursors are bound to. None of its own words is kept.
    fingerprint: String,
    /// The query names no kind, so that its caller needs access to any.
    any_kind: bool,
    /// Where the last record that was handed out, or had expired by then, stands.
    last: Option<Mark>,
    streams: Vec<Stream>,
    /// Why it could not begin; whoever asks for the first record is told.
    failure: Option<Error>,
    ended: bool,
}

/// One class's matches: the rows fetched and not yet handed out.
struct Stream {
    class: Class,
    scan: Option<Scan>,
    rows: VecDeque<(Position, Waiting)>,
    /// How often the class had erased something when the rows were fetched.
    erasures: u64,
    exhausted: bool,
    page: usize,
}

const FIRST_PAGE: usize = 32;
const MOST_ROWS: usize = 256;

impl Matches {
    pub(super) fn begin(inner: &Arc<Inner>, reach: Reach, query: &Query) -> Self {
        let mut matches = Self::over(inner, reach, query);
        matches.failure = matches.start(inner, query, None).err();
        matches
    }

    pub(super) fn resume(
        inner: &Arc<Inner>,
        reach: Reach,
        query: &Query,
        cursor: &Cursor,
    ) -> Result<Self> {
        let mut matches = Self::over(inner, reach, query);
        matches.start(inner, query, Some(cursor))?;
        Ok(matches)
    }

    fn over(inner: &Arc<Inner>, reach: Reach, query: &Query) -> Self {
        Self {
            inner: Arc::downgrade(inner),
            reach,
            direction: query.order().1,
            fingerprint: String::new(),
            any_kind: query.kind.is_none(),
            last: None,
            streams: Vec::new(),
            failure: None,
            ended: false,
        }
    }

    /// Looks up what the query names, so that none of its words is kept.
    fn start(&mut self, inner: &Inner, query: &Query, cursor: Option<&Cursor>) -> Result<()> {
        inner.with(self.reach, |open| {
            let (keys, place) = cursor_place(open)?;
            self.fingerprint = query.fingerprint(keys);
            if let Some(cursor) = cursor {
                let kind = &self.fingerprint;
                let sealed = cursor.to_sealed().ok_or(ErrorKind::InvalidCursor)?;
                let opened = sealing::open(keys.cursor(), &Context { kind, ..place }, sealed)
                    .map_err(|_| ErrorKind::InvalidCursor)?;
                let mark = Mark::decode(opened.expose()).ok_or(ErrorKind::InvalidCursor)?;
                self.last = Some(mark);
            }
            for class in wanted(open, self.reach, query) {
                inner.tally_query(self.reach, class.class(), &asked_for(query));
                self.streams.push(Stream {
                    class: class.class(),
                    scan: scan(class, query)?,
                    rows: VecDeque::new(),
                    erasures: 0,
                    exhausted: false,
                    page: FIRST_PAGE,
                });
            }
            Ok(())
        })
    }

    /// Where the matches handed out so far end, to go on from later; `None` before the first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`].
    pub fn cursor(&self) -> Result<Option<Cursor>> {
        let Some(last) = self.last else {
            return Ok(None);
        };
        self.session()?.with(self.reach, |open| {
            let (keys, place) = cursor_place(open)?;
            let kind = &self.fingerprint;
            let place = Context { kind, ..place };
            let sealed = sealing::seal(keys.cursor(), &place, &[&last.encode()])?;
            Ok(Some(Cursor::from_sealed(&sealed)))
        })
    }

    /// The session, where a handle of it is left.
    fn session(&self) -> Result<Arc<Inner>> {
        self.inner.upgrade().ok_or_else(|| ErrorKind::Locked.into())
    }

    fn advance(&mut self) -> Result<Option<Record>> {
        let session = self.session()?;
        session.with(self.reach, |open| {
            loop {
                let Some((at, mark)) = self.first(open)? else {
                    return Ok(None);
                };
                let class = open.class(self.reach, mark.class)?;
                let stream = self.streams.get_mut(at).ok_or(ErrorKind::TamperDetected)?;
                let row = stream.rows.pop_front();
                let (_, waiting) = row.ok_or(ErrorKind::TamperDetected)?;
                let Some(located) = waiting.wake() else {
                    // Its subject is just being erased.
                    stream.rows.clear();
                    continue;
                };
                self.last = Some(mark);
                if is_expired(&located.row, Timestamp::now()) {
                    continue;
                }
                let kind = located.kind.text.clone();
                let asked_for = match self.any_kind {
                    true => SecretText::copy_of(""),
                    false => kind.clone(),
                };
                session.admit(open, self.reach, class, &asked_for)?;
                session.release(mark.class, 1)?;
                let id = located.row.id;
                let record = class.open_row(located)?;
                session.tally(self.reach, mark.class, &kind, id);
                return Ok(Some(record));
            }
        })
    }

    /// Which stream has the next row, and where that stands.
    fn first(&mut self, open: &OpenClasses) -> Result<Option<(usize, Mark)>> {
        let direction = self.direction;
        let mut best: Option<(usize, Mark)> = None;
        for (at, stream) in self.streams.iter_mut().enumerate() {
            // From where the matches of all classes stand: what was put before that meanwhile is
            // not met any more, or the order and the cursor would go back.
            let after = self
                .last
                .map(|mark| resume_at(mark, stream.class, direction));
            stream.fill(open.class(self.reach, stream.class)?, after)?;
            if let Some((position, _)) = stream.rows.front() {
                let mark = Mark {
                    class: stream.class,
                    position: *position,
                };
                if best.is_none_or(|(_, best)| comes_before(mark, best, direction)) {
                    best = Some((at, mark));
                }
            }
        }
        Ok(best)
    }
}

impl Iterator for Matches {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match self.failure.take() {
            Some(failure) => Some(Err(failure)),
            None => self.advance().transpose(),
        };
        // After an error or the end there is nothing more: a caller that ignores errors stops too.
        self.ended = !matches!(next, Some(Ok(_)));
        if self.ended {
            self.streams.clear();
        }
        next
    }
}

impl fmt::Debug for Matches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Matches(..)")
    }
}

impl Stream {
    /// Fetches the next page where none is left of the last, or where something was erased since.
    fn fill(&mut self, class: &OpenClass, after: Option<Position>) -> Result<()> {
        if self.erasures != class.erasures() {
            self.rows.clear();
        }
        let Some(scan) = self
            .scan
            .filter(|_| self.rows.is_empty() && !self.exhausted)
        else {
            return Ok(());
        };
        let (rows, erasures) = class.store.read(|reading| {
            // No erasure ends while a reader is at work.
            let erasures = class.erasures();
            let rows = reading.scan(&scan, after, self.page)?.into_iter();
            let wait = |row: Row| Ok((row.position(scan.order), class.name(reading, row)?.wait()));
            Ok((rows.map(wait).collect::<Result<VecDeque<_>>>()?, erasures))
        })?;
        self.exhausted = rows.is_empty();
        self.page = (self.page * 2).min(MOST_ROWS);
        self.rows = rows;
        self.erasures = erasures;
        Ok(())
    }
}

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
fn asked_for(query: &Query) -> SecretText {
    query
        .kind
        .clone()
        .unwrap_or_else(|| SecretText::copy_of(""))
}

fn wanted<'a>(
    open: &'a OpenClasses,
    reach: Reach,
    query: &'a Query,
) -> impl Iterator<Item = &'a OpenClass> {
    open.within(reach)
        .filter(|open| query.class.is_none_or(|class| class == open.class()))
}

/// The query in a class's own numbers; `None` where a name is unknown there, so nothing matches.
fn scan(class: &OpenClass, query: &Query) -> Result<Option<Scan>> {
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

/// The order over all classes: the ordering column, then the class, then the place.
fn comes_before(one: Mark, other: Mark, direction: Direction) -> bool {
    let rank = |mark: Mark| (mark.position.key, mark.class, mark.position.place);
    match direction {
        Direction::Ascending => rank(one) < rank(other),
        Direction::Descending => rank(one) > rank(other),
    }
}

/// Where a class goes on after a mark that may be in another class.
fn resume_at(mark: Mark, class: Class, direction: Direction) -> Position {
    let earlier = match direction {
        Direction::Ascending => class < mark.class,
        Direction::Descending => class > mark.class,
    };
    let place = match (class == mark.class, earlier, direction) {
        (true, ..) => mark.position.place,
        // This class's rows with the same key have been handed out already.
        (_, true, Direction::Ascending) | (_, false, Direction::Descending) => i64::MAX,
        (_, false, Direction::Ascending) | (_, true, Direction::Descending) => i64::MIN,
    };
    Position {
        key: mark.position.key,
        place,
    }
}

fn cursor_place(open: &OpenClasses) -> Result<(&crate::keys::ClassKeys, Context<'static>)> {
    // The lowest class is open in every session of the vault.
    let keys = &open.classes.first().ok_or(ErrorKind::Locked)?.keys;
    Ok((
        keys,
        Context::of_class(keys.vault(), keys.class(), Table::Cursor, 0),
    ))
}

impl Row {
    fn position(&self, order: Order) -> Position {
        let key = match order {
            Order::Start => self.index.start,
            Order::Updated => self.index.updated,
        };
        Position {
            key,
            place: self.place,
        }
    }
}
