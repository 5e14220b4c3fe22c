//! How often a key slot was tried in vain, as it is kept beside the header (spec 07), and how long
//! the next try has to wait.

use std::cmp::Reverse;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::header::Header;
use crate::anchor::{Tries, Try};
use crate::id::SlotId;

/// The failed attempts of each slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    sequence: u64,
    failed: Vec<(SlotId, Failed)>,
    /// What a slot has that the table does not name.
    others: Failed,
}

/// The slots that there are.
#[derive(Clone, Copy)]
pub(crate) enum Slots<'a> {
    /// Copies of the header name them, which anybody may have written.
    Named(&'a [SlotId]),
    /// A key vouches for the header.
    Vouched(&'a [SlotId]),
}

/// The failed attempts of one slot since the last that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) count: u32,
    /// The number goes back to a table that was lost, and was not counted from its beginning.
    pub(crate) guessed: bool,
    /// When the last one was counted, in microseconds on the steady clock.
    pub(crate) at: i64,
}

impl Failed {
    const NONE: Self = Self {
        count: 0,
        guessed: false,
        at: 0,
    };
    /// Where nobody knows any more: as if an attempt were due after the longest wait, which counts
    /// from the system's start.
    const UNKNOWN: Self = Self {
        count: 9,
        guessed: true,
        at: 0,
    };

    /// How long the next attempt has to wait. Only time that has passed for certain counts: where
    /// the system was started since, that is at most the time since its start.
    pub(crate) fn wait(self, now: i64) -> Duration {
        let passed = now.saturating_sub(self.at).min(now);
        let passed = Duration::from_micros(u64::try_from(passed).unwrap_or_default());
        delay(self.count).saturating_sub(passed)
    }
}

/// From 30 seconds after the third failure to an hour after the ninth (SP 800-63B-4, section
/// 3.2.2).
fn delay(failures: u32) -> Duration {
    let after_third = usize::try_from(failures)
        .unwrap_or(usize::MAX)
        .checked_sub(3);
    let seconds = after_third.map_or(0, |at| *DELAYS.get(at).unwrap_or(&LONGEST));
    Duration::from_secs(seconds)
}

const DELAYS: [u64; 6] = [30, 60, 120, 300, 900, 1800];
const LONGEST: u64 = 3600;

impl Attempts {
    /// After so many failures in a row a slot is disabled, where there is another way in.
    pub(crate) const MOST: u32 = 10;
    /// A record of the table, of which the file has two.
    pub(crate) const RECORD: usize = 4096;
    pub(crate) const FILE: usize = 2 * Self::RECORD;

    /// A vault that nobody has tried yet.
    pub(crate) fn none() -> Self {
        Self {
            sequence: 1,
            failed: Vec::new(),
            others: Failed::NONE,
        }
    }

    /// Where the table is lost.
    pub(crate) fn unknown() -> Self {
        Self {
            others: Failed::UNKNOWN,
            ..Self::none()
        }
    }

    pub(crate) fn of(&self, slot: SlotId) -> Failed {
        let mut failed = self.failed.iter();
        let found = failed.find(|(id, _)| *id == slot);
        found.map_or(self.others, |(_, failed)| *failed)
    }

    /// Whether a failure was counted later than now, and so before the system was started again.
    pub(crate) fn is_from_before(&self, now: i64) -> bool {
        self.failed.iter().any(|(_, failed)| failed.at > now)
    }

    /// What was counted before the system started waits from its start on.
    pub(crate) fn begin_anew(&mut self, now: i64) {
        let before = |failed: &&mut (SlotId, Failed)| failed.1.at > now;
        for (_, failed) in self.failed.iter_mut().filter(before) {
            failed.at = 0;
        }
    }

    /// Whether the table is numbered as no vault comes to: it begins anew, in a new file.
    pub(crate) fn is_spent(&self) -> bool {
        self.sequence >= SPENT
    }

    /// Writes down what a slot has now.
    pub(crate) fn set(&mut self, slot: SlotId, now: Failed) {
        self.failed.retain(|(id, _)| *id != slot);
        self.failed.push((slot, now));
    }

    /// What of this is kept outside the directory.
    pub(crate) fn tries(&self) -> Tries {
        Tries::of(self.failed.iter().map(|(slot, failed)| Try {
            slot: *slot,
            failures: u8::try_from(failed.count).unwrap_or(u8::MAX),
            at: failed.at,
        }))
    }

    /// Goes forward to what was kept outside the directory, where every attempt is counted before it
    /// is made; so it takes the place of a table that is lost.
    pub(crate) fn reach(&mut self, tries: &Tries) {
        self.others = Failed::NONE;
        for tried in tries.iter() {
            let count = u32::from(tried.failures);
            let known = self.of(tried.slot);
            let at = match known.count == count {
                true => known.at.max(tried.at),
                false => tried.at,
            };
            if known.count <= count {
                let guessed = false;
                self.set(tried.slot, Failed { count, guessed, at });
            }
        }
    }

