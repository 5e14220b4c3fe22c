//! What a class's database says of itself, and replaces with every commit (spec 08): its generation,
//! and where its audit trail stands.

use std::sync::{MutexGuard, PoisonError};

use super::names::as_u64;
use super::open_class::OpenClass;
use super::segments::entries_from;
use crate::actor::Actor;
use crate::anchor::ClassMark;
use crate::audit::{self, Entry, Event};
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordId;
use crate::keys::{Chain, ClassKeys, Seal};
use crate::sealing::{self, Context, Reader, Sealed, Table};
use crate::secret::{SecretBytes, SecretKey};
use crate::storage::{Reading, Writing};

const STATE_CODEC: u8 = 1;
const ENTRY_CODEC: u8 = 1;

/// The state of a class's database.
pub(super) struct State {
    /// How many commits there were.
    pub(super) generation: u64,
    /// The hash over all records and earlier revisions.
    pub(super) rows: Rows,
    pub(super) chain: Chain,
    /// The first entry of an emergency access that the owner has not taken notice of; 0 for none.
    pub(super) notice: u64,
    /// Which event from outside was the last that was taken in; zero for none (spec 10).
    pub(super) event: [u8; 16],
}

/// The state that is committed, and the one that the transaction under way is making.
pub(super) struct Standing {
    pub(super) committed: State,
    draft: Option<State>,
}

impl State {
    /// The state of a new database, before its first commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RandomUnavailable`].
    pub(super) fn make(keys: &ClassKeys) -> Result<Self> {
        Ok(Self {
            generation: 1,
            rows: Rows::NONE,
            chain: Chain::make(keys.vault(), keys.class())?,
            notice: 0,
            event: [0; 16],
        })
    }

    fn again(&self) -> Self {
        let chain = self.chain.again();
        Self { chain, ..*self }
    }

    pub(super) fn seal(&self, keys: &ClassKeys) -> Result<Sealed> {
        let parts: [&[u8]; 8] = [
            &[STATE_CODEC],
            &self.generation.to_le_bytes(),
            &self.rows.to_bytes(),
            &self.chain.entries().to_le_bytes(),
            &self.chain.link(),
            self.chain.key().expose(),
            &self.notice.to_le_bytes(),
            &self.event,
        ];
        sealing::seal(keys.settings(), &place(keys), &parts)
    }

    pub(super) fn open(keys: &ClassKeys, sealed: Sealed) -> Result<Self> {
        let opened = sealing::open(keys.settings(), &place(keys), sealed)?;
        let mut reader = Reader::over(opened.expose());
        if reader.array()? != [STATE_CODEC] {
            return Err(ErrorKind::UnsupportedFormat.into());
        }
        let generation = u64::from_le_bytes(reader.array()?);
        let rows = Rows::from_bytes(&reader.array()?);
        let entries = u64::from_le_bytes(reader.array()?);
        let link = reader.array()?;
        let key = SecretKey::fill(|key| {
            *key = reader.array()?;
            Ok::<(), Error>(())
        })?;
        let notice = u64::from_le_bytes(reader.array()?);
        let event = reader.array()?;
        if reader.left() > 0 {
            return Err(ErrorKind::TamperDetected.into());
        }
        Ok(Self {
            generation,
            rows,
            chain: Chain::at(keys.vault(), keys.class(), entries, link, key),
            notice,
            event,
        })
    }

    /// Seals the key of the next entry, which is the first where there is none yet.
    pub(super) fn seal_root(&self, priority: &ClassKeys, class: Class) -> Result<Sealed> {
        let key = priority.audit_root();
        sealing::seal(
            &key,
            &root_place(priority, class),
            &[self.chain.key().expose()],
        )
    }

    /// What the anchor keeps of this state (spec 08).
    pub(super) fn mark(&self, keys: &ClassKeys) -> ClassMark {
        let (entries, link) = (self.chain.entries(), self.chain.link());
        let root = keys.root(&[
            &self.generation.to_le_bytes(),
            &self.rows.to_bytes(),
            &entries.to_le_bytes(),
            &link,
        ]);
        ClassMark {
            generation: self.generation,
            root,
            entries,
            link: *link.first_chunk().expect("a link is longer"),
        }
    }

