//! Matches of a query, merged in order over the open classes, opened one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use super::asked::{asked_for, scan, wanted};
use super::classes::{OpenClasses, Reach};
use super::including::Including;
use super::live::Inner;
use super::located::Waiting;
use super::open_class::{OpenClass, is_expired};
use super::source::Source;
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::search::Request;
use crate::records::{Cursor, Mark, Query, Record};
use crate::sealing::{self, Context, Table};
use crate::secret::SecretText;
use crate::storage::{Direction, Order, Position, Row};
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
    pub(super) inner: Weak<Inner>,
    pub(super) reach: Reach,
    pub(super) direction: Direction,
    /// The query in the spelling that cursors are bound to. None of its own words is kept.
    pub(super) fingerprint: String,
    /// The query names no kind, so that its caller needs access to any.
    pub(super) any_kind: bool,
    /// Where the last record that was handed out, or had expired by then, stands.
    pub(super) last: Option<Mark>,
    pub(super) streams: Vec<Stream>,
    /// A search whose finds have to be confirmed.
    pub(super) confirm: Option<Request>,
    /// What comes along with them.
    pub(super) including: Option<Including>,
    /// How many more are handed out.
    pub(super) left: usize,
    /// Why it could not begin; whoever asks for the first record is told.
    pub(super) failure: Option<Error>,
    pub(super) ended: bool,
}

/// One class's matches: the rows fetched and not yet handed out.
pub(super) struct Stream {
    class: Class,
    source: Option<Source>,
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
            confirm: None,
            including: None,
            left: usize::MAX,
            failure: None,
            ended: false,
        }
    }

    /// Looks up what the query names, so that none of its words is kept.
    fn start(&mut self, inner: &Inner, query: &Query, cursor: Option<&Cursor>) -> Result<()> {
        inner.with(self.reach, |open| {
            let (keys, _) = cursor_place(open)?;
            self.fingerprint = query.fingerprint(keys);
            self.go_on_from(open, cursor)?;
            for class in wanted(open, self.reach, query) {
                inner.tally_query(self.reach, class.class(), &asked_for(query));
                let source = scan(class, query)?.map(Source::Scan);
                self.streams.push(Stream::of(class.class(), source));
            }
            Ok(())
        })
    }

    /// Goes on where a cursor says that a page of the same query ended.
    pub(super) fn go_on_from(&mut self, open: &OpenClasses, cursor: Option<&Cursor>) -> Result<()> {
        let Some(cursor) = cursor else { return Ok(()) };
        let (keys, place) = cursor_place(open)?;
        let kind = &self.fingerprint;
        let sealed = cursor.to_sealed().ok_or(ErrorKind::InvalidCursor)?;
        let opened = sealing::open(keys.cursor(), &Context { kind, ..place }, sealed)
            .map_err(|_| ErrorKind::InvalidCursor)?;
        let mark = Mark::decode(opened.expose()).ok_or(ErrorKind::InvalidCursor)?;
        self.last = Some(mark);
        Ok(())
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
    pub(super) fn session(&self) -> Result<Arc<Inner>> {
        self.inner.upgrade().ok_or_else(|| ErrorKind::Locked.into())
    }

    fn confirms(&self, record: &Record) -> bool {
        let json = || std::str::from_utf8(record.body()).ok();
        let confirm = self.confirm.as_ref();
        confirm.is_none_or(|request| json().is_some_and(|json| request.confirms(json)))
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
                let id = located.row.id;
                let record = class.open_row(located)?;
                if !self.confirms(&record) {
                    session.go_on()?;
                    continue;
                }
                session.release(mark.class, 1)?;
                session.tally(self.reach, mark.class, &kind, id);
                if let Some(including) = &mut self.including {
                    including.note(&record);
                }
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
            None if self.left == 0 => None,
            None => self.advance().transpose(),
        };
        self.left = self.left.saturating_sub(1);
        // After an error or the end there is nothing more: a caller that ignores errors stops too.
        self.ended = !matches!(next, Some(Ok(_)));
        if self.ended {
            self.streams.clear();
            self.confirm = None;
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
    pub(super) fn of(class: Class, source: Option<Source>) -> Self {
        Self {
            class,
            source,
            rows: VecDeque::new(),
            erasures: 0,
            exhausted: false,
            page: FIRST_PAGE,
        }
    }

    /// Fetches the next page where none is left of the last, or where something was erased since.
    fn fill(&mut self, class: &OpenClass, after: Option<Position>) -> Result<()> {
        if self.erasures != class.erasures() {
            self.rows.clear();
        }
        if !self.rows.is_empty() || self.exhausted {
            return Ok(());
        }
        let Some(source) = &self.source else {
            return Ok(());
        };
        let (rows, erasures) = class.store.read(|reading| {
            // No erasure ends while a reader is at work.
            let erasures = class.erasures();
            let rows = source.page(reading, after, self.page)?.into_iter();
            let wait = |(at, row): (Position, Row)| Ok((at, class.name(reading, row)?.wait()));
            Ok((rows.map(wait).collect::<Result<VecDeque<_>>>()?, erasures))
        })?;
        self.exhausted = rows.is_empty();
        self.page = (self.page * 2).min(MOST_ROWS);
        self.rows = rows;
        self.erasures = erasures;
        Ok(())
    }
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

pub(super) fn cursor_place(
    open: &OpenClasses,
) -> Result<(&crate::keys::ClassKeys, Context<'static>)> {
    // The lowest class is open in every session of the vault.
    let keys = &open.classes.first().ok_or(ErrorKind::Locked)?.keys;
    Ok((
        keys,
        Context::of_class(keys.vault(), keys.class(), Table::Cursor, 0),
    ))
}

impl Row {
    pub(super) fn position(&self, order: Order) -> Position {
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
