//! A record and its fields.

use std::fmt;

use super::body::Body;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::secret::SecretText;
use crate::time::Timestamp;

/// The `start` of a record that has no effective time: it sorts as the oldest.
pub(crate) const NO_EFFECTIVE_TIME: i64 = i64::MIN;

/// One record: a FHIR resource, a document, a note; anything with a kind and a body.
///
/// Built for [`Session::put`](crate::Session::put), and given back by reads with its identity,
/// revision and times filled in. Putting a record that was read writes its next revision.
///
/// # Examples
///
/// ```
/// use vitalock::{Class, Record, Timestamp};
///
/// let record = Record::new("Observation", r#"{"resourceType":"Observation"}"#)
///     .subject("Patient/1")
///     .effective(Timestamp::from_micros(1_700_000_000_000_000))
///     .class(Class::Standard)
///     .content_type("application/fhir+json");
/// assert_eq!(record.kind(), "Observation");
/// ```
pub struct Record {
    pub(crate) class: Class,
    pub(crate) kind: SecretText,
    pub(crate) subject: Option<SecretText>,
    pub(crate) effective: Option<(Timestamp, Timestamp)>,
    pub(crate) content_type: SecretText,
    pub(crate) device: Option<SecretText>,
    pub(crate) app: Option<SecretText>,
    pub(crate) client: Option<(SecretText, u64)>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) pinned: bool,
    pub(crate) body: Body,
    /// The FHIR reader has passed the body as a resource of this kind.
    pub(crate) read: bool,
    pub(crate) stored: Option<StoredAs>,
}

/// What the store knows of a record that was read.
#[derive(Clone, Copy)]
pub(crate) struct StoredAs {
    pub(crate) id: RecordId,
    pub(crate) revision: u64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Record {
    /// The most bytes a body may have: 16 MiB.
    pub const MAX_BODY: usize = 16 * 1024 * 1024;
    /// The most bytes of UTF-8 that any text field may have; none may be empty or hold a control
    /// character.
    pub const MAX_TEXT: usize = 2048;

    /// A Standard record of this kind with this body, taken as it is, byte for byte.
    pub fn new(kind: &str, body: impl Into<Body>) -> Self {
        Self {
            class: Class::Standard,
            kind: SecretText::copy_of(kind),
            subject: None,
            effective: None,
            content_type: SecretText::copy_of("application/octet-stream"),
            device: None,
            app: None,
            client: None,
            expires: None,
            pinned: false,
            body: body.into(),
            read: false,
            stored: None,
        }
    }

    /// Puts the record in a protection class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Says whom the record is about, such as `Patient/1`. Records of one subject are sealed under
    /// that subject's key and can be erased together.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = Some(SecretText::copy_of(subject));
        self
    }

    /// Says when the record holds, as an instant.
    #[must_use]
    pub fn effective(self, at: Timestamp) -> Self {
        self.effective_during(at, at)
    }

    /// Says when the record holds, as a period from `start` to `end`, which must not be earlier.
    /// Queries look at the start.
    #[must_use]
    pub fn effective_during(mut self, start: Timestamp, end: Timestamp) -> Self {
        self.effective = Some((start, end));
        self
    }

