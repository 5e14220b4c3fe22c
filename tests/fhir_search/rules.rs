//! The rules of the specification, kind by kind, on small resources.

use serde_json::{Value, json};
use vitalock::{Class, ErrorKind};

use crate::{Store, record};

fn observation(id: &str, more: &Value) -> Value {
    let mut resource = json!({"resourceType": "Observation", "id": id, "status": "final"});
    let more = more.as_object().unwrap().clone();
    resource.as_object_mut().unwrap().extend(more);
    resource
}

fn patient(id: &str, more: &Value) -> Value {
    let mut resource = json!({"resourceType": "Patient", "id": id});
    let more = more.as_object().unwrap().clone();
    resource.as_object_mut().unwrap().extend(more);
    resource
}

fn check(store: &Store, searches: &[(&str, &[&str])]) {
    for (search, wanted) in searches {
        assert_eq!(store.set(search), *wanted, "{search}");
        let count = store.session().fhir().search_count(search).unwrap();
        assert_eq!(count, wanted.len() as u64, "{search}");
    }
}

#[test]
fn numbers_and_quantities() {
    let quantity = |id, value: f64, code: &str| {
        let unit = json!({"value": value, "unit": format!("the {code}"), "code": code,
            "system": "http://unitsofmeasure.org"});
        observation(id, &json!({"valueQuantity": unit}))
    };
    let store = Store::of(&[
        quantity("a", 5.4, "mg"),
        quantity("b", 5.45, "mg"),
        quantity("c", 5.4, "g"),
        quantity("d", 99.5, "mg"),
        quantity("e", 100.5, "mg"),
        quantity("f", -3.0, "mg"),
        observation("g", &json!({"valueString": "5.4"})),
    ]);
    check(
        &store,
        &[
            ("Observation?value-quantity=5.4", &["a", "c"]),
            (
                "Observation?value-quantity=5.4|http://unitsofmeasure.org|mg",
                &["a"],
            ),
            ("Observation?value-quantity=5.4||mg", &["a"]),
            ("Observation?value-quantity=5.4||the mg", &["a"]),
            ("Observation?value-quantity=5.4|http://other.org|mg", &[]),
            ("Observation?value-quantity=5.40", &["a", "c"]),
            ("Observation?value-quantity=5", &["a", "b", "c"]),
            // 100 is 99.5 to 100.5, the end not counted; 1e2 is 95 to 105 (3.1.1.4.6).
            ("Observation?value-quantity=100", &["d"]),
            ("Observation?value-quantity=1e2", &["d", "e"]),
            (
                "Observation?value-quantity=ne100",
                &["a", "b", "c", "e", "f"],
            ),
            ("Observation?value-quantity=gt99.5", &["e"]),
            ("Observation?value-quantity=ge99.5", &["d", "e"]),
            ("Observation?value-quantity=lt5.4||mg", &["f"]),
            ("Observation?value-quantity=le5.4||mg", &["a", "f"]),
            ("Observation?value-quantity=sa5.4||mg", &["b", "d", "e"]),
            ("Observation?value-quantity=eb5.4||mg", &["f"]),
            ("Observation?value-quantity=ap5||mg", &["a", "b"]),
            ("Observation?value-quantity=ap-3", &["f"]),
            ("Observation?value-quantity=5.4||mg,5.4||g", &["a", "c"]),
            ("Observation?value-quantity:missing=true", &["g"]),
            (
                "Observation?value-quantity=gt5&value-quantity=lt90",
                &["a", "b", "c"],
            ),
        ],
    );
    let range = json!({"resourceType": "RiskAssessment", "id": "r", "status": "final",
        "prediction": [{"probabilityDecimal": 0.25}, {"probabilityDecimal": 0.5}]});
    store.put(&[range]);
    check(
        &store,
        &[
            ("RiskAssessment?probability=gt0.3", &["r"]),
            ("RiskAssessment?probability=gt0.3&probability=lt0.3", &["r"]),
            ("RiskAssessment?probability=gt0.6", &[]),
        ],
    );
}