    /// The next version of the table as the file's record, and the place where that goes: over the
    /// older of the two. A slot that no copy of the header names keeps what it has until a key
    /// vouches for the header, or there is no room: then those that failed least often go.
    pub(crate) fn next(&mut self, slots: Slots<'_>) -> (usize, Vec<u8>) {
        let (Slots::Named(ids) | Slots::Vouched(ids)) = slots;
        for slot in ids {
            self.set(*slot, self.of(*slot));
        }
        let named = |id: &SlotId| ids.contains(id);
        if let Slots::Vouched(_) = slots {
            self.failed.retain(|(id, _)| named(id));
        }
        self.failed
            .sort_by_key(|(id, failed)| (!named(id), Reverse(failed.count)));
        self.failed.truncate(MOST_SLOTS);
        self.others = Failed::NONE;
        self.sequence = match self.is_spent() {
            true => 1,
            false => self.sequence + 1,
        };
        let at = if self.sequence.is_multiple_of(2) {
            0
        } else {
            Self::RECORD
        };
        (at, self.encode())
    }

    /// The whole file of a table that is written for the first time.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        [self.encode(), self.encode()].concat()
    }

    /// Reads the file: the newer of its records that are whole.
    pub(crate) fn read(file: &[u8]) -> Option<Self> {
        if file.len() != Self::FILE {
            return None;
        }
        let records = file.chunks_exact(Self::RECORD).filter_map(Self::decode);
        records.max_by_key(|record| record.sequence)
    }

    fn encode(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(Self::RECORD);
        record.extend_from_slice(NAME);
        record.extend_from_slice(&self.sequence.to_le_bytes());
        let count = u64::try_from(self.failed.len()).unwrap_or(u64::MAX);
        record.extend_from_slice(&count.to_le_bytes());
        for (slot, failed) in &self.failed {
            record.extend_from_slice(&slot.to_bytes());
            let guessed = if failed.guessed { GUESSED } else { 0 };
            let count = u64::from(failed.count) | guessed;
            record.extend_from_slice(&count.to_le_bytes());
            record.extend_from_slice(&failed.at.to_le_bytes());
        }
        record.resize(CHECKED, 0);
        record.extend_from_slice(&Sha256::digest(&record));
        record.resize(Self::RECORD, 0);
        record
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (checked, sum) = record.split_at_checked(CHECKED)?;
        if !sum.starts_with(&Sha256::digest(checked)) {
            return None;
        }
        let mut fields = checked.strip_prefix(NAME)?.chunks_exact(8);
        let mut field = || fields.next()?.first_chunk::<8>().copied();
        let sequence = u64::from_le_bytes(field()?);
        let count = u64::from_le_bytes(field()?);
        let mut failed = Vec::new();
        for _ in 0..usize::try_from(count)
            .ok()
            .filter(|count| *count <= MOST_SLOTS)?
        {
            let slot = SlotId::from_bytes(field()?);
            let count = u64::from_le_bytes(field()?);
            let guessed = count & GUESSED > 0;
            let count = u32::try_from(count & !GUESSED).ok()?;
            let at = i64::from_le_bytes(field()?);
            failed.push((slot, Failed { count, guessed, at }));
        }
        let attempts = Self {
            sequence,
            failed,
            others: Failed::NONE,
        };
        // One table has one spelling.
        (attempts.encode() == record).then_some(attempts)
    }
}

