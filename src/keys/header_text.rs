//! The header as text: one spelling for each header (spec 01).

use super::contact::{CAPSULE, Contact};
use super::footprint::Footprint;
use super::header::{Header, Inbox, MAC_ORDER, RetiredShare, StoredHeader};
use super::kdf::KdfParameters;
use super::kind::{SlotKind, WrapPurpose};
use super::policy::SessionPolicy;
use super::share::{EnrolledShare, Purpose, is_provider};
use super::slot::{Slot, Wrap, slot_line};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::{SlotId, VaultId, decode_hex, decode_hex_into, encode_hex};
use crate::sealing::Sealed;

/// Everything before the MACs.
pub(super) fn body(header: &Header) -> String {
    let mut text = format!(
        "{FORMAT} 1\nsuite 1\nvault {}\ngeneration {}\n",
        header.vault, header.generation
    );
    text.push_str(&header.policy.to_lines());
    let anchored = if header.anchored { KEPT } else { NOT_KEPT };
    push_line(&mut text, &format!("anchor {anchored}"));
    let (standard, priority) = (header.inbox.standard, header.inbox.priority);
    let (standard, priority) = (encode_hex(&standard), encode_hex(&priority));
    let inbox = format!("inbox standard={standard} priority={priority}");
    push_line(&mut text, &inbox);
    let tenth = if header.wipes { WIPE } else { DISABLE };
    push_line(&mut text, &format!("attempts tenth={tenth}"));
    push_line(
        &mut text,
        &format!("footprint {}", header.footprint.to_text()),
    );
    for slot in &header.slots {
        push_line(&mut text, &slot_line(slot.id, slot.kind));
        if let Some(escrow) = &slot.escrow {
            push_line(&mut text, &format!("escrow {}", encode_hex(escrow)));
        }
        if let Some(contact) = &slot.contact {
            let (public, capsule) = (encode_hex(&contact.public), encode_hex(&contact.capsule));
            push_line(&mut text, &format!("contact {public} {capsule}"));
        }
        for wrap in &slot.wraps {
            let commitment = encode_hex(&wrap.commitment);
            let key = encode_hex(&wrap.key);
            push_line(
                &mut text,
                &format!("{} commit={commitment} key={key}", wrap.bound_line()),
            );
        }
    }
    for retired in &header.retired {
        let purpose = purpose_name(retired.purpose);
        let blob = encode_hex(&retired.blob);
        push_line(
            &mut text,
            &format!("retired {} {purpose} {blob}", retired.provider),
        );
    }
    text
}

pub(super) fn mac_line(class: Class, mac: &[u8; 32]) -> String {
    format!("mac {} {}\n", class_name(class), encode_hex(mac))
}