#[test]
fn ranges_are_compared_at_both_ends() {
    let onset =
        |id, range: Value| json!({"resourceType": "Condition", "id": id, "onsetRange": range});
    let years = |value| json!({"value": value, "code": "a", "system": "http://unitsofmeasure.org"});
    let store = Store::of(&[
        onset("a", json!({"low": years(30), "high": years(40)})),
        onset("b", json!({"low": years(50)})),
        json!({"resourceType": "Condition", "id": "c", "onsetAge": years(35)}),
    ]);
    check(
        &store,
        &[
            ("Condition?onset-age=gt36", &["a", "b"]),
            ("Condition?onset-age=lt34", &["a"]),
            ("Condition?onset-age=sa36", &["b"]),
            ("Condition?onset-age=35", &["c"]),
            ("Condition?onset-age=ap35", &["a", "c"]),
            ("Condition?onset-age=ge40||a", &["a", "b"]),
        ],
    );
}

#[test]
fn dates() {
    let at = |id, date: &str| observation(id, &json!({"effectiveDateTime": date}));
    let during = |id, start: &str, end: &str| {
        observation(
            id,
            &json!({"effectivePeriod": {"start": start, "end": end}}),
        )
    };
    let store = Store::of(&[
        at("year", "2013"),
        at("month", "2013-03"),
        at("day", "2013-03-14"),
        at("noon", "2013-03-14T12:00:00Z"),
        at("zone", "2013-03-15T01:00:00+02:00"),
        at("next", "2013-03-15T00:00:00Z"),
        during("long", "2013-01-21", "2013-03-14"),
        during("later", "2013-03-14T10:00:00Z", "2014-01-01"),
        observation("none", &json!({"issued": "2013-03-14T00:00:00Z"})),
        observation("open", &json!({"effectivePeriod": {"start": "2013-03-20"}})),
    ]);
    check(
        &store,
        &[
            ("Observation?date=2013-03-14", &["day", "noon", "zone"]),
            (
                "Observation?date=eq2013",
                &["day", "long", "month", "next", "noon", "year", "zone"],
            ),
            ("Observation?date=2013-03-14T12:00:00Z", &["noon"]),
            ("Observation?date=2013-03-14T14:00%2B02:00", &["noon"]),
            ("Observation?date=2013-03-14T14:00+02:00", &["noon"]),
            (
                "Observation?date=ne2013-03-14",
                &["later", "long", "month", "next", "open", "year"],
            ),
            (
                "Observation?date=gt2013-03-14",
                &["later", "month", "next", "open", "year"],
            ),
            (
                "Observation?date=ge2013-03-14",
                &[
                    "day", "later", "month", "next", "noon", "open", "year", "zone",
                ],
            ),
            ("Observation?date=lt2013-03-14", &["long", "month", "year"]),
            (
                "Observation?date=le2013-03-14",
                &["day", "long", "month", "noon", "year", "zone"],
            ),
            ("Observation?date=sa2013-03-14", &["next", "open"]),
            (
                "Observation?date=eb2013-03-15",
                &["day", "long", "noon", "zone"],
            ),
            (
                "Observation?date=ge2013-03-14&date=le2013-03-14",
                &["day", "month", "noon", "year", "zone"],
            ),
            ("Observation?date:missing=true", &["none"]),
            (
                "Observation?date:missing=false&date=gt2013-03-16",
                &["later", "month", "open", "year"],
            ),
            (
                "Observation?date=ap2013-03-14",
                &[
                    "day", "later", "long", "month", "next", "noon", "open", "year", "zone",
                ],
            ),
        ],
    );
    let newest = [
        "open", "next", "zone", "noon", "later", "none", "day", "month", "long", "year",
    ];
    let order = store.ids("Observation?_sort=-date");
    assert_eq!(order, newest);
    let mut oldest = store.ids("Observation?_sort=date");
    oldest.reverse();
    assert_eq!(oldest, newest);
    let born = |id, date: &str| patient(id, &json!({"birthDate": date}));
    store.put(&[born("p", "1950-05-01"), born("q", "1950")]);
    check(
        &store,
        &[
            ("Patient?birthdate=1950-05-01", &["p"]),
            ("Patient?birthdate=1950", &["p", "q"]),
            ("Patient?birthdate=lt1950-06", &["p", "q"]),
            ("Patient?birthdate=eb1950-06", &["p"]),
            ("Patient?deceased=false", &["p", "q"]),
            ("Patient?deceased=true", &[]),
        ],
    );
}

