//! The names of one open class: kinds, content types and subjects, each opened once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{ErrorKind, Result};
use crate::id::KeyId;
use crate::keys::{ClassKeys, TokenSpace};
use crate::sealing::{self, Context, Table};
use crate::secret::{SecretKey, SecretText};
use crate::storage::{Reading, StoredSubject, StoredTerm, Writing};

/// A kind or a content type.
pub(super) struct Term {
    pub(super) number: i64,
    pub(super) text: SecretText,
    space: TokenSpace,
}

/// A person, or the rows that are about nobody.
pub(super) struct Subject {
    pub(super) number: i64,
    pub(super) key_id: KeyId,
    pub(super) key: SecretKey,
    pub(super) name: Option<SecretText>,
}

/// What has been opened so far, and what the transaction under way has made.
pub(super) struct Names {
    terms: RwLock<Cache<Term>>,
    subjects: RwLock<Cache<Subject>>,
}

/// A name's text under its space. The empty text stands for no subject.
type Entry = (u8, SecretText);

/// Ordered maps: a hashed one takes random bytes behind our back, and panics where there are none.
struct Cache<T> {
    by_number: BTreeMap<i64, Arc<T>>,
    by_text: BTreeMap<Entry, Arc<T>>,
    /// Made in a transaction that has not committed: its number may yet come to mean another.
    pending: Vec<(Entry, i64, Arc<T>)>,
}

impl<T> Cache<T> {
    fn new() -> Self {
        Self {
            by_number: BTreeMap::new(),
            by_text: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    fn numbered(&self, reading: &Reading<'_>, number: i64) -> Option<Arc<T>> {
        let made = || self.made(reading).find(|(_, made, _)| *made == number);
        let known = self.by_number.get(&number);
        known.or_else(|| made().map(|(.., name)| name)).cloned()
    }

    fn called(&self, reading: &Reading<'_>, entry: &Entry) -> Option<Arc<T>> {
        let made = || self.made(reading).find(|(made, ..)| made == entry);
        let known = self.by_text.get(entry);
        known.or_else(|| made().map(|(.., name)| name)).cloned()
    }

    /// What the transaction under way has made, which is known to itself alone.
    fn made(&self, reading: &Reading<'_>) -> impl Iterator<Item = &(Entry, i64, Arc<T>)> {
        let own = reading.in_transaction();
        self.pending.iter().filter(move |_| own)
    }

    /// Keeps a name that was opened, or the same one that another reader opened first: a name has
    /// one value here, so that rows may refer to it without holding its key.
    fn keep(&mut self, entry: Entry, number: i64, name: Arc<T>) -> Arc<T> {
        let first = self.by_number.entry(number).or_insert(name);
        self.by_text.insert(entry, Arc::clone(first));
        Arc::clone(first)
    }

    fn settle(&mut self, committed: bool) {
        for (entry, number, name) in std::mem::take(&mut self.pending) {
            if committed {
                self.keep(entry, number, name);
            }
        }
    }
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            terms: RwLock::new(Cache::new()),
            subjects: RwLock::new(Cache::new()),
        }
    }

    /// The term with this number.
    pub(super) fn term(
        &self,
        keys: &ClassKeys,
        reading: &Reading<'_>,
        number: i64,
        space: TokenSpace,
    ) -> Result<Arc<Term>> {
        let known = shared(&self.terms).numbered(reading, number);
        let term = match known {
            Some(term) => term,
            None => {
                let stored = reading.term(number)?.ok_or(ErrorKind::TamperDetected)?;
                self.keep_term(open_term(keys, stored)?)
            }
        };
        if term.space == space {
            Ok(term)
        } else {
            Err(ErrorKind::TamperDetected.into())
        }
    }

    /// The term for this text, where the class has one.
    pub(super) fn find_term(
        &self,
        keys: &ClassKeys,
        reading: &Reading<'_>,
        space: TokenSpace,
        text: &SecretText,
    ) -> Result<Option<Arc<Term>>> {
        let known = shared(&self.terms).called(reading, &(space.code(), text.clone()));
        if known.is_some() {
            return Ok(known);
        }
        let Some(stored) = reading.term_of_token(keys.token(space, text.expose()))? else {
            return Ok(None);
        };
        let term = open_term(keys, stored)?;
        if term.space != space || term.text != *text {
            return Err(ErrorKind::TamperDetected.into());
        }
        Ok(Some(self.keep_term(term)))
    }