    /// Adds an entry in a transaction.
    pub(super) fn append(
        &mut self,
        keys: &ClassKeys,
        writing: &Writing<'_>,
        entry: &Entry,
    ) -> Result<()> {
        let event = audit::encode(entry);
        let seal = self.chain.append(event.expose());
        let number = self.chain.entries();
        match entry.event {
            Event::EmergencyAccess(_) if self.notice == 0 => self.notice = number,
            Event::EmergencyNoticed => self.notice = 0,
            _ => {}
        }
        let parts: [&[u8]; 4] = [&[ENTRY_CODEC], &seal.link, &seal.mac, event.expose()];
        let body = sealing::seal(keys.entries(), &entry_place(keys, number), &parts)?;
        let number = i64::try_from(number).map_err(|_| ErrorKind::StorageFull)?;
        writing.append_entry(number, &body)
    }
}

/// The key that the trail of a class began with.
pub(super) fn open_root(priority: &ClassKeys, class: Class, sealed: Sealed) -> Result<SecretKey> {
    let key = priority.audit_root();
    let opened = sealing::open(&key, &root_place(priority, class), sealed)?;
    match opened.expose().len() {
        32 => Ok(SecretKey::copy_of(opened.expose())),
        _ => Err(ErrorKind::TamperDetected.into()),
    }
}

/// An entry as it stands in its row: what it is chained by, and its event.
pub(super) struct Chained {
    pub(super) seal: Seal,
    pub(super) event: SecretBytes,
}

pub(super) fn open_entry(keys: &ClassKeys, number: u64, body: Sealed) -> Result<Chained> {
    let opened = sealing::open(keys.entries(), &entry_place(keys, number), body)?;
    let mut reader = Reader::over(opened.expose());
    if reader.array()? != [ENTRY_CODEC] {
        return Err(ErrorKind::UnsupportedFormat.into());
    }
    let seal = Seal {
        link: reader.array()?,
        mac: reader.array()?,
    };
    let event = SecretBytes::copy_of(reader.rest());
    Ok(Chained { seal, event })
}

fn place(keys: &ClassKeys) -> Context<'static> {
    Context::of_class(keys.vault(), keys.class(), Table::Settings, 2)
}

fn root_place(priority: &ClassKeys, class: Class) -> Context<'static> {
    Context::of_class(priority.vault(), class, Table::Settings, 3)
}

fn entry_place(keys: &ClassKeys, number: u64) -> Context<'static> {
    Context::of_class(keys.vault(), keys.class(), Table::AuditEntry, number)
}

impl Standing {
    pub(super) fn of(committed: State) -> Self {
        Self {
            committed,
            draft: None,
        }
    }

    /// What the transaction under way makes of the state.
    fn draft(&mut self) -> &mut State {
        let committed = &self.committed;
        self.draft.get_or_insert_with(|| committed.again())
    }
}