#[test]
fn strings() {
    let name = |id, name: Value| patient(id, &json!({"name": [name]}));
    let store = Store::of(&[
        name(
            "eve",
            json!({"family": "Everywoman", "given": ["Eve", "Ann"]}),
        ),
        name("steve", json!({"family": "Steven", "given": ["Severine"]})),
        name("carreno", json!({"family": "Carreno Quiñones"})),
        name("muller", json!({"text": "Jürgen MÜLLER,  Dr."})),
        name("long", json!({"family": "x".repeat(300)})),
        name("longer", json!({"family": format!("{}y", "x".repeat(300))})),
    ]);
    let long = format!("Patient?family={}y", "x".repeat(300));
    let exact = format!("Patient?family:exact={}", "x".repeat(300));
    check(
        &store,
        &[
            // The examples of 3.1.1.4.8.
            ("Patient?given=eve", &["eve"]),
            ("Patient?given:contains=eve", &["eve", "steve"]),
            ("Patient?given:exact=Eve", &["eve"]),
            ("Patient?given:exact=eve", &[]),
            ("Patient?family=carreño", &["carreno"]),
            ("Patient?family=Carreno Quinones", &["carreno"]),
            ("Patient?family:exact=Carreno Quiñones", &["carreno"]),
            ("Patient?family:exact=Carreno Quinones", &[]),
            ("Patient?name=JURGEN+müller\\,", &["muller"]),
            ("Patient?name=eve,carr", &["carreno", "eve"]),
            ("Patient?name=eve&name=ann", &["eve"]),
            ("Patient?name=eve&name=carr", &[]),
            ("Patient?name:missing=true", &[]),
            (&long, &["longer"]),
            (&exact, &["long"]),
        ],
    );
}

#[test]
fn tokens() {
    let store = Store::of(&[
        observation(
            "a",
            &json!({"code": {"coding": [{"system": "http://acme.org", "code": "Ha125"}],
            "text": "Heart rate"}}),
        ),
        observation(
            "b",
            &json!({"code": {"coding": [{"code": "ha125", "display": "Herzfrequenz"}]}}),
        ),
        observation(
            "c",
            &json!({"code": {"coding": [{"system": "http://other.org", "code": "ha125"},
            {"system": "http://acme.org", "code": "x|y"}]}}),
        ),
        observation(
            "d",
            &json!({"code": {"text": "only words"}, "status": "amended"}),
        ),
        patient(
            "p",
            &json!({"active": true, "gender": "female",
            "telecom": [{"system": "phone", "value": "555-1"}, {"system": "email", "value": "A@x.org"}],
            "identifier": [{"system": "http://h.org", "value": "446053",
                "type": {"coding": [{"system": "http://t", "code": "MR"}], "text": "record"}},
                {"value": "bare"}, {"system": "http://only"}]}),
        ),
    ]);
    check(
        &store,
        &[
            ("Observation?code=ha125", &["a", "b", "c"]),
            ("Observation?code=http://acme.org|HA125", &["a"]),
            ("Observation?code=|ha125", &["b"]),
            ("Observation?code=http://acme.org|", &["a", "c"]),
            ("Observation?code=http://acme.org|x\\|y", &["c"]),
            (
                "Observation?code=http://acme.org|ha125,http://other.org|ha125",
                &["a", "c"],
            ),
            ("Observation?code:not=ha125", &["d"]),
            (
                "Observation?code:not=http://acme.org|ha125",
                &["b", "c", "d"],
            ),
            ("Observation?code:missing=true", &[]),
            ("Observation?code:text=heart", &["a"]),
            ("Observation?code:text=HERZ", &["b"]),
            ("Observation?code:text=rate", &[]),
            ("Observation?status=final", &["a", "b", "c"]),
            (
                "Observation?status=http://hl7.org/fhir/observation-status|amended",
                &["d"],
            ),
            ("Observation?_id=a,d", &["a", "d"]),
            ("Observation?_id=A", &[]),
            ("Observation?_id:not=a", &["b", "c", "d"]),
            ("Patient?active=true", &["p"]),
            ("Patient?phone=555-1", &["p"]),
            ("Patient?phone=a@x.org", &[]),
            ("Patient?email=a@x.org", &["p"]),
            ("Patient?telecom=555-1", &["p"]),
            ("Patient?identifier=http://h.org|446053", &["p"]),
            ("Patient?identifier=446053", &["p"]),
            ("Patient?identifier=|bare", &["p"]),
            ("Patient?identifier=http://only|", &["p"]),
            ("Patient?identifier:of-type=http://t|MR|446053", &["p"]),
            ("Patient?identifier:of-type=http://t|MR|bare", &[]),
            ("Patient?identifier:text=rec", &["p"]),
            ("Patient?gender:not=male", &["p"]),
        ],
    );
}