    /// The term for this text, made where the class has none.
    pub(super) fn make_term(
        &self,
        keys: &ClassKeys,
        writing: &Writing<'_>,
        space: TokenSpace,
        text: &SecretText,
    ) -> Result<Arc<Term>> {
        if let Some(term) = self.find_term(keys, &writing.reading(), space, text)? {
            return Ok(term);
        }
        let number = writing.next_term()?;
        let place = Context::of_class(keys.vault(), keys.class(), Table::Term, as_u64(number));
        let room = [space.code()];
        let body = sealing::seal(keys.terms(), &place, &[&room, text.expose().as_bytes()])?;
        writing.insert_term(&StoredTerm {
            term: number,
            token: keys.token(space, text.expose()),
            body,
        })?;
        let term = Arc::new(Term {
            number,
            text: text.clone(),
            space,
        });
        let made = ((space.code(), text.clone()), number, Arc::clone(&term));
        alone(&self.terms).pending.push(made);
        Ok(term)
    }

    /// The subject with this number.
    pub(super) fn subject(
        &self,
        keys: &ClassKeys,
        reading: &Reading<'_>,
        number: i64,
    ) -> Result<Arc<Subject>> {
        let known = shared(&self.subjects).numbered(reading, number);
        if let Some(subject) = known {
            return Ok(subject);
        }
        let stored = reading.subject(number)?.ok_or(ErrorKind::TamperDetected)?;
        Ok(self.keep_subject(open_subject(keys, stored)?))
    }

    /// The subject of this name, where the class has one.
    pub(super) fn find_subject(
        &self,
        keys: &ClassKeys,
        reading: &Reading<'_>,
        name: Option<&SecretText>,
    ) -> Result<Option<Arc<Subject>>> {
        let known = shared(&self.subjects).called(reading, &subject_entry(name));
        if known.is_some() {
            return Ok(known);
        }
        let Some(stored) = reading.subject_of_token(subject_token(keys, name))? else {
            return Ok(None);
        };
        let subject = open_subject(keys, stored)?;
        if subject.name.as_ref() != name {
            return Err(ErrorKind::TamperDetected.into());
        }
        Ok(Some(self.keep_subject(subject)))
    }

    /// The subject of this name, made with a key of its own where the class has none.
    pub(super) fn make_subject(
        &self,
        keys: &ClassKeys,
        writing: &Writing<'_>,
        name: Option<&SecretText>,
    ) -> Result<Arc<Subject>> {
        if let Some(subject) = self.find_subject(keys, &writing.reading(), name)? {
            return Ok(subject);
        }
        let number = writing.next_subject()?;
        let key_id = KeyId::make()?;
        let key = SecretKey::make()?;
        let (key_place, name_place) = subject_places(keys, number, key_id);
        let wrapped = sealing::seal(keys.subject_wrap(), &key_place, &[key.expose()])?;
        let sealed_name = match name {
            Some(name) => sealing::seal(&key, &name_place, &[&[1], name.expose().as_bytes()])?,
            None => sealing::seal(&key, &name_place, &[&[0]])?,
        };
        let stored = StoredSubject {
            subject: number,
            key_id,
            token: subject_token(keys, name),
            key: wrapped,
            name: sealed_name,
        };
        writing.insert_subject(&stored)?;
        let subject = Arc::new(Subject {
            number,
            key_id,
            key,
            name: name.cloned(),
        });
        let made = (subject_entry(name), number, Arc::clone(&subject));
        alone(&self.subjects).pending.push(made);
        Ok(subject)
    }

    /// Drops everything: it is read again when it is asked for.
    pub(super) fn forget_all(&self) {
        *alone(&self.terms) = Cache::new();
        *alone(&self.subjects) = Cache::new();
    }