    /// Says what the body is, such as `application/fhir+json`.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = SecretText::copy_of(content_type);
        self
    }

    /// Names the device that made the record.
    #[must_use]
    pub fn device(mut self, device: &str) -> Self {
        self.device = Some(SecretText::copy_of(device));
        self
    }

    /// Names the app that made the record.
    #[must_use]
    pub fn app(mut self, app: &str) -> Self {
        self.app = Some(SecretText::copy_of(app));
        self
    }

    /// Gives the record the client's own identity and version, so that putting it again is
    /// idempotent: a higher version writes a new revision, a lower one changes nothing, and the
    /// same one changes nothing where the content is the same. Unique within the vault's open
    /// classes.
    #[must_use]
    pub fn client(mut self, id: &str, version: u64) -> Self {
        self.client = Some((SecretText::copy_of(id), version));
        self
    }

    /// Says when the record expires: from then on it is not found, and
    /// [`Session::erase_expired`](crate::Session::erase_expired) removes it.
    #[must_use]
    pub fn expires(mut self, at: Timestamp) -> Self {
        self.expires = Some(at);
        self
    }

    /// Keeps the record when others make room for new ones: see
    /// [`Session::set_quotas`](crate::Session::set_quotas). It may still expire, and be erased. A
    /// later version of the same client identity stays pinned; [`Session::unpin`](crate::Session::unpin)
    /// ends it.
    #[must_use]
    pub fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }

    /// Replaces the body, to put a record that was read as its next revision.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.read = false;
        self
    }

    /// The record's kind.
    pub fn kind(&self) -> &str {
        self.kind.expose()
    }

    /// The record's protection class.
    #[doc(alias = "class")]
    pub fn protection_class(&self) -> Class {
        self.class
    }

    /// Whom the record is about.
    #[doc(alias = "subject")]
    pub fn subject_name(&self) -> Option<&str> {
        self.subject.as_ref().map(SecretText::expose)
    }

    /// When the record holds: start and end, the same for an instant.
    #[doc(alias = "effective")]
    pub fn effective_time(&self) -> Option<(Timestamp, Timestamp)> {
        self.effective
    }

    /// What the body is: the content type.
    #[doc(alias = "content_type")]
    pub fn body_type(&self) -> &str {
        self.content_type.expose()
    }

    /// The device that made the record.
    #[doc(alias = "device")]
    pub fn source_device(&self) -> Option<&str> {
        self.device.as_ref().map(SecretText::expose)
    }

    /// The app that made the record.
    #[doc(alias = "app")]
    pub fn source_app(&self) -> Option<&str> {
        self.app.as_ref().map(SecretText::expose)
    }

    /// The client's own identity and version.
    #[doc(alias = "client")]
    pub fn client_identity(&self) -> Option<(&str, u64)> {
        self.client
            .as_ref()
            .map(|(id, version)| (id.expose(), *version))
    }

    /// When the record expires.
    #[doc(alias = "expires")]
    pub fn expiry(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether the record is kept when others make room.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// The record's bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The record's identity, once stored.
    pub fn id(&self) -> Option<RecordId> {
        self.stored.map(|stored| stored.id)
    }

    /// The record's revision, from 1, once stored.
    pub fn revision(&self) -> Option<u64> {
        self.stored.map(|stored| stored.revision)
    }

    /// When the record was first put.
    pub fn created(&self) -> Option<Timestamp> {
        self.stored.map(|stored| stored.created)
    }

    /// When this revision was put. Within a class no two are the same, and later puts are later.
    pub fn updated(&self) -> Option<Timestamp> {
        self.stored.map(|stored| stored.updated)
    }

    /// A copy that has its place in the store.
    pub(crate) fn copy_as(&self, stored: StoredAs) -> Self {
        Self {
            class: self.class,
            kind: self.kind.clone(),
            subject: self.subject.clone(),
            effective: self.effective,
            content_type: self.content_type.clone(),
            device: self.device.clone(),
            app: self.app.clone(),
            client: self.client.clone(),
            expires: self.expires,
            pinned: self.pinned,
            body: Body::from(self.body()),
            read: self.read,
            stored: Some(stored),
        }
    }

    /// What comes next where another record is: in its class, from its device and app, and as pinned
    /// and passing as that one.
    pub(crate) fn in_the_place_of(self, held: &Self) -> Self {
        Self {
            class: held.class,
            device: held.device.clone(),
            app: held.app.clone(),
            expires: held.expires,
            pinned: held.pinned,
            stored: held.stored,
            ..self
        }
    }

    /// Checks every bound before anything is written.
    pub(crate) fn check(&self) -> Result<()> {
        let texts = [
            Some(&self.kind),
            Some(&self.content_type),
            self.subject.as_ref(),
            self.device.as_ref(),
            self.app.as_ref(),
            self.client.as_ref().map(|(id, _)| id),
        ];
        let mut texts = texts.into_iter().flatten().map(SecretText::expose);
        let texts_fit = texts.all(|text| {
            (1..=Self::MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
        });
        let time_fits = self
            .effective
            .is_none_or(|(start, end)| start <= end && start.to_micros() != NO_EFFECTIVE_TIME);
        let version_fits = self
            .client
            .as_ref()
            .is_none_or(|(_, version)| i64::try_from(*version).is_ok());
        if texts_fit && time_fits && version_fits && self.body.len() <= Self::MAX_BODY {
            Ok(())
        } else {
            Err(ErrorKind::InvalidRecord.into())
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