#[test]
fn references_and_uris() {
    let about = |id, subject: Value| observation(id, &json!({"subject": subject}));
    let store = Store::of(&[
        about("a", json!({"reference": "Patient/1"})),
        about("b", json!({"reference": "Patient/1/_history/3"})),
        about("c", json!({"reference": "Group/1"})),
        about("d", json!({"reference": "http://x.org/fhir/Patient/1"})),
        about(
            "e",
            json!({"identifier": {"system": "http://h", "value": "7"}}),
        ),
        about(
            "f",
            json!({"reference": "urn:uuid:0000", "type": "Patient"}),
        ),
        json!({"resourceType": "ValueSet", "id": "v", "url": "http://acme.org/fhir/ValueSet/1"}),
        json!({"resourceType": "ValueSet", "id": "w", "url": "http://acme.org/fhirs"}),
        json!({"resourceType": "Measure", "id": "m", "library": ["http://acme.org/lib|1.0"]}),
    ]);
    check(
        &store,
        &[
            ("Observation?subject=Patient/1", &["a", "b"]),
            ("Observation?subject=Patient/1/_history/9", &["a", "b"]),
            ("Observation?subject=1", &["a", "b", "c"]),
            ("Observation?subject:Patient=1", &["a", "b"]),
            ("Observation?subject:Group=Group/1", &["c"]),
            ("Observation?patient=1", &["a", "b"]),
            ("Observation?patient=http://x.org/fhir/Patient/1", &["d"]),
            ("Observation?patient=urn:uuid:0000", &["f"]),
            ("Observation?subject:identifier=http://h|7", &["e"]),
            ("Observation?subject:missing=true", &[]),
            ("Observation?patient:missing=true", &["c", "e"]),
            ("ValueSet?url=http://acme.org/fhir/ValueSet/1", &["v"]),
            ("ValueSet?url=http://acme.org/FHIR/ValueSet/1", &[]),
            ("ValueSet?url:below=http://acme.org/fhir", &["v"]),
            ("ValueSet?url:below=http://acme.org/", &["v", "w"]),
            (
                "ValueSet?url:above=http://acme.org/fhir/ValueSet/1/_history/5",
                &["v"],
            ),
            ("ValueSet?url:above=http://acme.org/fhirs/x", &["w"]),
            ("Measure?depends-on=http://acme.org/lib", &["m"]),
            ("Measure?depends-on=http://acme.org/lib|1.0", &["m"]),
            ("Measure?depends-on=http://acme.org/lib|2.0", &[]),
        ],
    );
}

#[test]
fn composites_hold_within_one_element() {
    let pressure = |id, systolic: u32, diastolic: u32| {
        let part = |code: &str, value| {
            json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": value}})
        };
        observation(
            id,
            &json!({"component": [part("8480-6", systolic), part("8462-4", diastolic)]}),
        )
    };
    let store = Store::of(&[
        pressure("a", 150, 80),
        pressure("b", 120, 145),
        pressure("c", 120, 80),
    ]);
    check(
        &store,
        &[
            (
                "Observation?component-code=8480-6&component-value-quantity=gt140",
                &["a", "b"],
            ),
            (
                "Observation?component-code-value-quantity=8480-6$gt140",
                &["a"],
            ),
            (
                "Observation?component-code-value-quantity=http://loinc.org|8462-4$gt140",
                &["b"],
            ),
            (
                "Observation?combo-code-value-quantity=8480-6$gt140,8462-4$lt100",
                &["a", "c"],
            ),
        ],
    );
    for (search, kind) in [
        (
            "Observation?component-code-value-quantity=8480-6",
            ErrorKind::SearchInvalid,
        ),
        (
            "Observation?component-code-value-quantity=8480-6$gt140$1",
            ErrorKind::SearchInvalid,
        ),
        (
            "Observation?component-code-value-quantity:missing=true",
            ErrorKind::SearchUnsupported,
        ),
    ] {
        assert_eq!(
            store.session().fhir().search(search).unwrap_err().kind(),
            kind,
            "{search}"
        );
    }
}

