//! FHIR resources with their search index: how long putting them takes, what they take of the medium,
//! and how long pages of searches take.
//!
//! The 500 Synthea patients, or as many as `cargo bench --bench search -- 50` says; references between
//! them are written as a server does. Each search is read a page at a time, in an open session; the
//! median of its rounds is told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a measurement may fail where it stands, and tells what it found"
)]

mod support;

use std::env;

use serde_json::{Value, json};

use support::bundles::bundles;
use support::clock::Clock;
use support::referred::referred;
use support::report::{micros, print_table, write_json};
use support::shared::{Keystore, Scratch, make_vault, words};
use vitalock::fhir::Reader;
use vitalock::{Credentials, Record, Session};

const BATCH: usize = 5_000;
const ROUNDS: usize = 11;
const PAGE: usize = 50;
const LATE: usize = 100;

fn main() {
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let most = env::args().find_map(|argument| argument.parse().ok());
    let (mut resources, mut bytes) = (0, 0);
    let (scratch, keystore) = (Scratch::new(), Keystore::new());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let words = words();
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let mut put = 0.0;
    let mut pending: Vec<Record> = Vec::new();
    let mut patient = None;
    let mut commit = |pending: &mut Vec<Record>| {
        let clock = Clock::start();
        session.commit(&pending.drain(..).collect()).unwrap();
        put += clock.stop().wall.as_secs_f64();
    };
    for bundle in bundles(most.unwrap_or(usize::MAX)) {
        for resource in referred(&bundle) {
            let text = resource.to_string();
            (resources, bytes) = (resources + 1, bytes + text.len());
            if resource["resourceType"] == "Patient" {
                patient = Some(resource);
            }
            pending.push(Reader::new().resource(text.as_bytes()).unwrap().to_record());
        }
        if pending.len() >= BATCH {
            commit(&mut pending);
        }
    }
    commit(&mut pending);
    let rate = resources as f64 / put;
    println!("{resources} resources, {bytes} bytes of JSON, put at {rate:.0} a second");
    session.lock();
    drop(session);
    let size = vault.size().unwrap();
    let ratio = (size.databases + size.logs) as f64 / bytes as f64;
    println!("the files take {ratio:.3} times the JSON");
    let session = vault.unlock(&factors).unwrap();
    let mut figures = vec![json!({"resources": resources, "put_per_second": rate, "ratio": ratio})];
    let mut rows = vec![
        ["search", "finds", "first page", "100th page", "count"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for search in searches(&patient.unwrap()) {
        let (row, figure) = measure(&session, &search);
        rows.push(row);
        figures.push(figure);
    }
    print_table(&rows);
    write_json("search", Value::Array(figures));
}

fn searches(patient: &Value) -> Vec<String> {
    let id = patient["id"].as_str().unwrap();
    let identifier = patient["identifier"][0]["value"].as_str().unwrap();
    let family = patient["name"][0]["family"].as_str().unwrap();
    let start: String = family.chars().take(3).collect();
    vec![
        format!("Patient?_id={id}"),
        format!("Patient?identifier={identifier}"),
        format!("Patient?name={start}"),
        format!("Patient?name={start}&_sort=family"),
        format!("Observation?patient={id}"),
        format!("Observation?patient={id}&code=http://loinc.org|29463-7&_sort=-date"),
        "Observation?code=http://loinc.org|29463-7&date=ge2015-01-01&_sort=-date".to_owned(),
        "Observation?code=http://loinc.org|29463-7&date=lt2012-01-01&_sort=-date".to_owned(),
        "Observation?code=29463-7&value-quantity=gt100|http://unitsofmeasure.org|kg".to_owned(),
        "Observation?component-code-value-quantity=http://loinc.org|8480-6$gt140".to_owned(),
        "Observation?status=final".to_owned(),
        "Observation?date=2015-06".to_owned(),
        "Encounter?date=ge2019-01-01".to_owned(),
        "Condition?clinical-status=active".to_owned(),
        format!("Observation?patient.family={family}"),
        "Observation?patient.gender=female&code=29463-7".to_owned(),
        "Patient?_has:Observation:patient:code=33914-3".to_owned(),
        "Patient?gender=female&birthdate=lt1950".to_owned(),
    ]
}

fn measure(session: &Session, search: &str) -> (Vec<String>, Value) {
    let search = format!("{search}&_count={PAGE}");
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let timed = |work: &dyn Fn()| {
        let round = |_| {
            let clock = Clock::start();
            work();
            clock.stop().wall.as_secs_f64() * 1e6
        };
        median((0..ROUNDS).map(round).collect())
    };
    let finds = session.fhir().search_count(&search).unwrap();
    let first = timed(&|| {
        assert!(
            session
                .fhir()
                .search(&search)
                .unwrap()
                .all(|found| found.is_ok())
        )
    });
    let mut late = None;
    if finds as usize > PAGE * LATE {
        let mut page = session.fhir().search(&search).unwrap();
        for _ in 2..LATE {
            assert!(page.by_ref().all(|found| found.is_ok()));
            page = session
                .fhir()
                .search_after(&search, &page.cursor().unwrap().unwrap())
                .unwrap();
        }
        assert!(page.by_ref().all(|found| found.is_ok()));
        let cursor = page.cursor().unwrap().unwrap();
        late = Some(timed(&|| {
            let page = session.fhir().search_after(&search, &cursor).unwrap();
            assert_eq!(page.count(), PAGE);
        }));
    }
    let count = timed(&|| assert_eq!(session.fhir().search_count(&search).unwrap(), finds));
    let row = vec![
        search.clone(),
        finds.to_string(),
        micros(first),
        late.map_or_else(|| "-".to_owned(), micros),
        micros(count),
    ];
    let figure = json!({"search": search, "finds": finds, "first_page": first, "late_page": late,
        "count": count});
    (row, figure)
}