const NAME: &[u8; 16] = b"vitalock/1/tries";
const GUESSED: u64 = 1 << 32;
const SPENT: u64 = 1 << 63;
/// As many as two copies of the header can name, of which one may be forged.
const MOST_SLOTS: usize = 2 * Header::MAX_SLOTS;
const CHECKED: usize = NAME.len() + 16 + MOST_SLOTS * 24;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn id(number: u8) -> SlotId {
        SlotId::from_bytes([number; 8])
    }

    fn failed(count: u32, at: i64) -> Failed {
        Failed {
            count,
            guessed: false,
            at,
        }
    }

    #[test]
    fn delays_grow_from_half_a_minute_to_an_hour() {
        let delays: Vec<u64> = (0..12).map(|failures| delay(failures).as_secs()).collect();
        let expected = [0, 0, 0, 30, 60, 120, 300, 900, 1800, 3600, 3600, 3600];
        assert_eq!(delays, expected);
        assert_eq!(delay(u32::MAX).as_secs(), LONGEST);
    }

    #[test]
    fn a_wait_is_over_when_its_time_has_passed_and_not_before() {
        let failed = Failed {
            count: 3,
            guessed: false,
            at: 1000 * SECOND,
        };
        let wait = |now| failed.wait(now);
        assert_eq!(wait(1000 * SECOND), Duration::from_secs(30));
        assert_eq!(wait(1030 * SECOND - 1), Duration::from_micros(1));
        assert_eq!(wait(1030 * SECOND), Duration::ZERO);
        // A clock that shows what no clock shows.
        for odd in [-1, i64::MIN] {
            assert_eq!(wait(odd), Duration::from_secs(30));
            let odd = Failed { at: odd, ..failed };
            assert_eq!(odd.wait(i64::MIN), Duration::from_secs(30));
            assert_eq!(odd.wait(29 * SECOND), Duration::from_secs(1));
        }
    }

    #[test]
    fn after_a_start_of_the_system_what_it_has_been_up_for_is_what_has_passed() {
        let mut attempts = Attempts::none();
        let at = 1000 * SECOND;
        attempts.set(id(1), failed(3, at));
        attempts.set(id(2), failed(3, SECOND));
        assert!(!attempts.is_from_before(at));
        assert!(attempts.is_from_before(10 * SECOND));
        attempts.begin_anew(10 * SECOND);
        let wait = |slot, now: i64| attempts.of(id(slot)).wait(now * SECOND).as_secs();
        assert_eq!((wait(1, 10), wait(1, 29), wait(1, 30)), (20, 1, 0));
        // That one may have been counted since.
        assert_eq!((wait(2, 10), wait(2, 30), wait(2, 31)), (21, 1, 0));
    }

    #[test]
    fn the_vector_of_another_implementation_is_read_and_is_what_this_one_writes() {
        let text = include_str!("../../docs/spec/vectors/attempts.json");
        let vector: serde_json::Value = serde_json::from_str(text).unwrap();
        let hex = vector["file"].as_str().unwrap();
        let mut file = vec![0; hex.len() / 2];
        assert!(crate::id::decode_hex_into(hex, &mut file));
        let read = Attempts::read(&file).unwrap();
        assert_eq!(Some(read.sequence), vector["sequence"].as_u64());
        for entry in vector["entries"].as_array().unwrap() {
            let slot = SlotId::parse(entry[0].as_str().unwrap()).unwrap();
            let failed = read.of(slot);
            let count = u64::from(failed.count) | if failed.guessed { GUESSED } else { 0 };
            assert_eq!(Some(count), entry[1].as_u64());
            assert_eq!(Some(failed.at), entry[2].as_i64());
        }
        assert_eq!(read.encode(), file[..Attempts::RECORD]);
    }

    #[test]
    fn what_is_written_is_read_and_the_newer_record_counts() {
        let mut attempts = Attempts::none();
        let mut file = attempts.to_file();
        assert_eq!(Attempts::read(&file), Some(attempts.clone()));
        for number in 1..=40_u8 {
            let at = i64::from(number) * SECOND;
            let count = u32::from(number);
            attempts.set(id(number % 16), failed(count, at));
            let slots: Vec<_> = (0..16).map(id).collect();
            let before = file.clone();
            let (place, record) = attempts.next(Slots::Named(&slots));
            file[place..place + Attempts::RECORD].copy_from_slice(&record);
            let read = Attempts::read(&file).unwrap();
            assert_eq!(read, attempts);
            assert_eq!(read.of(id(number % 16)), failed(count, at));
            // Torn anywhere, the file says what it said before or what it says now.
            for cut in (0..Attempts::RECORD).step_by(97) {
                let mut torn = before.clone();
                torn[place..place + cut].copy_from_slice(&record[..cut]);
                let read = Attempts::read(&torn);
                assert!(read == Attempts::read(&before) || read.as_ref() == Some(&attempts));
            }
        }
        // Slots that are gone are forgotten once a key says so, or for want of room.
        attempts.next(Slots::Named(&[id(3)]));
        assert_eq!(attempts.of(id(4)).count, 36);
        let crowd: Vec<_> = (100..131).map(id).collect();
        attempts.next(Slots::Named(&crowd));
        assert_eq!(attempts.failed.len(), 32);
        assert_eq!(attempts.of(id(8)).count, 40, "it has failed most often");
        assert_eq!(attempts.of(id(3)), Failed::NONE);
        attempts.next(Slots::Vouched(&[id(3)]));
        assert_eq!(attempts.of(id(8)), Failed::NONE);
    }

    #[test]
    fn what_is_damaged_is_not_read_and_counts_as_nine_failures() {
        let file = Attempts::none().to_file();
        let mut both = file.clone();
        for at in 0..Attempts::RECORD {
            let mut one = file.clone();
            one[at] ^= 1;
            assert_eq!(Attempts::read(&one), Some(Attempts::none()), "at {at}");
            both.copy_from_slice(&file);
            both[at] ^= 1;
            both[Attempts::RECORD + at] ^= 1;
            assert_eq!(Attempts::read(&both), None, "at {at}");
        }
        for length in [0, 1, Attempts::RECORD, Attempts::FILE - 1] {
            assert_eq!(Attempts::read(&file[..length]), None);
        }
        let unknown = Attempts::unknown().of(id(7));
        assert_eq!(unknown.wait(3599 * SECOND), Duration::from_secs(1));
        assert_eq!(unknown.wait(3600 * SECOND), Duration::ZERO);
        // The first slot that is tried keeps what the others have.
        let mut unknown = Attempts::unknown();
        unknown.set(id(1), Failed::NONE);
        unknown.next(Slots::Named(&[id(1), id(2)]));
        assert_eq!(unknown.of(id(2)).count, 9);
        // And that they are guessed stays with them.
        let file = [unknown.encode(), unknown.encode()].concat();
        let read = Attempts::read(&file).unwrap();
        assert!(read.of(id(2)).guessed && !read.of(id(1)).guessed);
    }
}