#[test]
fn what_is_not_understood_is_refused_and_not_repeated() {
    let store = Store::of(&[patient("p", &json!({}))]);
    for (search, kind, parameter) in [
        ("", ErrorKind::SearchInvalid, None),
        ("Patients", ErrorKind::SearchInvalid, None),
        ("Patient?secret=1", ErrorKind::SearchInvalid, None),
        ("Patient?name", ErrorKind::SearchInvalid, None),
        ("Patient?name=", ErrorKind::SearchInvalid, Some("name")),
        ("Patient?name=a,,b", ErrorKind::SearchInvalid, Some("name")),
        ("Patient?name=a\\x", ErrorKind::SearchInvalid, Some("name")),
        (
            "Patient?name:secret=a",
            ErrorKind::SearchInvalid,
            Some("name"),
        ),
        ("Patient?name=%zz", ErrorKind::SearchInvalid, None),
        ("Patient?name=%00", ErrorKind::SearchInvalid, None),
        (
            "Patient?birthdate=yesterday",
            ErrorKind::SearchInvalid,
            Some("birthdate"),
        ),
        (
            "Patient?birthdate=xx2020",
            ErrorKind::SearchInvalid,
            Some("birthdate"),
        ),
        (
            "Patient?gender:in=http://v",
            ErrorKind::SearchUnsupported,
            Some("gender"),
        ),
        (
            "Patient?general-practitioner:Secret=1",
            ErrorKind::SearchInvalid,
            Some("general-practitioner"),
        ),
        (
            "Observation?focus=1",
            ErrorKind::SearchInvalid,
            Some("focus"),
        ),
        (
            "Observation?value-quantity=1e999",
            ErrorKind::SearchInvalid,
            Some("value-quantity"),
        ),
        (
            "Observation?patient.secret=a",
            ErrorKind::SearchInvalid,
            None,
        ),
        (
            "Observation?code.name=a",
            ErrorKind::SearchInvalid,
            Some("code"),
        ),
        (
            "Observation?subject:Secret.name=a",
            ErrorKind::SearchInvalid,
            Some("subject"),
        ),
        (
            "Observation?focus.name=a",
            ErrorKind::SearchInvalid,
            Some("focus"),
        ),
        (
            "Observation?patient._sort=a",
            ErrorKind::SearchInvalid,
            None,
        ),
        (
            "Patient?organization.partof.partof.partof.partof.name=a",
            ErrorKind::SearchUnsupported,
            Some("partof"),
        ),
        (
            "Patient?_has:Observation:patient=1",
            ErrorKind::SearchInvalid,
            None,
        ),
        (
            "Patient?_has:Secret:patient:code=1",
            ErrorKind::SearchInvalid,
            None,
        ),
        (
            "Patient?_has:Observation:code:code=1",
            ErrorKind::SearchInvalid,
            Some("code"),
        ),
        (
            "Patient?_include=Patient:organisation",
            ErrorKind::SearchInvalid,
            Some("_include"),
        ),
        (
            "Patient?_include=Patient:name",
            ErrorKind::SearchInvalid,
            Some("_include"),
        ),
        (
            "Patient?_include=*",
            ErrorKind::SearchUnsupported,
            Some("_include"),
        ),
        (
            "Patient?_include=Observation:subject",
            ErrorKind::SearchUnsupported,
            Some("_include"),
        ),
        (
            "Patient?_revinclude=Secret:subject",
            ErrorKind::SearchInvalid,
            Some("_revinclude"),
        ),
        ("Patient?_elements=name", ErrorKind::SearchUnsupported, None),
        (
            "Observation?_sort=code-value-quantity",
            ErrorKind::SearchUnsupported,
            Some("_sort"),
        ),
        (
            "Patient?_sort=name,,gender",
            ErrorKind::SearchInvalid,
            Some("_sort"),
        ),
        ("Patient?_sort=", ErrorKind::SearchInvalid, Some("_sort")),
        (
            "Patient?_sort=secret",
            ErrorKind::SearchInvalid,
            Some("_sort"),
        ),
        ("Patient?_count=0", ErrorKind::SearchInvalid, Some("_count")),
        (
            "Patient?_content=a",
            ErrorKind::SearchUnsupported,
            Some("_content"),
        ),
        (
            "Location?near=1|2",
            ErrorKind::SearchUnsupported,
            Some("near"),
        ),
    ] {
        for error in [
            store
                .session()
                .fhir()
                .search(search)
                .map(drop)
                .expect_err(search),
            store
                .session()
                .fhir()
                .search_count(search)
                .map(drop)
                .expect_err(search),
        ] {
            assert_eq!(
                (error.kind(), error.search_parameter()),
                (kind, parameter),
                "{search}"
            );
            assert!(!format!("{error} {error:?}").contains("ecret"));
        }
    }
    let long = format!("Patient?name={}", "a".repeat(100_000));
    assert!(store.session().fhir().search(&long).is_err());
    let many = format!("Patient?name={}", "a,".repeat(2000) + "a");
    assert!(store.session().fhir().search(&many).is_err());
}

