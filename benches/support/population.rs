//! FHIR Observations of about 1 KB, the same for every store: number `n` is always the same
//! record.

pub(crate) const KIND: &str = "Observation";
pub(crate) const CONTENT_TYPE: &str = "application/fhir+json";

/// How many people the records are about.
pub(crate) const PEOPLE: u64 = 20;

/// The time between one record and the next: a minute.
pub(crate) const STEP: i64 = 60_000_000;

const BEGIN: i64 = 1_500_000_000_000_000;

/// One record, before any store has seen it.
pub(crate) struct Observation {
    pub(crate) subject: String,
    pub(crate) start: i64,
    pub(crate) body: Vec<u8>,
}

/// The record with this number.
pub(crate) fn observation(number: u64) -> Observation {
    let subject = subject_of(number);
    let body = body(number, &subject);
    Observation {
        subject,
        start: start_of(number),
        body,
    }
}

/// Records with these numbers, each about a person whom no other record is about.
pub(crate) fn strangers(numbers: std::ops::Range<u64>) -> Vec<Observation> {
    let mut records: Vec<_> = numbers.map(observation).collect();
    for record in &mut records {
        record.subject = format!("Patient/at-{}", record.start);
    }
    records
}

/// Whom the record is about.
pub(crate) fn subject_of(number: u64) -> String {
    format!("Patient/{:04}", mix(number) % PEOPLE)
}

/// When the record holds. Records come in by the hour, out of order within it, as a device that
/// was out of reach delivers them.
pub(crate) fn start_of(number: u64) -> i64 {
    let within = (number % 64) * 37 % 64;
    time_of(number - number % 64 + within)
}

/// The start of the record that is `place`-th by time.
pub(crate) fn time_of(place: u64) -> i64 {
    BEGIN + STEP * place as i64
}

/// A number that looks like chance and is the same in every run.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn body(number: u64, subject: &str) -> Vec<u8> {
    let (code, display, unit) = CODES[(mix(number ^ 0xC0DE) % CODES.len() as u64) as usize];
    let value = 40 + mix(number ^ 0xDA7A) % 120;
    let (one, other) = (mix(number ^ 1), mix(number ^ 2));
    // Lengths vary, so that no store is helped or harmed by how many records fit in a page.
    let note = &NOTE[..(mix(number ^ 3) % NOTE.len() as u64) as usize];
    format!(
        r#"{{"resourceType":"Observation","id":"{one:016x}-{other:016x}","meta":{{"versionId":"1","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-vital-signs"]}},"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"{display}"}}],"text":"{display}"}},"subject":{{"reference":"{subject}"}},"encounter":{{"reference":"Encounter/{other:016x}"}},"performer":[{{"reference":"Practitioner/{one:016x}","display":"taken at home, by the device"}}],"device":{{"reference":"Device/{other:016x}"}},"valueQuantity":{{"value":{value},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},"note":[{{"text":"Number {number}. {note}"}}]}}"#
    )
    .into_bytes()
}

const NOTE: &str = "Measured at rest, sitting, after five minutes without talking, the arm at the \
    height of the heart. The device was calibrated this year; its battery was full, and the person \
    had taken neither coffee nor medicine since the morning. A second measurement was made five \
    minutes later and agreed with this one within what the maker of the device promises, so that \
    only one of them was kept.";

const CODES: [(&str, &str, &str); 6] = [
    ("8867-4", "Heart rate", "/min"),
    ("8480-6", "Systolic blood pressure", "mm[Hg]"),
    ("8462-4", "Diastolic blood pressure", "mm[Hg]"),
    ("9279-1", "Respiratory rate", "/min"),
    ("59408-5", "Oxygen saturation by pulse oximetry", "%"),
    ("2339-0", "Glucose in blood", "mg/dL"),
];
