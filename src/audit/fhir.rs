//! Entries as FHIR R4 `AuditEvent` resources, a line each (NDJSON).

use serde_json::{Map, Value, json};

use super::entry::{AuditAction, AuditEntry};
use super::event::{RecordChange, Stage};
use crate::class::Class;
use crate::error::Result;
use crate::id::VaultId;
use crate::time::Timestamp;

const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";

/// The resource on one line, with the line feed.
///
/// # Errors
///
/// [`ErrorKind::TamperDetected`] for a time that no calendar has.
pub(crate) fn write_line(vault: VaultId, entry: &AuditEntry) -> Result<String> {
    let mut line = resource(vault, entry)?.to_string();
    line.push('\n');
    Ok(line)
}

fn resource(vault: VaultId, entry: &AuditEntry) -> Result<Value> {
    let (code, display) = kind_of_event(entry.action());
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": format!("{}-{}", class(entry.class()), entry.number()),
        "type": { "system": DICOM, "code": code, "display": display },
        "subtype": [subtype(entry.action())],
        "action": action(entry.action()),
        "recorded": entry.at().to_instant(),
        "outcome": outcome(entry),
        "agent": [agent(entry)],
        "source": { "observer": { "identifier": { "value": vault.to_string() } } },
    });
    let mut put = |name: &str, value: Value| {
        if let Some(fields) = event.as_object_mut() {
            fields.insert(name.to_owned(), value);
        }
    };
    if let Some(failure) = entry.failure() {
        put("outcomeDesc", json!(failure));
    } else if entry.stage() == Stage::Begun {
        put("outcomeDesc", json!("begun"));
    }
    if let Some(purpose) = entry.purpose() {
        put("purposeOfEvent", json!([{ "text": purpose }]));
    }
    let mut entities: Vec<Value> = Vec::new();
    let details = details(entry);
    if !details.is_empty() {
        entities.push(json!({ "name": class(entry.class()), "detail": details }));
    }
    for record in entry.records() {
        let mut entity = json!({ "what": { "identifier": { "value": record.id.to_string() } } });
        if let (Some(fields), Some(change)) = (entity.as_object_mut(), record.change) {
            let mut about = vec![detail("change", word(change))];
            about.extend(record.revision.map(|revision| detail("revision", revision)));
            fields.insert("detail".to_owned(), Value::Array(about));
        }
        entities.push(entity);
    }
    if !entities.is_empty() {
        put("entity", Value::Array(entities));
    }
    Ok(event)
}

fn agent(entry: &AuditEntry) -> Value {
    let mut agent = Map::new();
    if let Some(actor) = entry.actor() {
        agent.insert(
            "who".to_owned(),
            json!({ "identifier": { "value": actor } }),
        );
    }
    agent.insert("requestor".to_owned(), json!(true));
    Value::Object(agent)
}

/// What the resource has no element for.
fn details(entry: &AuditEntry) -> Vec<Value> {
    let mut details = Vec::new();
    details.extend(entry.kind().map(|kind| detail("kind", kind)));
    details.extend(entry.kinds().map(|kind| detail("kind", kind)));
    details.extend(entry.count().map(|count| detail("count", count)));
    details.extend(entry.queries().map(|queries| detail("queries", queries)));
    details.extend(entry.slot().map(|slot| detail("slot", slot)));
    let slot = entry.slot_kind().map(|kind| format!("{kind:?}"));
    details.extend(slot.map(|kind| detail("kind of slot", kind)));
    for (slot, attempts) in entry.failed_attempts() {
        details.push(detail("failed attempts", format!("{slot}: {attempts}")));
    }
    let at = entry.at().to_micros();
    if !Timestamp::INSTANTS.contains(&at) {
        details.push(detail("microseconds since 1970", at));
    }
    let reason = entry.lock_reason().map(|reason| format!("{reason:?}"));
    details.extend(reason.map(|reason| detail("reason", reason)));
    let change = entry.slot_change().map(|change| format!("{change:?}"));
    details.extend(change.map(|change| detail("change", change)));
    if let Some([idle, absolute, background, lease, reads]) = entry.limits() {
        for (name, limit) in [
            ("idle limit in seconds", idle),
            ("absolute limit in seconds", absolute),
            ("background grace in seconds", background),
            ("lease in seconds", lease),
            ("reads of a lease", reads),
        ] {
            details.push(detail(name, limit));
        }
    }
    details
}