#[test]
fn a_record_that_says_it_is_a_resource_has_to_be_one() {
    let store = Store::made();
    let json = json!({"resourceType": "Basic", "id": "b"}).to_string();
    for (kind, body, refused) in [
        ("Basic", json.as_str(), None),
        ("Patient", json.as_str(), Some(ErrorKind::InvalidRecord)),
        ("Basic", "{", Some(ErrorKind::FhirMalformed)),
    ] {
        let record = vitalock::Record::new(kind, body).content_type(vitalock::fhir::CONTENT_TYPE);
        let outcome = store
            .session()
            .put(record)
            .map(drop)
            .map_err(|error| error.kind());
        assert_eq!(outcome.err(), refused, "{kind}");
    }
    // A type that R4 does not have is kept.
    let unheard_of = json!({"resourceType": "Unheard", "id": "u"});
    store
        .session()
        .put(record(&unheard_of, Class::Standard))
        .unwrap();
    assert!(store.session().fhir().search("Unheard?_id=u").is_err());
}

#[test]
fn chains_and_those_that_refer() {
    let about = |id, who: &str, code: &str| {
        observation(
            id,
            &json!({"subject": {"reference": who}, "code": {"coding": [{"code": code}]}}),
        )
    };
    let store = Store::of(&[
        patient(
            "1",
            &json!({"name": [{"family": "Everywoman"}], "gender": "female",
            "managingOrganization": {"reference": "Organization/o"}}),
        ),
        patient("2", &json!({"name": [{"family": "Everyman"}]})),
        json!({"resourceType": "Device", "id": "d", "deviceName": [{"name": "Everything", "type": "other"}]}),
        json!({"resourceType": "Organization", "id": "o", "name": "Clinic"}),
        about("a", "Patient/1", "x"),
        about("b", "Patient/2", "x"),
        about("c", "Patient/2", "y"),
        about("e", "Device/d", "x"),
        about("f", "Patient/absent", "x"),
        json!({"resourceType": "Provenance", "id": "p", "target": [{"reference": "Observation/c"}]}),
    ]);
    check(
        &store,
        &[
            ("Observation?patient.name=every", &["a", "b", "c"]),
            ("Observation?patient.name=everyw", &["a"]),
            ("Observation?patient.name:exact=Everyman", &["b", "c"]),
            ("Observation?subject:Patient.name=every&code=x", &["a", "b"]),
            ("Observation?subject:Device.device-name=every", &["e"]),
            (
                "Observation?subject.identifier:missing=true",
                &["a", "b", "c", "e"],
            ),
            ("Observation?patient.organization.name=clin", &["a"]),
            ("Observation?patient.gender:not=female", &["b", "c"]),
            ("Observation?patient.name=nobody", &[]),
            ("Patient?_has:Observation:patient:code=x", &["1", "2"]),
            ("Patient?_has:Observation:patient:code=y", &["2"]),
            ("Patient?_has:Observation:patient:code=z", &[]),
            (
                "Patient?_has:Observation:patient:code=x&family=everyw",
                &["1"],
            ),
            (
                "Patient?_has:Observation:patient:_has:Provenance:target:_id=p",
                &["2"],
            ),
            (
                "Observation?patient._has:Observation:patient:code=y&code=x",
                &["b"],
            ),
        ],
    );
    // Over classes: the person in one, what is about them in another.
    let words = crate::words();
    let factors = vitalock::Credentials::passphrase(&words).and(&store.keystore);
    let lease = store.session().step_up(&factors).unwrap();
    lease
        .put(record(&about("z", "Patient/1", "secret"), Class::Priority))
        .unwrap();
    assert_eq!(
        crate::ids(&lease, "Observation?patient.name=everyw").len(),
        2
    );
    assert_eq!(
        crate::ids(&lease, "Patient?_has:Observation:patient:code=secret"),
        ["1"]
    );
    drop(lease);
    check(
        &store,
        &[("Patient?_has:Observation:patient:code=secret", &[])],
    );
}

