//! The vector of docs/spec/vectors, which another implementation wrote, read by this one.

use serde_json::Value;

use super::intent::{self, Step};
use super::outside::open_event_bytes;
use super::segments::{open_segment, seal_segment};
use super::state::{Rows, State, open_entry, open_root};
use crate::audit;
use crate::class::Class;
use crate::error::ErrorKind;
use crate::id::{KeyId, RecordId, VaultId, decode_hex, encode_hex};
use crate::keys::{
    AuditorKey, Chain, ClassKeys, ContactKey, Credentials, EmergencyCode, EmergencyQuestion,
    Factors, Inbox, KeyShare, Passphrase, Purpose, RecoveryCode, ShareError, ShareSink, SlotKind,
    StoredHeader, TokenSpace, WrapPurpose,
};
use crate::records;
use crate::sealing::{self, Context, Mail, Sealed, Table, Unit};
use crate::secret::{SecretKey, SecretText};
use crate::storage::SegmentRow;

struct Vector(Value);

impl Vector {
    fn load() -> Self {
        let text = include_str!("../../docs/spec/vectors/vault.json");
        Self(serde_json::from_str(text).expect("the vector is JSON"))
    }

    fn text(&self, path: &str) -> &str {
        self.0
            .pointer(path)
            .and_then(Value::as_str)
            .expect("the vector has this text")
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        let text = self.text(path);
        let mut bytes = vec![0; text.len() / 2];
        assert!(
            crate::id::decode_hex_into(text, &mut bytes),
            "{path} is hexadecimal"
        );
        bytes
    }

    fn array<const N: usize>(&self, path: &str) -> [u8; N] {
        decode_hex(self.text(path)).expect("the vector has this many bytes")
    }

    fn key(&self, path: &str) -> SecretKey {
        let bytes = self.array(path);
        SecretKey::fill::<()>(|key| {
            *key = bytes;
            Ok(())
        })
        .expect("filling does not fail")
    }

    fn sealed(&self, row: &str) -> Sealed {
        Sealed::from_stored(self.bytes(&format!("/rows/{row}")))
    }

    fn header(&self) -> StoredHeader {
        StoredHeader::parse(self.text("/header").as_bytes()).expect("the header parses")
    }
}

impl KeyShare for Vector {
    fn provider(&self) -> &str {
        "vector-store"
    }

    fn enrol(&self, _: Purpose) -> Result<Vec<u8>, ShareError> {
        Err(ShareError::TemporarilyUnavailable)
    }

    fn release(
        &self,
        _: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let shares = self.0["shares"].as_array().expect("a list of shares");
        let wanted = |share: &&Value| {
            share["blob"] == encode_hex(blob) && share["challenge"] == encode_hex(challenge)
        };
        let share = shares.iter().find(wanted).ok_or(ShareError::Missing)?;
        let bytes: [u8; 32] = decode_hex(share["share"].as_str().unwrap()).unwrap();
        sink.fill(&bytes);
        Ok(())
    }

    fn destroy(&self, _: Purpose, _: &[u8]) -> Result<(), ShareError> {
        Ok(())
    }
}

#[test]
fn every_slot_of_the_vector_gives_its_class_keys_and_they_verify_the_header() {
    let vector = Vector::load();
    let stored = vector.header();
    let vault = stored.header.vault;
    let words = Passphrase::new(vector.text("/passphrase").as_bytes()).expect("text");
    let recovery = RecoveryCode::parse(vector.text("/recovery_code").as_bytes()).expect("right");
    let emergency = EmergencyCode::parse(vector.text("/emergency_code").as_bytes()).expect("right");
    let (recovery, emergency) = (recovery.key(vault), emergency.key(vault));
    let everyday = Factors::of(&Credentials::passphrase(&words).and(&vector));
    for (kind, factors, purposes) in [
        (
            SlotKind::Primary,
            everyday,
            &[WrapPurpose::Standard, WrapPurpose::Priority][..],
        ),
        (SlotKind::Biometric, everyday, &[WrapPurpose::Standard]),
        (
            SlotKind::RecoveryShare,
            everyday.with_code(&recovery),
            &[WrapPurpose::Standard, WrapPurpose::Priority],
        ),
        (
            SlotKind::RecoveryPassphrase,
            everyday.with_code(&recovery),
            &[WrapPurpose::Standard, WrapPurpose::Priority],
        ),
        (
            SlotKind::Emergency,
            everyday.with_code(&emergency),
            &[WrapPurpose::Emergency],
        ),
    ] {
        let slot = stored
            .header
            .slots_of(kind)
            .next()
            .expect("the vector has every kind");
        let factors = Factors {
            passphrase: factors.passphrase.filter(|_| kind.takes_passphrase()),
            share: factors.share.filter(|_| kind.takes_share()),
            code: factors.code,
        };
        for &purpose in purposes {
            let opened = slot
                .open(vault, purpose, factors, || Ok(()))
                .expect("the factors are right");
            assert!(
                opened
                    .iter()
                    .map(ClassKeys::class)
                    .eq(purpose.classes().iter().copied())
            );
            assert!(
                opened.iter().all(|keys| stored.verifies(keys)),
                "{kind:?} {purpose:?}"
            );
        }
    }
    assert_eq!(stored.header.generation, 7);
    assert_eq!(stored.header.retired.len(), 1);
}

