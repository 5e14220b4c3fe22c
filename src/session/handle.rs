//! A session: what an app holds while the vault is open.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::classes::{Reach, open_classes};
use super::commit;
use super::expiry;
use super::generation::Accept;
use super::live::{Held, Inner};
use super::located::{find, history};
use super::matches::Matches;
use super::opening::{Opening, Unlocked};
use super::shrink;
use super::usage::{self, Usage};
use super::verify::{self, Verification};
use crate::actor::Actor;
use crate::audit::{Event, LockReason};
use crate::error::{ErrorKind, Result};
use crate::id::{RecordId, SlotId};
use crate::keys::ClassKeys;
use crate::records::{Batch, Cursor, Query, Record, Stored};

/// An unlocked vault: Standard and Emergency are open, their keys in memory.
///
/// Clones share one session and may be used from many threads. It ends when it is
/// [locked](Self::lock), when the last clone is dropped, or when a limit of the
/// [`SessionPolicy`](crate::SessionPolicy) is reached: the keys are wiped, the files closed, and
/// every clone, iterator and call that comes later fails with [`ErrorKind::Locked`].
/// [`lock_reason`](Self::lock_reason) says why.
///
/// The limits are measured by a clock that goes on while the device sleeps. They are looked at
/// before every call and every item of an iterator, and once a second by a thread that the process
/// has while a session is open. A call under way is finished first. A session also ends where the
/// wall clock comes apart from that clock by more than a minute. *Activity*, which puts the idle
/// limit off, is every call that reads or writes and every item of an iterator, from its beginning
/// to its end, except through an [`unattended`](Self::unattended) handle.
///
/// # Errors
///
/// Beside what each method says, every method that reads or writes can fail with
/// [`ErrorKind::Locked`], [`ErrorKind::Paused`], on a lease with [`ErrorKind::LeaseExpired`],
/// [`ErrorKind::TamperDetected`] where what is stored is not what was
/// sealed in that place, [`ErrorKind::DatabaseDamaged`], [`ErrorKind::Io`],
/// [`ErrorKind::StorageFull`], [`ErrorKind::ReadOnly`], [`ErrorKind::OutOfMemory`] and, where it
/// seals, [`ErrorKind::RandomUnavailable`].
#[must_use = "a session that is dropped locks the vault"]
#[derive(Clone)]
pub struct Session {
    pub(super) held: Arc<Held>,
    pub(super) reach: Reach,
    pub(super) slot: SlotId,
}

impl Session {
    /// Opens the databases of the classes whose keys were unwrapped, finishing what waits there.
    /// The session is open for `most` at the longest.
    pub(crate) fn begin(
        opening: &Arc<Opening>,
        unlocked: Unlocked,
        most: Duration,
        accept: Accept,
        by: Actor,
    ) -> Result<Self> {
        let Unlocked { slot, failed, .. } = unlocked;
        let event = Event::Unlocked { slot, failed };
        Self::begin_with(opening, unlocked.keys, slot, most, accept, by, event)
    }

    /// The same, where the trail says something else of it.
    pub(super) fn begin_with(
        opening: &Arc<Opening>,
        keys: Vec<ClassKeys>,
        slot: SlotId,
        most: Duration,
        accept: Accept,
        by: Actor,
        event: Event,
    ) -> Result<Self> {
        let held = opening.activate(|| {
            let open = open_classes(opening, keys, accept)?;
            let inner = Inner::new(Arc::clone(opening), open, most, by);
            inner.begin(event)?;
            Ok(Arc::new(inner))
        })?;
        Ok(Self {
            held: Arc::new(held),
            reach: Reach::OWN,
            slot,
        })
    }

    /// The same session for what the app does by itself, such as a refresh once a minute: calls
    /// through this handle, and through what it makes, do not put the idle limit off.
    pub fn unattended(&self) -> Self {
        let mut unattended = self.clone();
        unattended.reach.attended = false;
        unattended
    }

    /// The same session for another actor, or for the same one with another purpose: the audit trail
    /// says so of what is done through this handle, and through what it makes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidActor`].
    pub fn acting(&self, actor: &Actor) -> Result<Self> {
        actor.check()?;
        let mut acting = self.clone();
        acting.reach.by = self.inner().number_actor(actor);
        Ok(acting)
    }