#[test]
fn orders() {
    let person = |id, family: &[&str], gender: &str, born: &str| {
        let names: Vec<_> = family
            .iter()
            .map(|family| json!({"family": family}))
            .collect();
        patient(
            id,
            &json!({"name": names, "gender": gender, "birthDate": born}),
        )
    };
    let store = Store::of(&[
        person("1", &["Zimmer", "Abel"], "male", "1950"),
        person("2", &["berg"], "female", "1960-02"),
        person("3", &["Äbelein"], "female", "1940-01-01"),
        patient("4", &json!({})),
        person("5", &["Berg"], "male", "1960-01-31"),
    ]);
    for (search, wanted) in [
        ("Patient?_sort=family,_id", "4 1 3 2 5"),
        ("Patient?_sort=-family,_id", "1 2 5 3 4"),
        ("Patient?_sort=-family,-_id", "1 5 2 3 4"),
        ("Patient?_sort=birthdate", "4 3 1 5 2"),
        ("Patient?_sort=gender,-birthdate", "4 2 3 5 1"),
        (
            "Patient?_sort=-gender,family&gender:missing=false",
            "1 5 3 2",
        ),
        ("Patient?family=be&_sort=-_id", "5 2"),
    ] {
        assert_eq!(store.ids(search).join(" "), wanted, "{search}");
        // The same, a resource at a time.
        let paged = format!("{search}&_count=1");
        let session = store.session();
        let mut page = session.fhir().search(&paged).unwrap();
        let mut met = Vec::new();
        while let Some(found) = page.next() {
            let found: Value = serde_json::from_slice(found.unwrap().body()).unwrap();
            met.push(found["id"].as_str().unwrap().to_owned());
            page = session
                .fhir()
                .search_after(&paged, &page.cursor().unwrap().unwrap())
                .unwrap();
        }
        assert_eq!(met.join(" "), wanted, "{search}");
    }
    let dose = |id, value: f64, date: &str| {
        observation(
            id,
            &json!({"valueQuantity": {"value": value}, "effectiveDateTime": date}),
        )
    };
    store.put(&[
        dose("a", 2.0, "2024-01-02"),
        dose("b", 10.0, "2024-01-01"),
        dose("c", 2.0, "2024-01-01"),
    ]);
    assert_eq!(
        store.ids("Observation?_sort=value-quantity,-date"),
        ["a", "c", "b"]
    );
    assert_eq!(
        store.ids("Observation?_sort=-value-quantity,date"),
        ["b", "c", "a"]
    );
    // A page goes on where it ended, though what it ended with is gone.
    let session = store.session();
    let search = "Patient?_sort=family,_id&_count=2";
    let mut page = session.fhir().search(search).unwrap();
    let last = page.by_ref().last().unwrap().unwrap();
    let cursor = page.cursor().unwrap().unwrap();
    session.erase(last.id().unwrap()).unwrap();
    let rest = session.fhir().search_after(search, &cursor).unwrap();
    let rest = rest.map(|found| {
        let found: Value = serde_json::from_slice(found.unwrap().body()).unwrap();
        found["id"].as_str().unwrap().to_owned()
    });
    assert_eq!(rest.collect::<Vec<_>>(), ["3", "2"]);
}