#[test]
fn the_vectors_header_is_what_this_crate_would_write() {
    let vector = Vector::load();
    let stored = vector.header();
    let keys = |class, name| {
        ClassKeys::derive(
            stored.header.vault,
            class,
            vector.key(&format!("/class_keys/{name}")),
        )
    };
    let emergency = keys(Class::Emergency, "emergency");
    let standard = keys(Class::Standard, "standard");
    let priority = keys(Class::Priority, "priority");
    let text = stored.header.to_text([&emergency, &standard, &priority]);
    assert_eq!(text, vector.text("/header"));
    let slot = stored
        .header
        .slots_of(SlotKind::RecoveryPassphrase)
        .next()
        .expect("it is there");
    slot.escrowed(stored.header.vault, &priority)
        .expect("the escrow opens");
}

#[test]
fn the_vectors_rows_open_in_their_places_and_hold_what_they_should() {
    let vector = Vector::load();
    let vault: VaultId = vector.header().header.vault;
    let keys = ClassKeys::derive(vault, Class::Standard, vector.key("/class_keys/standard"));
    let key = KeyId::from_bytes(vector.array("/subject_key_id"));
    let row = RecordId::from_bytes(vector.array("/record_id"));
    let subject_key = vector.key("/subject_key");
    let class = |table, number| Context::of_class(vault, Class::Standard, table, number);

    let place = Context {
        key,
        ..class(Table::SubjectKey, 5)
    };
    let opened = sealing::open(keys.subject_wrap(), &place, vector.sealed("subject_key"));
    assert_eq!(opened.expect("it opens").expose(), subject_key.expose());
    let place = Context {
        key,
        ..class(Table::SubjectName, 5)
    };
    let opened = sealing::open(&subject_key, &place, vector.sealed("subject_name"));
    assert_eq!(
        opened.expect("it opens").expose(),
        "\u{1}Patient/Zoë".as_bytes()
    );
    let opened = sealing::open(keys.terms(), &class(Table::Term, 4), vector.sealed("term"));
    assert_eq!(opened.expect("it opens").expose(), b"\x01Observation");
    let opened = sealing::open(
        keys.settings(),
        &class(Table::Settings, 1),
        vector.sealed("settings"),
    );
    assert_eq!(opened.expect("it opens").expose(), [1, 2, 1]);
    let place = Context {
        row,
        ..class(Table::Intent, 0)
    };
    sealing::open(keys.intents(), &place, vector.sealed("intent")).expect("it opens");

    for (table, number, name) in [
        (Table::Record, 3, "record"),
        (Table::EarlierRevision, 2, "earlier"),
    ] {
        let place = Context {
            key,
            row,
            kind: "Observation",
            ..class(table, number)
        };
        let opened = sealing::open(&subject_key, &place, vector.sealed(name)).expect("it opens");
        let kind = SecretText::copy_of("Observation");
        let record =
            records::decode(opened, Class::Standard, kind, None, row, number).expect("it decodes");
        assert_eq!(record.body(), br#"{"value": 1.00}"#);
        assert_eq!(record.client_identity(), Some(("Observation/hr-1", 9)));
        assert_eq!(
            (record.source_device(), record.source_app()),
            (Some("a watch"), Some("an app"))
        );
        let stored = record.stored.expect("decoded from a row");
        let written = records::encode_header(&record, stored.created, stored.updated);
        let again = sealing::open(&subject_key, &place, vector.sealed(name)).expect("it opens");
        let whole = [written.expose(), record.body()].concat();
        assert_eq!(
            whole,
            again.expose(),
            "encoding gives the bytes that were decoded"
        );
    }
    for (space, text, name) in [
        (TokenSpace::Kind, "Observation", "kind"),
        (
            TokenSpace::ContentType,
            "application/fhir+json",
            "content_type",
        ),
        (TokenSpace::Subject, "Patient/Zoë", "subject"),
        (TokenSpace::Client, "Observation/hr-1", "client"),
        (TokenSpace::NoSubject, "", "no_subject"),
    ] {
        assert_eq!(
            keys.token(space, text),
            vector.array(&format!("/tokens/{name}")),
            "{name}"
        );
    }
}

#[test]
fn the_audit_trail_of_the_vector_is_the_one_that_this_crate_would_write() {
    let text = include_str!("../../docs/spec/vectors/audit.json");
    let vector = Vector(serde_json::from_str(text).expect("the vector is JSON"));
    let vault = VaultId::from_bytes(vector.array("/vault"));
    let keys =
        |class, name| ClassKeys::derive(vault, class, vector.key(&format!("/class_keys/{name}")));
    let (standard, priority) = (
        keys(Class::Standard, "standard"),
        keys(Class::Priority, "priority"),
    );
    let sealed = |path: &str| Sealed::from_stored(vector.bytes(path));
    let root = open_root(&priority, Class::Standard, sealed("/root")).expect("the root opens");
    assert!(root.matches(&vector.key("/root_key")));
    let mut chain = Chain::begin(vault, Class::Standard, root);
    for at in 0..2_u64 {
        let entry = open_entry(&standard, at + 1, sealed(&format!("/entries/{at}")));
        let entry = entry.expect("the entry opens");
        assert_eq!(entry.event.expose(), vector.bytes(&format!("/events/{at}")));
        assert!(chain.append(entry.event.expose()).matches(&entry.seal));
        let decoded = audit::decode(entry.event.expose()).expect("it decodes");
        assert_eq!(audit::encode(&decoded).expose(), entry.event.expose());
        assert_eq!(decoded.by.name().expose(), "ada");
    }
    let row = SegmentRow {
        first: 1,
        last: 2,
        body: sealed("/segment"),
    };
    let packed = open_segment(&standard, row).expect("the segment opens");
    for (at, packed) in packed.iter().enumerate() {
        let number = u64::try_from(at).expect("few") + 1;
        let entry = open_entry(&standard, number, sealed(&format!("/entries/{at}")));
        let entry = entry.expect("the entry opens");
        assert!(packed.seal == entry.seal && packed.event.expose() == entry.event.expose());
    }
    assert_eq!(packed.len(), 2);
    let again = seal_segment(&standard, 1, &[0; 32], &packed).expect("random bytes");
    let row = SegmentRow {
        first: 1,
        last: 2,
        body: again,
    };
    let again = open_segment(&standard, row).expect("what was sealed opens");
    assert!(
        again
            .iter()
            .zip(&packed)
            .all(|(one, other)| one.seal == other.seal)
    );
    let state = State::open(&standard, sealed("/state")).expect("the state opens");
    assert_eq!(state.chain.link(), chain.link());
    assert!(state.chain.key().matches(chain.key()));
    let id = RecordId::from_bytes(vector.array("/record_id"));
    let mut rows = Rows::NONE;
    for (table, revision, name) in [
        (Table::Record, 3, "record"),
        (Table::EarlierRevision, 2, "earlier"),
    ] {
        let tag = sealed(&format!("/rows/{name}")).tag();
        rows.add(&standard.row_hash(table, id, revision, &tag));
    }
    assert_eq!(state.rows, rows);
    let mark = state.mark(&standard);
    let bytes = [
        &mark.generation.to_le_bytes()[..],
        &mark.root,
        &mark.entries.to_le_bytes(),
        &mark.link,
    ];
    assert_eq!(bytes.concat(), vector.bytes("/anchored"));
}

#[test]
fn the_evidence_of_the_vector_is_what_its_auditor_believes() {
    let text = include_str!("../../docs/spec/vectors/evidence.json");
    let vector = Vector(serde_json::from_str(text).expect("the vector is JSON"));
    let auditor = AuditorKey::from_bytes(&vector.array("/auditor_key"));
    assert_eq!(auditor.public_key(), vector.array("/public"));
    let evidence = vector.bytes("/evidence");
    let found = auditor
        .examine(&evidence, None)
        .expect("it is for this auditor");
    assert_eq!(found.vault, VaultId::from_bytes(vector.array("/vault")));
    assert_eq!((found.first_wrong, found.not_seen), (None, false));
    assert_eq!(found.entries.len(), 2);
    assert_eq!(found.seen.link, vector.array("/link"));
    // Every bit of it counts.
    for at in 0..evidence.len() {
        let mut changed = evidence.clone();
        changed[at] ^= 1;
        match auditor.examine(&changed, Some(&found.seen)) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidEvidence),
            Ok(examined) => assert!(examined.first_wrong.is_some() && examined.not_seen, "{at}"),
        }
    }
}