    /// Keeps in the vault's [`Anchor`](crate::Anchor) how far it has come. What was committed before
    /// this returns is noticed when it is taken back by putting older files in place. Without it that
    /// holds from the first call 30 seconds later, from when the session is locked by a call, or from
    /// the next unlock.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnchorMissing`] where the vault is not anchored,
    /// [`ErrorKind::AnchorUnavailable`], and those of the session.
    pub fn anchor(&self) -> Result<()> {
        self.inner().anchor(self.reach)
    }

    /// Counts as activity, and does nothing else: for a person who reads what is on the screen.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`], [`ErrorKind::Paused`].
    pub fn touch(&self) -> Result<()> {
        self.inner().with(self.reach, |_| Ok(()))
    }

    /// Puts a record: a new one, or the next revision of one that was read, or nothing where the
    /// store already has this version of the client's record. Durable when it returns. A record
    /// whose class was changed since it was read moves there with its earlier revisions, and is
    /// never in both or in neither.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRecord`], [`ErrorKind::Conflict`] where another revision came first or
    /// the same client version has other content, [`ErrorKind::NotFound`] where a record that was
    /// read is gone, [`ErrorKind::LeaseRequired`] for Priority.
    pub fn put(&self, record: Record) -> Result<Stored> {
        let stored = self.commit(&Batch::from_iter([record]))?;
        stored
            .first()
            .copied()
            .ok_or_else(|| ErrorKind::InvalidRecord.into())
    }

    /// Makes several changes together: all of them are durable when it returns, or none is made.
    /// The answers stand for the batch's puts, in order.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), of the first change that cannot be made. Where a failure of the
    /// disk cuts a batch over several classes in two, the error is reported, and until the batch
    /// can be finished every call fails like this, so that half of it is never seen. It is finished
    /// at the latest at the next unlock that finds the disk well. A batch that erases may be done
    /// although an error says that traces are left, as for [`erase`](Self::erase).
    pub fn commit(&self, batch: &Batch) -> Result<Vec<Stored>> {
        commit::commit(self.inner(), self.reach, batch)
    }