#[test]
fn what_comes_along() {
    let about = |id, who: &str| observation(id, &json!({"subject": {"reference": who}}));
    let store = Store::of(&[
        patient(
            "1",
            &json!({"managingOrganization": {"reference": "Organization/o"}}),
        ),
        patient("2", &json!({})),
        json!({"resourceType": "Organization", "id": "o"}),
        json!({"resourceType": "Device", "id": "d"}),
        about("a", "Patient/1"),
        about("b", "Patient/1"),
        about("c", "Device/d"),
        json!({"resourceType": "Provenance", "id": "p", "target": [{"reference": "Observation/a"}]}),
    ]);
    let met = |search: &str| {
        let mut matches = store.session().fhir().search(search).unwrap();
        let found = matches.by_ref().filter(Result::is_ok).count();
        let mut along: Vec<_> = matches
            .included()
            .unwrap()
            .iter()
            .map(|record| {
                let json: Value = serde_json::from_slice(record.body()).unwrap();
                format!("{}/{}", record.kind(), json["id"].as_str().unwrap())
            })
            .collect();
        along.sort();
        assert!(matches.included().unwrap().is_empty(), "each comes once");
        (found, along.join(" "))
    };
    for (search, found, along) in [
        (
            "Observation?_include=Observation:subject",
            3,
            "Device/d Patient/1",
        ),
        (
            "Observation?_include=Observation:subject:Patient",
            3,
            "Patient/1",
        ),
        (
            "Observation?_id=b&_include=Observation:patient&_revinclude=Provenance:target",
            1,
            "Patient/1",
        ),
        (
            "Observation?_id=a&_revinclude=Provenance:target",
            1,
            "Provenance/p",
        ),
        (
            "Patient?_revinclude=Observation:subject&_include=Patient:organization",
            2,
            "Observation/a Observation/b Organization/o",
        ),
        ("Patient?_id=2&_revinclude=Observation:subject", 1, ""),
        ("Patient", 2, ""),
    ] {
        assert_eq!(met(search), (found, along.to_owned()), "{search}");
    }
}

#[test]
fn many_conditions_and_many_values_are_one_search() {
    let resources: Vec<_> = (0..40)
        .map(|at| {
            let code = json!({"coding": [{"system": "http://s", "code": format!("c{at}")}]});
            observation(
                &format!("o{at:02}"),
                &json!({"code": code, "subject": {"reference": "Patient/1"}}),
            )
        })
        .collect();
    let store = Store::of(&resources);
    let values = |count: usize| {
        let values: Vec<_> = (0..count).map(|at| format!("http://s|c{at}")).collect();
        values.join(",")
    };
    for count in [1, 7, 8, 9, 40, 64, 65, 500, 1024] {
        let search = format!("Observation?code={}&_sort=date", values(count));
        assert_eq!(store.set(&search).len(), count.min(40), "{count}");
        let search = format!("{search}&subject=Patient/1&status=final&code:not=c1");
        let without = count.min(40) - usize::from(count > 1);
        assert_eq!(store.set(&search).len(), without, "{count}");
    }
    for times in [5, 9, 20, 60] {
        let conditions = "status=final&".repeat(times);
        let search = format!("Observation?{conditions}code={}", values(8));
        assert_eq!(store.set(&search).len(), 8, "{times}");
        let search = format!(
            "Observation?{}",
            format!("code:not={}&", values(3)).repeat(times)
        );
        assert_eq!(
            store.session().fhir().search_count(&search).unwrap(),
            37,
            "{times}"
        );
    }
    let dates = "date=ge1900&date=lt2100&".repeat(30);
    assert_eq!(store.ids(&format!("Observation?{dates}")), [""; 0]);
}
