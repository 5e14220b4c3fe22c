//! How long each thing takes on this machine, by criterion. Ratios to plain SQLite, which travel
//! from machine to machine, are the business of the bench `records`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a measurement may fail where it stands; criterion's macros make items without docs"
)]

mod support;

use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

use support::bundles::bundles;
use support::population::{mix, observation};
use support::question::{Question, Shape};
use support::sealed::Sealed;
use support::shared::Scratch;
use support::store::{Cost, Files, Store};

const SIZE: u64 = 20_000;
const BATCH: u64 = 1_000;

criterion_group! {
    name = times;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = unlock, read, write, import
}
criterion_main!(times);

fn unlock(criterion: &mut Criterion) {
    let (_scratch, mut store) = filled(1);
    let mut group = criterion.benchmark_group("unlock");
    for (name, cost) in [
        ("passphrase, 64 MiB/3/4", Cost::Default),
        ("passphrase, 19 MiB/2/1", Cost::Floor),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                store.close();
                store.unlock(cost);
            });
        });
    }
    store.close();
    store.unlock(Cost::Floor);
    group.bench_function("biometric, to the first record, and lock", |bench| {
        bench.iter(|| {
            store.close();
            store.open(0, Files::One)
        });
    });
}

fn read(criterion: &mut Criterion) {
    let (_scratch, mut store) = filled(SIZE);
    let mut turn = 0;
    let mut next = || {
        turn += 1;
        mix(turn)
    };
    criterion.bench_function("get", |bench| bench.iter(|| store.read(next() % SIZE)));
    for (name, shape, most) in [
        ("query, 500 records of a time", Shape::Window, 500),
        ("query, first 50 of a person", Shape::Latest, 50),
    ] {
        criterion.bench_function(name, |bench| {
            bench.iter(|| store.find(&Question::of(shape, next(), SIZE), most));
        });
    }
}

fn write(criterion: &mut Criterion) {
    let (_scratch, mut store) = filled(SIZE);
    let mut number = SIZE;
    let mut next = |many: u64| {
        number += many;
        (number - many..number).map(observation).collect::<Vec<_>>()
    };
    for (name, many) in [
        ("put, single durable", 1),
        ("put, 1,000 in a transaction", BATCH),
    ] {
        criterion.bench_function(name, |bench| {
            bench.iter_batched(
                || next(many),
                |records| store.put(records),
                BatchSize::PerIteration,
            );
        });
    }
}

fn import(criterion: &mut Criterion) {
    let bundle = bundles(1).remove(0);
    criterion.bench_function("import of a FHIR bundle", |bench| {
        bench.iter_batched_ref(
            || filled(1),
            |(_, store)| store.import(&bundle),
            BatchSize::PerIteration,
        );
    });
}

fn filled(size: u64) -> (Scratch, Sealed) {
    let scratch = Scratch::new();
    let mut store = Sealed::make(scratch.path());
    for first in (0..size).step_by(1_000) {
        store.put((first..size).take(1_000).map(observation).collect());
    }
    (scratch, store)
}