    /// Reads a record; `None` where there is none or it has expired.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn get(&self, id: RecordId) -> Result<Option<Record>> {
        find(self.inner(), self.reach, id)
    }

    /// Reads several records, in the order asked for.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn get_many(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        // Between two of them the session is asked anew; without any, once.
        self.touch()?;
        ids.iter().map(|id| self.get(*id)).collect()
    }

    /// Reads the earlier revisions of a record, oldest first. There are none unless the vault was
    /// made to keep them, nor of a record that has expired.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn history(&self, id: RecordId) -> Result<Vec<Record>> {
        history(self.inner(), self.reach, id)
    }

    /// Erases a record and its earlier revisions: the rows are overwritten and the write-ahead log
    /// emptied before it returns. Whether there was one.
    ///
    /// # Errors
    ///
    /// Those of the session. Where emptying the log fails the record is gone from the store all
    /// the same; its traces go at the next opening, and what the unused parts of pages still hold
    /// at the next erasure.
    ///
    /// # Security
    ///
    /// Copies of the files made earlier still hold the sealed record and the wrapped key.
    pub fn erase(&self, id: RecordId) -> Result<bool> {
        commit::erase(self.inner(), self.reach, id)
    }

    /// Erases everything about a subject in every class: the key under which it was sealed, the
    /// rows, and their traces in the log. Needs a [`Lease`](crate::Lease), since Priority is one of the classes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseRequired`] without a lease, and those of the session. A subject that nothing
    /// is stored about is no error.
    ///
    /// # Security
    ///
    /// Copies of the files made earlier, together with factors that open them, still give the
    /// records.
    pub fn erase_subject(&self, subject: &str) -> Result<()> {
        commit::erase_subject(self.inner(), self.reach, subject)
    }

    /// Erases the records that have expired; how many there were.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn erase_expired(&self) -> Result<u64> {
        expiry::erase_expired(self.inner(), self.reach)
    }

    /// How many bytes of the open databases hold nothing: about what [`shrink`](Self::shrink) would
    /// give back. Erasing gives back by itself; what is left comes from records that were replaced
    /// by shorter ones, from batches over several classes, parts of which wait in the lowest for a
    /// moment, and from an erasure that was cut short. What part of a page is unused does not count.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn unused_bytes(&self) -> Result<u64> {
        shrink::unused(self.inner(), self.reach)
    }

    /// Makes the files of the open databases shorter, by about `most` bytes that nothing uses and
    /// not more; by how many. 0 means that nothing is left to give back.
    ///
    /// It goes in steps of a mebibyte, each durable when the next begins, and lets other calls in
    /// between. Where [`lock`](Self::lock) or a crash stops it no record is lost, and it may be
    /// called again. A step needs room in the write-ahead log, so give back before the disk is full.
    ///
    /// # Errors
    ///
    /// Those of the session, [`ErrorKind::Locked`] also where it was locked between two steps. What
    /// was given back before stays so.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn when_idle(vault: &vitalock::Vault, session: &vitalock::Session) -> vitalock::Result<()> {
    /// while session.unused_bytes()? > vault.size()?.total() / 4 && session.shrink(8 << 20)? > 0 {}
    /// # Ok(())
    /// # }
    /// ```
    pub fn shrink(&self, most: u64) -> Result<u64> {
        shrink::shrink(self.inner(), self.reach, most)
    }

    /// What takes the room: by class and kind, and by file. Of Priority only on a lease. It reads
    /// about as much as counting everything without an index does, and opens no record.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn usage(&self) -> Result<Usage> {
        usage::usage(self.inner(), self.reach)
    }

    /// Finds records. Nothing is decrypted but what the iterator is asked for, one at a time.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn show(session: &vitalock::Session) -> vitalock::Result<()> {
    /// use vitalock::Query;
    ///
    /// let query = Query::new().subject("Patient/1").newest_first();
    /// let mut matches = session.query(&query);
    /// for record in matches.by_ref().take(50) {
    ///     let record = record?;
    ///     println!("{:?}", record.effective_time());
    /// }
    /// let next_page = matches.cursor()?;
    /// # drop(next_page);
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self, query: &Query) -> Matches {
        Matches::begin(self.inner(), self.reach, query)
    }

    /// Goes on where a page ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCursor`] where the cursor is of another query or vault.
    pub fn query_after(&self, query: &Query, cursor: &Cursor) -> Result<Matches> {
        Matches::resume(self.inner(), self.reach, query, cursor)
    }

    /// Counts the matches without opening one.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub fn count(&self, query: &Query) -> Result<u64> {
        super::asked::count(self.inner(), self.reach, query)
    }

    /// Opens every record and earlier revision, compares every index with its table, adds up the rows,
    /// and follows the audit trail from its first entry to where it was anchored and to its end; on a
    /// lease of Priority too, and with the MACs of the entries. Each class is read in one snapshot:
    /// erasing waits meanwhile, everything else goes on. It takes about as long as reading everything.
    ///
    /// # Errors
    ///
    /// Those of the session, [`ErrorKind::Locked`] also where it is locked meanwhile. What is wrong
    /// with the data is no error, but is in the answer.
    pub fn verify(&self) -> Result<Verification> {
        verify::verify(self.inner(), self.reach)
    }

    /// The slot that opened this session, or this lease.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// The same session under the slot that took the place of the one it was opened by.
    pub(crate) fn opened_by(self, slot: SlotId) -> Self {
        Self { slot, ..self }
    }

    /// Ends the session for every clone: keys wiped, files closed. Waits for calls under way;
    /// calls that start meanwhile fail.
    pub fn lock(&self) {
        self.inner().lock(LockReason::Requested);
    }

    /// Whether the session has ended.
    pub fn is_locked(&self) -> bool {
        self.inner().is_locked()
    }

    /// Why the session has ended; `None` while it is open.
    pub fn lock_reason(&self) -> Option<LockReason> {
        self.inner().is_locked();
        self.inner().watch.ended()
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.held.0
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("locked", &self.inner().watch.ended().is_some())
            .finish_non_exhaustive()
    }
}
