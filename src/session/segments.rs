//! Older entries of an audit trail, packed together (spec 09, "Segments"), and reading a trail whether
//! they are or not.

use super::classes::{OpenClasses, Reach};
use super::live::Inner;
use super::names::as_u64;
use super::open_class::OpenClass;
use super::state::{Chained, open_entry};
use super::transaction::finish_earlier;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::keys::{Chain, ClassKeys, Seal};
use crate::sealing::{self, Context, Reader, Sealed, Table};
use crate::secret::{SecretBytes, SecretKey};
use crate::storage::{Reading, SegmentRow};

const CODEC: u8 = 1;
/// How many entries make a segment.
const MOST: usize = 512;
/// How many entries at the end of a trail stay unpacked.
const KEPT: u64 = 512;
const PAGE: usize = 32;
/// How long the events of a segment are together, unless it has but one.
const MOST_BYTES: usize = 256 * 1024;
/// How many segments are made at a time.
const AT_A_TIME: usize = 4;

/// An entry, or why it is none, by its number.
pub(super) type Numbered = (i64, Result<Chained>);

/// Entries from a number on, the first of which is the next there is; none at the end of the trail.
pub(super) fn entries_from(
    keys: &ClassKeys,
    reading: &Reading<'_>,
    from: i64,
    most: usize,
) -> Result<Vec<Numbered>> {
    if let Some(row) = reading.segment_from(from)? {
        let mut entries = unpack(keys, row, from);
        entries.retain(|(number, _)| *number >= from);
        return Ok(entries);
    }
    opened(keys, reading.entries_from(from, most)?)
}

/// The same backwards.
pub(super) fn entries_back_from(
    keys: &ClassKeys,
    reading: &Reading<'_>,
    from: i64,
    most: usize,
) -> Result<Vec<Numbered>> {
    let packed = reading.last_packed()?;
    if from > packed {
        let mut rows = reading.entries_back_from(from, most)?;
        rows.retain(|(number, _)| *number > packed);
        if !rows.is_empty() {
            return opened(keys, rows);
        }
    }
    let Some(row) = reading.segment_back_from(from)? else {
        return Ok(Vec::new());
    };
    let mut entries = unpack(keys, row, from);
    entries.retain(|(number, _)| *number <= from);
    entries.reverse();
    Ok(entries)
}

fn opened(keys: &ClassKeys, rows: Vec<(i64, Sealed)>) -> Result<Vec<Numbered>> {
    let open = |(number, body)| (number, open_entry(keys, as_u64(number), body));
    Ok(rows.into_iter().map(open).collect())
}

/// The entries of a segment; one that does not open stands for them as the entry that is asked for.
fn unpack(keys: &ClassKeys, row: SegmentRow, asked: i64) -> Vec<Numbered> {
    let (first, last) = (row.first, row.last);
    match open_segment(keys, row) {
        Ok(entries) => {
            let numbers = (0..).map(|at| first.saturating_add(at));
            numbers.zip(entries.into_iter().map(Ok)).collect()
        }
        Err(error) => vec![(asked.clamp(first.min(last), last), Err(error))],
    }
}

pub(super) fn open_segment(keys: &ClassKeys, row: SegmentRow) -> Result<Vec<Chained>> {
    let place = place(keys, as_u64(row.last));
    let opened = sealing::open(keys.entries(), &place, row.body)?;
    let mut reader = Reader::over(opened.expose());
    if reader.array()? != [CODEC] {
        return Err(ErrorKind::UnsupportedFormat.into());
    }
    let first = u64::from_le_bytes(reader.array()?);
    let before = reader.array()?;
    let key = SecretKey::copy_of(&[0; 32]);
    let so_far = first.checked_sub(1).ok_or(ErrorKind::TamperDetected)?;
    let mut chain = Chain::at(keys.vault(), keys.class(), so_far, before, key);
    let mut entries = Vec::new();
    while reader.left() > 0 {
        let mac = reader.array()?;
        let event = SecretBytes::copy_of(reader.prefixed()?);
        let link = chain.follow(event.expose());
        let seal = Seal { link, mac };
        entries.push(Chained { seal, event });
    }
    let whole = as_u64(row.first) == first && as_u64(row.last) == chain.entries();
    match whole && !entries.is_empty() {
        true => Ok(entries),
        false => Err(ErrorKind::TamperDetected.into()),
    }
}