impl OpenClass {
    /// Runs `work` in one transaction, which is the next generation where it changes anything.
    ///
    /// # Errors
    ///
    /// Those of `work`, and of the commit.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Writing<'_>) -> Result<T>) -> Result<T> {
        let result = self.store.write(|writing| {
            let before = writing.changes();
            self.standing().draft = None;
            let value = work(writing)?;
            if writing.changes() != before {
                let mut standing = self.standing();
                let state = standing.draft();
                state.generation += 1;
                writing.put_state(&state.seal(&self.keys)?)?;
            }
            Ok(value)
        });
        let mut standing = self.standing();
        if let Some(state) = standing.draft.take().filter(|_| result.is_ok()) {
            standing.committed = state;
        }
        result
    }

    /// Adds an entry to the audit trail, within a [`write`](Self::write).
    pub(super) fn append(&self, writing: &Writing<'_>, entry: &Entry) -> Result<()> {
        self.standing().draft().append(&self.keys, writing, entry)
    }

    /// Which event from outside was taken in last, within a [`write`](Self::write).
    pub(super) fn take_event(&self, event: [u8; 16]) {
        self.standing().draft().event = event;
    }

    /// A row is there that was not, within a [`write`](Self::write).
    pub(super) fn count_in(&self, table: Table, id: RecordId, revision: i64, body: &Sealed) {
        let hash = self.keys.row_hash(table, id, as_u64(revision), &body.tag());
        self.standing().draft().rows.add(&hash);
    }

    /// A row is gone, within a [`write`](Self::write).
    pub(super) fn count_out(&self, table: Table, id: RecordId, revision: i64, tag: &[u8; 16]) {
        let hash = self.keys.row_hash(table, id, as_u64(revision), tag);
        self.standing().draft().rows.subtract(&hash);
    }

    /// What the anchor keeps of the committed state.
    pub(super) fn mark(&self) -> ClassMark {
        self.standing().committed.mark(&self.keys)
    }

    /// Whether the audit trail had this link after so many entries.
    ///
    /// # Errors
    ///
    /// Those of the database, and of an entry that does not open.
    pub(super) fn goes_through(&self, mark: &ClassMark) -> Result<bool> {
        if mark.entries == 0 {
            return Ok(true);
        }
        let number = i64::try_from(mark.entries).map_err(|_| ErrorKind::RollbackDetected)?;
        let read = |reading: &Reading<'_>| entries_from(&self.keys, reading, number, 1);
        match self.store.read(read)?.into_iter().next() {
            Some((at, entry)) if at == number => Ok(entry?.seal.link.starts_with(&mark.link)),
            _ => Ok(false),
        }
    }

    /// Takes the state as it is in the database.
    pub(super) fn read_state(&self) -> Result<()> {
        let state = State::open(&self.keys, self.store.state()?)?;
        *self.standing() = Standing::of(state);
        Ok(())
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        let standing = self.standing.lock();
        standing.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash over a set of rows, of which rows can be added and taken away: the sum, modulo 2^256, of
/// what each hashes to under a secret key (MSet-Add-Hash of Clarke and others, 2003).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows([u64; 4]);

impl Rows {
    /// Of no row.
    pub(super) const NONE: Self = Self([0; 4]);

    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, place) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*place);
        }
        Self(words)
    }

    pub(super) fn add(&mut self, hash: &[u8; 32]) {
        let mut carry = false;
        for (word, more) in self.0.iter_mut().zip(Self::from_bytes(hash).0) {
            let (sum, over) = word.overflowing_add(more);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, over || again);
        }
    }

    pub(super) fn subtract(&mut self, hash: &[u8; 32]) {
        let mut borrow = false;
        for (word, less) in self.0.iter_mut().zip(Self::from_bytes(hash).0) {
            let (rest, under) = word.overflowing_sub(less);
            let (rest, again) = rest.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (rest, under || again);
        }
    }
}

/// The first entry of every trail.
pub(super) fn genesis(by: &Actor) -> Entry {
    Entry::done(by, Event::VaultMade)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_hash_is_that_of_the_set_whatever_came_and_went(
            rows in proptest::collection::vec(any::<[u8; 32]>(), 1..20),
            keep in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let (mut all, mut some) = (Rows::NONE, Rows::NONE);
            rows.iter().for_each(|row| all.add(row));
            for (row, keep) in rows.iter().zip(&keep).rev() {
                if *keep {
                    some.add(row);
                } else {
                    all.subtract(row);
                }
            }
            prop_assert_eq!(all, some);
            prop_assert_eq!(Rows::from_bytes(&all.to_bytes()), all);
        }
    }

    #[test]
    fn a_carry_goes_through_every_word() {
        let mut rows = Rows([u64::MAX; 4]);
        let mut one = [0; 32];
        one[0] = 1;
        rows.add(&one);
        assert_eq!(rows, Rows::NONE);
        rows.subtract(&one);
        assert_eq!(rows, Rows([u64::MAX; 4]));
    }
}