/// Reads a whole header. What is not exactly what [`body`] and [`mac_line`] write is refused.
pub(super) fn parse(bytes: &[u8]) -> Result<StoredHeader> {
    if bytes.len() > Header::MAX_BYTES {
        return Err(ErrorKind::HeaderDamaged.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ErrorKind::HeaderDamaged)?;
    let mut lines = Lines { text, at: 0 };
    check_format(&mut lines)?;
    let vault = VaultId::parse(lines.field("vault ")?).ok_or(ErrorKind::HeaderDamaged)?;
    let generation = decimal(lines.field("generation ")?).ok_or(ErrorKind::HeaderDamaged)?;
    let policy = parse_policy(lines.field("session ")?, lines.field("lease ")?)
        .ok_or(ErrorKind::HeaderDamaged)?;
    let anchored = match lines.field("anchor ")? {
        KEPT => true,
        NOT_KEPT => false,
        _ => return Err(ErrorKind::HeaderDamaged.into()),
    };
    let inbox = parse_inbox(lines.field("inbox ")?).ok_or(ErrorKind::HeaderDamaged)?;
    let wipes = match lines.field("attempts tenth=")? {
        WIPE => true,
        DISABLE => false,
        _ => return Err(ErrorKind::HeaderDamaged.into()),
    };
    let footprint = Footprint::parse(lines.field("footprint ")?, decimal);
    let footprint = footprint.ok_or(ErrorKind::HeaderDamaged)?;
    let mut slots: Vec<Slot> = Vec::new();
    while lines.starts_with("slot ") {
        let slot = parse_slot(&mut lines)?;
        if slots.len() == Header::MAX_SLOTS || slots.iter().any(|other| other.id == slot.id) {
            return Err(ErrorKind::HeaderDamaged.into());
        }
        slots.push(slot);
    }
    let mut retired = Vec::new();
    while lines.starts_with("retired ") {
        retired.push(parse_retired(lines.field("retired ")?).ok_or(ErrorKind::HeaderDamaged)?);
    }
    if slots.is_empty() || retired.len() > Header::MAX_RETIRED {
        return Err(ErrorKind::HeaderDamaged.into());
    }
    let mut macs = [(0, [0; 32]); 3];
    for (class, mac) in MAC_ORDER.into_iter().zip(&mut macs) {
        let start = lines.at;
        let line = lines.field(&format!("mac {} ", class_name(class)))?;
        *mac = (start, decode_hex(line).ok_or(ErrorKind::HeaderDamaged)?);
    }
    let header = Header {
        vault,
        generation,
        policy,
        anchored,
        inbox,
        wipes,
        footprint,
        slots,
        retired,
    };
    let body_end = macs.first().map_or(0, |(start, _)| *start);
    if lines.at != text.len() || text.get(..body_end) != Some(body(&header).as_str()) {
        return Err(ErrorKind::HeaderDamaged.into());
    }
    Ok(StoredHeader {
        header,
        text: text.to_owned(),
        macs,
    })
}

/// The first two lines: a known word with an unknown number is another version, not damage.
fn check_format(lines: &mut Lines<'_>) -> Result<()> {
    for name in [FORMAT, "suite"] {
        let number = lines.field(&format!("{name} "))?;
        if number != "1" {
            let known = decimal(number).map(|_| ErrorKind::UnsupportedFormat);
            return Err(known.unwrap_or(ErrorKind::HeaderDamaged).into());
        }
    }
    Ok(())
}

/// The two lines of the policy: every limit is there, and within its bounds.
fn parse_policy(session: &str, lease: &str) -> Option<SessionPolicy> {
    let mut fields = session.split(' ').chain(lease.split(' '));
    let mut seconds = |name: &str| {
        let number = fields.next()?.strip_prefix(name)?;
        let number = match number {
            "0" => 0,
            number => decimal(number)?,
        };
        Some(std::time::Duration::from_secs(number))
    };
    let policy = SessionPolicy::new().idle(seconds("idle=")?).ok()?;
    let policy = policy.absolute(seconds("absolute=")?).ok()?;
    let policy = policy.background(seconds("background=")?).ok()?;
    let policy = policy.lease(seconds("seconds=")?).ok()?;
    match fields.next()?.strip_prefix("reads=")? {
        "unlimited" => Some(policy),
        reads => policy
            .lease_reads(u32::try_from(decimal(reads)?).ok()?)
            .ok(),
    }
}

fn parse_inbox(line: &str) -> Option<Inbox> {
    let (standard, priority) = line.split_once(' ')?;
    Some(Inbox {
        standard: decode_hex(standard.strip_prefix("standard=")?)?,
        priority: decode_hex(priority.strip_prefix("priority=")?)?,
    })
}

fn parse_slot(lines: &mut Lines<'_>) -> Result<Slot> {
    let damaged = ErrorKind::HeaderDamaged;
    let (id, kind) = lines.field("slot ")?.split_once(' ').ok_or(damaged)?;
    let id = SlotId::parse(id).ok_or(damaged)?;
    let kind = SlotKind::ALL
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or(damaged)?;
    let mut escrow = None;
    if kind == SlotKind::RecoveryPassphrase {
        let bytes = decode_hex::<{ 32 + Sealed::OVERHEAD }>(lines.field("escrow ")?);
        escrow = Some(bytes.ok_or(damaged)?.to_vec());
    }
    let mut contact = None;
    if kind == SlotKind::EmergencyContact {
        contact = Some(parse_contact(lines.field("contact ")?).ok_or(damaged)?);
    }
    let mut wraps = Vec::new();
    while lines.starts_with("wrap ") && wraps.len() < 2 {
        wraps.push(parse_wrap(lines.field("wrap ")?, kind)?);
    }
    let purposes = wraps.iter().map(|wrap: &Wrap| wrap.purpose);
    let right = |priority| {
        purposes
            .clone()
            .eq(Slot::purposes(kind, priority).iter().copied())
    };
    if right(false) || right(true) {
        Ok(Slot {
            id,
            kind,
            escrow,
            contact,
            wraps,
        })
    } else {
        Err(damaged.into())
    }
}

fn parse_contact(line: &str) -> Option<Contact> {
    let (public, capsule) = line.split_once(' ')?;
    Some(Contact {
        public: decode_hex(public)?,
        capsule: decode_hex::<CAPSULE>(capsule)?.to_vec(),
    })
}

fn parse_wrap(line: &str, kind: SlotKind) -> Result<Wrap> {
    let damaged = ErrorKind::HeaderDamaged;
    let mut fields = line.split(' ');
    let mut field = |name: &str| {
        fields
            .next()
            .and_then(|field| field.strip_prefix(name))
            .ok_or(damaged)
    };
    let purpose = field("")?;
    let purpose = WrapPurpose::ALL
        .into_iter()
        .find(|known| known.name() == purpose);
    let purpose = purpose.ok_or(damaged)?;
    let kdf = match field("kdf=")? {
        "none" => None,
        cost => Some(parse_cost(cost)?),
    };
    let share = match field("share=")? {
        "none" => None,
        share => Some(parse_share(share).ok_or(damaged)?),
    };
    let salt = decode_hex(field("salt=")?).ok_or(damaged)?;
    let commitment = decode_hex(field("commit=")?).ok_or(damaged)?;
    let mut key = vec![0; 32 * purpose.classes().len() + Sealed::OVERHEAD];
    let whole = decode_hex_into(field("key=")?, &mut key) && fields.next().is_none();
    let fits = kdf.is_some() == kind.takes_passphrase() && share.is_some() == kind.takes_share();
    if whole && fits {
        Ok(Wrap {
            purpose,
            kdf,
            share,
            salt,
            commitment,
            key,
        })
    } else {
        Err(damaged.into())
    }
}

/// The bounds are checked here, before anything is allocated for the derivation.
fn parse_cost(text: &str) -> Result<(KdfParameters, [u8; 16])> {
    let damaged = ErrorKind::HeaderDamaged;
    let mut parts = text.strip_prefix("argon2id:").ok_or(damaged)?.split(':');
    let mut number = || {
        let number = parts.next().and_then(decimal).ok_or(damaged)?;
        u32::try_from(number).map_err(|_| ErrorKind::KdfParametersRefused)
    };
    let (memory, passes, lanes) = (number()?, number()?, number()?);
    let salt = parts.next().and_then(decode_hex).ok_or(damaged)?;
    if parts.next().is_some() {
        return Err(damaged.into());
    }
    Ok((KdfParameters::new(memory, passes, lanes)?, salt))
}

fn parse_share(text: &str) -> Option<EnrolledShare> {
    let mut parts = text.split(':');
    let provider = parts.next().filter(|name| is_provider(name))?.to_owned();
    let challenge = decode_hex(parts.next()?)?;
    let blob = parse_blob(parts.next()?)?;
    parts.next().is_none().then_some(EnrolledShare {
        provider,
        challenge,
        blob,
    })
}

fn parse_retired(line: &str) -> Option<RetiredShare> {
    let mut parts = line.split(' ');
    let provider = parts.next().filter(|name| is_provider(name))?.to_owned();
    let name = parts.next()?;
    let purposes = [Purpose::Standard, Purpose::Priority];
    let purpose = purposes
        .into_iter()
        .find(|purpose| purpose_name(*purpose) == name)?;
    let blob = parse_blob(parts.next()?)?;
    parts.next().is_none().then_some(RetiredShare {
        provider,
        purpose,
        blob,
    })
}

fn parse_blob(text: &str) -> Option<Vec<u8>> {
    let length = text.len() / 2;
    let mut blob = vec![0; length.min(EnrolledShare::MAX_BLOB)];
    (length > 0 && decode_hex_into(text, &mut blob)).then_some(blob)
}

/// Decimal without sign or leading zero, from 1 to 2^63 - 1.
fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = text
        .parse()
        .ok()
        .filter(|_| digits && !text.starts_with('0'))?;
    i64::try_from(number).is_ok().then_some(number)
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Emergency => "emergency",
        Class::Standard => "standard",
        Class::Priority => "priority",
    }
}

const fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Standard => "standard",
        Purpose::Priority => "priority",
    }
}

const FORMAT: &str = "vitalock";
const KEPT: &str = "kept";
const NOT_KEPT: &str = "none";
const DISABLE: &str = "disable";
const WIPE: &str = "wipe";

/// The lines of a header, each ended by a line feed.
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn starts_with(&self, prefix: &str) -> bool {
        self.rest().starts_with(prefix)
    }

    /// The next line, which must begin with `prefix`, without it.
    fn field(&mut self, prefix: &str) -> Result<&'a str> {
        let (line, _) = self
            .rest()
            .split_once('\n')
            .ok_or(ErrorKind::HeaderDamaged)?;
        let field = line.strip_prefix(prefix).ok_or(ErrorKind::HeaderDamaged)?;
        self.at += line.len() + 1;
        Ok(field)
    }
}