fn detail(name: &str, value: impl std::fmt::Display) -> Value {
    json!({ "type": name, "valueString": value.to_string() })
}

fn outcome(entry: &AuditEntry) -> &'static str {
    match (entry.stage(), entry.action()) {
        (_, AuditAction::Tampered) => "8",
        (Stage::Failed, _) => "4",
        (Stage::Begun | Stage::Done, _) => "0",
    }
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Emergency => "emergency",
        Class::Standard => "standard",
        Class::Priority => "priority",
    }
}

const fn word(change: RecordChange) -> &'static str {
    match change {
        RecordChange::Created => "created",
        RecordChange::Updated => "updated",
        RecordChange::Erased => "erased",
        RecordChange::Moved => "moved",
    }
}

/// The event's type, of the value set that the element is bound to (extensible).
const fn kind_of_event(action: AuditAction) -> (&'static str, &'static str) {
    match action {
        AuditAction::VaultMade | AuditAction::EmergencyNoticed => {
            ("110100", "Application Activity")
        }
        AuditAction::Unlocked
        | AuditAction::UnlockFailed
        | AuditAction::Locked
        | AuditAction::StepUp
        | AuditAction::LeaseEnded => ("110114", "User Authentication"),
        AuditAction::Access | AuditAction::Read => ("110112", "Query"),
        AuditAction::Changed
        | AuditAction::Deposited
        | AuditAction::AsideRemoved
        | AuditAction::SubjectErased
        | AuditAction::ExpiredErased => ("110110", "Patient Record"),
        AuditAction::EmergencyAccess
        | AuditAction::SlotsChanged
        | AuditAction::PolicyChanged
        | AuditAction::Restored
        | AuditAction::SetAside
        | AuditAction::Tampered => ("110113", "Security Alert"),
        AuditAction::Exported | AuditAction::Verified => ("110101", "Audit Log Used"),
    }
}

/// What was done, in the words of this store; a standard code where there is one.
fn subtype(action: AuditAction) -> Value {
    match action {
        AuditAction::EmergencyAccess => json!({
            "system": DICOM,
            "code": "110127",
            "display": "Emergency Override Started",
        }),
        action => json!({ "code": word_of(action) }),
    }
}

const fn word_of(action: AuditAction) -> &'static str {
    match action {
        AuditAction::VaultMade => "vault-made",
        AuditAction::Unlocked => "unlocked",
        AuditAction::Locked => "locked",
        AuditAction::StepUp => "step-up",
        AuditAction::LeaseEnded => "lease-ended",
        AuditAction::EmergencyAccess => "emergency-access",
        AuditAction::EmergencyNoticed => "emergency-noticed",
        AuditAction::Access => "access",
        AuditAction::Read => "read",
        AuditAction::Changed => "changed",
        AuditAction::SubjectErased => "subject-erased",
        AuditAction::ExpiredErased => "expired-erased",
        AuditAction::SlotsChanged => "slots-changed",
        AuditAction::PolicyChanged => "policy-changed",
        AuditAction::Restored => "restored",
        AuditAction::Tampered => "tampered",
        AuditAction::Exported => "exported",
        AuditAction::Verified => "verified",
        AuditAction::Deposited => "deposited",
        AuditAction::UnlockFailed => "unlock-failed",
        AuditAction::SetAside => "set-aside",
        AuditAction::AsideRemoved => "aside-removed",
    }
}

/// Create, read, update, delete or execute.
const fn action(action: AuditAction) -> &'static str {
    match action {
        AuditAction::VaultMade | AuditAction::Deposited => "C",
        AuditAction::Access | AuditAction::Read | AuditAction::Exported => "R",
        AuditAction::Changed
        | AuditAction::SlotsChanged
        | AuditAction::PolicyChanged
        | AuditAction::Restored => "U",
        AuditAction::SubjectErased | AuditAction::ExpiredErased | AuditAction::AsideRemoved => "D",
        AuditAction::Unlocked
        | AuditAction::UnlockFailed
        | AuditAction::SetAside
        | AuditAction::Locked
        | AuditAction::StepUp
        | AuditAction::LeaseEnded
        | AuditAction::EmergencyAccess
        | AuditAction::EmergencyNoticed
        | AuditAction::Tampered
        | AuditAction::Verified => "E",
    }
}