/// Seals entries as a segment, the first of which has this number and comes after this link.
pub(super) fn seal_segment(
    keys: &ClassKeys,
    first: u64,
    before: &[u8; 32],
    entries: &[Chained],
) -> Result<Sealed> {
    let length = |entry: &Chained| u32::try_from(entry.event.expose().len());
    let lengths: std::result::Result<Vec<_>, _> = entries.iter().map(length).collect();
    let lengths = lengths.map_err(|_| ErrorKind::StorageFull)?;
    let lengths: Vec<_> = lengths.into_iter().map(u32::to_le_bytes).collect();
    let first_bytes = first.to_le_bytes();
    let mut parts: Vec<&[u8]> = vec![&[CODEC], &first_bytes, before];
    for (entry, length) in entries.iter().zip(&lengths) {
        parts.extend([&entry.seal.mac[..], length, entry.event.expose()]);
    }
    let count = u64::try_from(entries.len()).map_err(|_| ErrorKind::StorageFull)?;
    let last = first.saturating_add(count).saturating_sub(1);
    sealing::seal(keys.entries(), &place(keys, last), &parts)
}

fn place(keys: &ClassKeys, last: u64) -> Context<'static> {
    Context::of_class(keys.vault(), keys.class(), Table::Segment, last)
}

impl Inner {
    /// Packs some of the older entries of the classes that are open. What cannot be packed now stays
    /// as it is.
    pub(super) fn pack_trails(&self, open: &OpenClasses, waiting: &mut bool) {
        // An emergency session changes nothing.
        if open.class(Reach::OWN, Class::Standard).is_err() {
            return;
        }
        for class in &open.classes {
            for _ in 0..AT_A_TIME {
                let packed = finish_earlier(open, waiting).and_then(|()| pack(class, waiting));
                if !packed.is_ok_and(|packed| packed) {
                    break;
                }
            }
        }
    }
}

/// What goes into a segment.
struct Surplus {
    first: i64,
    before: [u8; 32],
    entries: Vec<Chained>,
}

/// Packs one segment, where there are enough entries for it; whether there were.
fn pack(class: &OpenClass, waiting: &mut bool) -> Result<bool> {
    let entries = class.standing().committed.chain.entries();
    let surplus = class.store.read(|reading| {
        let packed = reading.last_packed()?;
        match entries.saturating_sub(as_u64(packed)) < 2 * KEPT {
            true => Ok(None),
            false => surplus(&class.keys, reading, packed).map(Some),
        }
    })?;
    let Some(surplus) = surplus.filter(|surplus| surplus.follows(&class.keys)) else {
        // Where something is wrong verifying says it, and it stays as it is until then.
        return Ok(false);
    };
    let (first, before) = (surplus.first, surplus.before);
    let body = seal_segment(&class.keys, as_u64(first), &before, &surplus.entries)?;
    let count = i64::try_from(surplus.entries.len()).map_err(|_| ErrorKind::StorageFull)?;
    // Until the end is seen, a panic included, there may be something to undo.
    *waiting = true;
    let written = class.write(|writing| writing.put_segment(first, first + count - 1, &body));
    *waiting = written.is_err() && class.store.is_in_doubt();
    written.map(|()| true)
}

/// The oldest entries that are not packed, as many as a segment takes.
fn surplus(keys: &ClassKeys, reading: &Reading<'_>, packed: i64) -> Result<Surplus> {
    let before = match packed {
        0 => [0; 32],
        packed => last_link(keys, reading, packed)?,
    };
    let mut surplus = Surplus {
        first: packed + 1,
        before,
        entries: Vec::new(),
    };
    let (mut next, mut bytes) = (packed + 1, 0);
    loop {
        let rows = reading.entries_from(next, PAGE)?;
        if rows.is_empty() {
            return Ok(surplus);
        }
        for (number, body) in rows {
            let entry = open_entry(keys, as_u64(number), body)?;
            bytes += entry.event.expose().len();
            let full = surplus.entries.len() == MOST
                || (bytes > MOST_BYTES && !surplus.entries.is_empty());
            if full || number != next {
                return Ok(surplus);
            }
            surplus.entries.push(entry);
            next += 1;
        }
    }
}

impl Surplus {
    /// Whether there are entries, each with the link that follows from those before it.
    fn follows(&self, keys: &ClassKeys) -> bool {
        let key = SecretKey::copy_of(&[0; 32]);
        let so_far = as_u64(self.first - 1);
        let mut chain = Chain::at(keys.vault(), keys.class(), so_far, self.before, key);
        let right = |entry: &Chained| chain.follow(entry.event.expose()) == entry.seal.link;
        !self.entries.is_empty() && self.entries.iter().all(right)
    }
}

/// The link of the last entry that was packed.
fn last_link(keys: &ClassKeys, reading: &Reading<'_>, packed: i64) -> Result<[u8; 32]> {
    let entries = entries_from(keys, reading, packed, 1)?;
    let (_, entry) = entries
        .into_iter()
        .next()
        .ok_or(ErrorKind::TamperDetected)?;
    Ok(entry?.seal.link)
}