    /// Drops the key of a subject that is erased.
    pub(super) fn forget_subject(&self, name: &SecretText) {
        let mut cache = alone(&self.subjects);
        if let Some(subject) = cache.by_text.remove(&subject_entry(Some(name))) {
            cache.by_number.remove(&subject.number);
        }
    }

    /// Takes over what the transaction made, or drops it where the transaction did not commit.
    pub(super) fn settle(&self, committed: bool) {
        alone(&self.terms).settle(committed);
        alone(&self.subjects).settle(committed);
    }

    fn keep_term(&self, term: Term) -> Arc<Term> {
        let entry = (term.space.code(), term.text.clone());
        alone(&self.terms).keep(entry, term.number, Arc::new(term))
    }

    fn keep_subject(&self, subject: Subject) -> Arc<Subject> {
        let entry = subject_entry(subject.name.as_ref());
        alone(&self.subjects).keep(entry, subject.number, Arc::new(subject))
    }
}

fn shared<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn subject_entry(name: Option<&SecretText>) -> Entry {
    match name {
        Some(name) => (TokenSpace::Subject.code(), name.clone()),
        None => (TokenSpace::NoSubject.code(), SecretText::copy_of("")),
    }
}

fn subject_token(keys: &ClassKeys, name: Option<&SecretText>) -> [u8; 16] {
    match name {
        Some(name) => keys.token(TokenSpace::Subject, name.expose()),
        None => keys.token(TokenSpace::NoSubject, ""),
    }
}

fn subject_places(
    keys: &ClassKeys,
    number: i64,
    key: KeyId,
) -> (Context<'static>, Context<'static>) {
    let place = |table| Context {
        key,
        ..Context::of_class(keys.vault(), keys.class(), table, as_u64(number))
    };
    (place(Table::SubjectKey), place(Table::SubjectName))
}

fn open_subject(keys: &ClassKeys, stored: StoredSubject) -> Result<Subject> {
    let (key_place, name_place) = subject_places(keys, stored.subject, stored.key_id);
    let opened = sealing::open(keys.subject_wrap(), &key_place, stored.key)?;
    let key = SecretKey::fill(|bytes| {
        let plain = <&[u8; 32]>::try_from(opened.expose());
        bytes.copy_from_slice(plain.map_err(|_| ErrorKind::TamperDetected)?);
        Ok::<(), ErrorKind>(())
    })?;
    let opened = sealing::open(&key, &name_place, stored.name)?;
    let name = match opened.expose().split_first() {
        Some((0, [])) => None,
        Some((1, name)) => Some(text_of(name)?),
        _ => return Err(ErrorKind::TamperDetected.into()),
    };
    if stored.token != subject_token(keys, name.as_ref()) {
        return Err(ErrorKind::TamperDetected.into());
    }
    Ok(Subject {
        number: stored.subject,
        key_id: stored.key_id,
        key,
        name,
    })
}

fn open_term(keys: &ClassKeys, stored: StoredTerm) -> Result<Term> {
    let place = Context::of_class(keys.vault(), keys.class(), Table::Term, as_u64(stored.term));
    let opened = sealing::open(keys.terms(), &place, stored.body)?;
    let (room, text) = opened
        .expose()
        .split_first()
        .ok_or(ErrorKind::TamperDetected)?;
    let spaces = [TokenSpace::Kind, TokenSpace::ContentType];
    let space = spaces.into_iter().find(|space| space.code() == *room);
    let space = space.ok_or(ErrorKind::TamperDetected)?;
    let text = text_of(text)?;
    if stored.token != keys.token(space, text.expose()) {
        return Err(ErrorKind::TamperDetected.into());
    }
    Ok(Term {
        number: stored.term,
        text,
        space,
    })
}

fn text_of(bytes: &[u8]) -> Result<SecretText> {
    let text = std::str::from_utf8(bytes).map_err(|_| ErrorKind::TamperDetected)?;
    Ok(SecretText::copy_of(text))
}

/// Row numbers in associated data; SQLite's are never negative here, and any other value is just
/// another place.
pub(super) fn as_u64(number: i64) -> u64 {
    u64::from_le_bytes(number.to_le_bytes())
}