#[test]
fn the_mail_of_the_vector_opens_and_goes_to_the_same_keys() {
    let text = include_str!("../../docs/spec/vectors/inbox.json");
    let vector = Vector(serde_json::from_str(text).expect("the vector is JSON"));
    let vault = VaultId::from_bytes(vector.array("/vault"));
    let keys =
        |class, name| ClassKeys::derive(vault, class, vector.key(&format!("/class_keys/{name}")));
    let (standard, priority) = (
        keys(Class::Standard, "standard"),
        keys(Class::Priority, "priority"),
    );
    let inbox = Inbox::of(&standard, &priority);
    assert_eq!(inbox.standard, vector.array("/public/standard"));
    assert_eq!(inbox.priority, vector.array("/public/priority"));
    let id = RecordId::from_bytes(vector.array("/id"));
    let psk = standard.deposits();
    let mail = Mail {
        place: Context {
            row: id,
            ..Context::of_class(vault, Class::Priority, Table::Deposit, 0)
        },
        psk: Some(&psk),
    };
    let deposit = Sealed::from_stored(vector.bytes("/deposit"));
    let opened = sealing::collect(&priority.inbox(), &mail, deposit).expect("the deposit opens");
    assert_eq!(opened.expose(), vector.bytes("/content"));
    let (by, step) = intent::decode(opened.expose(), Class::Priority).expect("it decodes");
    assert_eq!(by.name().expose(), "ada");
    let [Step::Put(record)] = step.as_slice() else {
        panic!("a deposit puts one record")
    };
    assert_eq!(record.body(), br#"{"value": 2.00}"#);
    assert_eq!(record.stored.map(|own| own.id), Some(id));

    let (frames, whole) = sealing::frames(&vector.bytes("/file"));
    assert_eq!(whole, vector.bytes("/file").len());
    assert_eq!(frames.len(), 2);
    for (at, frame) in frames.into_iter().enumerate() {
        let event = open_event_bytes(&standard, frame).expect("the event opens");
        assert_eq!(event.expose(), vector.bytes(&format!("/events/{at}")));
        assert!(audit::decode(event.expose()).is_ok());
    }
}

#[test]
fn the_request_of_the_vector_is_answered_with_the_secret_of_its_slot() {
    let text = include_str!("../../docs/spec/vectors/contact.json");
    let vector = Vector(serde_json::from_str(text).expect("the vector is JSON"));
    let contact = ContactKey::from_bytes(&vector.array("/contact_key"));
    assert_eq!(contact.public_key(), vector.array("/public"));
    let stored = Vector::load().header();
    let slot = stored.header.slots_of(SlotKind::EmergencyContact).next();
    let slot = slot.expect("the vector has every kind");
    assert_eq!(slot.id.to_bytes(), vector.array("/slot"));
    let vault = stored.header.vault;
    let request = slot.request(vault).expect("random bytes");
    let request = request.replying_to(vector.key("/reply_key"));
    assert_eq!(request.to_bytes(), vector.bytes("/request"));
    let opens = |answer: &[u8]| {
        let secret = request.open(answer).expect("the answer opens");
        let code = secret.key(vault);
        let factors = Factors::default().with_code(&code);
        let opened = slot.open(vault, WrapPurpose::Emergency, factors, || Ok(()));
        let opened = opened.expect("the secret is the slot's");
        assert!(opened.iter().all(|keys| stored.verifies(keys)));
    };
    opens(&vector.bytes("/answer"));
    let question = EmergencyQuestion::read(&vector.bytes("/request")).expect("a request");
    opens(&contact.answer(&question).expect("it is for this contact"));
}

#[test]
fn the_page_key_of_a_class_opens_what_another_implementation_sealed() {
    let text = include_str!("../../docs/spec/vectors/pages.json");
    let vector = Vector(serde_json::from_str(text).expect("the vector is JSON"));
    let vault = VaultId::from_bytes(vector.array("/vault"));
    let keys = ClassKeys::derive(vault, Class::Standard, vector.key("/class_key"));
    let (mut sealed, plain) = (
        vector.bytes("/database/sealed"),
        vector.bytes("/database/plain"),
    );
    for (page, number) in sealed.chunks_mut(4096).zip(1..) {
        assert!(keys.page_sealer().open(page, Unit::Page(number)));
    }
    assert_eq!(sealed, plain);
}
