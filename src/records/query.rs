//! What to look for, without opening anything.

use std::fmt;

use crate::class::Class;
use crate::id::encode_hex;
use crate::keys::{ClassKeys, TokenSpace};
use crate::secret::SecretText;
use crate::storage::{Direction, Order};
use crate::time::Timestamp;

/// Which records are wanted, and in what order. Every condition given must hold.
///
/// Answered from integer index columns: the cost grows with the number of records that match, not
/// with the size of the store, for any one of kind, subject, subject and kind, content type and
/// effective time, or update time. A further condition is checked on the rows that those leave.
///
/// # Examples
///
/// ```
/// use vitalock::{Query, Timestamp};
///
/// let this_year = Timestamp::from_micros(1_767_225_600_000_000);
/// let query = Query::new().kind("Observation").subject("Patient/1").effective_from(this_year);
/// # drop(query);
/// ```
#[derive(Clone)]
pub struct Query {
    pub(crate) class: Option<Class>,
    pub(crate) kind: Option<SecretText>,
    pub(crate) subject: Option<SecretText>,
    pub(crate) content_type: Option<SecretText>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) updated_since: Option<Timestamp>,
    order: Option<(Order, Direction)>,
}

impl Query {
    /// Every record of the open classes, newest effective time first.
    pub fn new() -> Self {
        Self {
            class: None,
            kind: None,
            subject: None,
            content_type: None,
            from: None,
            until: None,
            updated_since: None,
            order: None,
        }
    }

    /// Only this protection class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// Only this kind.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.kind = Some(SecretText::copy_of(kind));
        self
    }

    /// Only records about this subject.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = Some(SecretText::copy_of(subject));
        self
    }

    /// Only this content type.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(SecretText::copy_of(content_type));
        self
    }

    /// Only records whose effective time starts at this instant or later.
    #[must_use]
    pub fn effective_from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Only records whose effective time starts before this instant.
    #[must_use]
    pub fn effective_until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// Only records put at this instant or later, in the order in which they were put unless
    /// another is asked for: what a synchronisation asks. Resume with the last
    /// [`updated`](crate::Record::updated) it has seen, or with a cursor.
    #[must_use]
    pub fn updated_since(mut self, since: Timestamp) -> Self {
        self.updated_since = Some(since);
        self
    }

    /// By effective time, latest first; records without one come last.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.order = Some((Order::Start, Direction::Descending));
        self
    }

    /// By effective time, earliest first; records without one come first.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.order = Some((Order::Start, Direction::Ascending));
        self
    }

    /// By the time they were put, latest first.
    #[must_use]
    pub fn last_updated_first(mut self) -> Self {
        self.order = Some((Order::Updated, Direction::Descending));
        self
    }

    /// By the time they were put, earliest first. A record that is put again while its matches are
    /// read may be met again, as its later revision.
    #[must_use]
    pub fn first_updated_first(mut self) -> Self {
        self.order = Some((Order::Updated, Direction::Ascending));
        self
    }

    pub(crate) fn order(&self) -> (Order, Direction) {
        match (self.order, self.updated_since) {
            (Some(order), _) => order,
            (None, Some(_)) => (Order::Updated, Direction::Ascending),
            (None, None) => (Order::Start, Direction::Descending),
        }
    }

    /// The query in one spelling, for a cursor to be bound to. Names stand in it as tokens.
    pub(crate) fn fingerprint(&self, keys: &ClassKeys) -> String {
        let token = |space, text: &Option<SecretText>| {
            text.as_ref()
                .map(|text| encode_hex(&keys.token(space, text.expose())))
        };
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_micros);
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.class,
            token(TokenSpace::Kind, &self.kind),
            token(TokenSpace::Subject, &self.subject),
            token(TokenSpace::ContentType, &self.content_type),
            time(self.from),
            time(self.until),
            time(self.updated_since),
            self.order()
        )
    }
}

impl Default for Query {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query(..)")
    }
}
