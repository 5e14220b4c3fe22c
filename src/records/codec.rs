//! A record's fields as bytes, in front of its body (spec 03).

use super::body::Body;
use super::record::{Record, StoredAs};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::sealing::{Opened, Reader};
use crate::secret::{SecretBytes, SecretText};
use crate::time::Timestamp;

const CODEC: u8 = 1;
const EFFECTIVE: u8 = 1;
const EXPIRY: u8 = 2;
const CLIENT: u8 = 4;
const DEVICE: u8 = 8;
const APP: u8 = 16;
const PINNED: u8 = 32;

/// What stands in front of the body; wiped on drop.
pub(crate) struct Header(SecretBytes);

impl Header {
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Writes the fields that the row's own place does not already say.
pub(crate) fn encode_header(record: &Record, created: Timestamp, updated: Timestamp) -> Header {
    let flag = |present: bool, flag: u8| if present { flag } else { 0 };
    let flags = flag(record.effective.is_some(), EFFECTIVE)
        | flag(record.expires.is_some(), EXPIRY)
        | flag(record.client.is_some(), CLIENT)
        | flag(record.device.is_some(), DEVICE)
        | flag(record.app.is_some(), APP)
        | flag(record.pinned, PINNED);
    let mut writer = Writer::with_room(record);
    writer.bytes(&[CODEC, flags]);
    writer.time(created);
    writer.time(updated);
    if let Some((start, end)) = record.effective {
        writer.time(start);
        writer.time(end);
    }
    if let Some(expires) = record.expires {
        writer.time(expires);
    }
    if let Some((id, version)) = &record.client {
        writer.bytes(&version.to_le_bytes());
        writer.text(id);
    }
    let texts = [
        record.device.as_ref(),
        record.app.as_ref(),
        Some(&record.content_type),
    ];
    for text in texts.into_iter().flatten() {
        writer.text(text);
    }
    writer.done()
}

/// Reads a record back. `kind`, `subject`, class, identity and revision come from the row's place,
/// which the envelope vouched for.
///
/// # Errors
///
/// [`ErrorKind::UnsupportedFormat`] for another codec, [`ErrorKind::TamperDetected`] for fields
/// that do not fit.
pub(crate) fn decode(
    opened: Opened,
    class: Class,
    kind: SecretText,
    subject: Option<SecretText>,
    id: RecordId,
    revision: u64,
) -> Result<Record> {
    let mut reader = Reader::over(opened.expose());
    let whole = reader.left();
    let [codec, flags] = reader.array::<2>()?;
    if codec != CODEC {
        return Err(ErrorKind::UnsupportedFormat.into());
    }
    if flags & !(EFFECTIVE | EXPIRY | CLIENT | DEVICE | APP | PINNED) != 0 {
        return Err(ErrorKind::TamperDetected.into());
    }
    let has = |flag: u8| flags & flag != 0;
    let created = time(&mut reader)?;
    let updated = time(&mut reader)?;
    let effective = has(EFFECTIVE).then(|| period(&mut reader)).transpose()?;
    let expires = has(EXPIRY).then(|| time(&mut reader)).transpose()?;
    let client = has(CLIENT).then(|| client(&mut reader)).transpose()?;
    let device = has(DEVICE).then(|| reader.text()).transpose()?;
    let app = has(APP).then(|| reader.text()).transpose()?;
    let content_type = reader.text()?;
    let skip = whole - reader.left();
    let (buffer, range) = opened.into_parts(skip);
    Ok(Record {
        class,
        kind,
        subject,
        effective,
        content_type,
        device,
        app,
        client,
        expires,
        pinned: has(PINNED),
        body: Body::within(buffer, range),
        read: false,
        stored: Some(StoredAs {
            id,
            revision,
            created,
            updated,
        }),
    })
}

/// Fills a buffer of exactly the right size, so that nothing moves.
struct Writer {
    buffer: SecretBytes,
    at: usize,
}

impl Writer {
    fn with_room(record: &Record) -> Self {
        let text = |text: Option<&SecretText>| text.map_or(0, |text| 4 + text.expose().len());
        let length = 2
            + 16
            + record.effective.map_or(0, |_| 16)
            + record.expires.map_or(0, |_| 8)
            + record
                .client
                .as_ref()
                .map_or(0, |(id, _)| 8 + text(Some(id)))
            + text(record.device.as_ref())
            + text(record.app.as_ref())
            + text(Some(&record.content_type));
        Self {
            buffer: SecretBytes::zeroed(length),
            at: 0,
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        let room = self.buffer.expose_mut().get_mut(self.at..end);
        room.expect("the buffer was made for these fields")
            .copy_from_slice(bytes);
        self.at = end;
    }

    fn time(&mut self, time: Timestamp) {
        self.bytes(&time.to_micros().to_le_bytes());
    }

    fn text(&mut self, text: &SecretText) {
        let text = text.expose();
        let length = u32::try_from(text.len()).expect("texts were checked to be short");
        self.bytes(&length.to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn done(self) -> Header {
        debug_assert_eq!(self.at, self.buffer.expose().len());
        Header(self.buffer)
    }
}

fn time(reader: &mut Reader<'_>) -> Result<Timestamp> {
    let bytes = reader.array()?;
    Ok(Timestamp::from_micros(i64::from_le_bytes(bytes)))
}

fn period(reader: &mut Reader<'_>) -> Result<(Timestamp, Timestamp)> {
    Ok((time(reader)?, time(reader)?))
}

fn client(reader: &mut Reader<'_>) -> Result<(SecretText, u64)> {
    let version = u64::from_le_bytes(reader.array()?);
    Ok((reader.text()?, version))
}
