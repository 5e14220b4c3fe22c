//! What sealing and opening cost, one thread, and what of it is not the cipher: `cargo bench --bench
//! seal`, and once more with `--features aws-lc` for the other implementation. The rooms of the
//! store are compiled in as they stand, because what is measured here is not public.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_types,
    clippy::print_stdout,
    dead_code,
    missing_debug_implementations,
    unnameable_types,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "a measurement may fail where it stands, and uses little of the rooms it carries"
)]

#[path = "../src/class.rs"]
mod class;
#[path = "../src/error/mod.rs"]
mod error;
#[path = "../src/id.rs"]
mod id;
#[path = "../src/memory.rs"]
mod memory;
#[path = "../src/random.rs"]
mod random;
#[path = "../src/sealing/mod.rs"]
mod sealing;
#[path = "../src/secret.rs"]
mod secret;

use std::hint::black_box;
use std::time::Instant;

use class::Class;
use error::{Error, ErrorKind, Result};
use id::{KeyId, RecordId, VaultId};
use sealing::{Context, PageSealer, Sealed, Table, Unit};
use secret::{SecretBytes, SecretKey};

const SIZES: [usize; 3] = [64, 1024, 4096];
const BATCHES: usize = 301;

fn main() {
    let key = SecretKey::make().unwrap();
    let vault = VaultId::from_bytes([1; 16]);
    let place = Context {
        vault,
        class: Class::Standard,
        table: Table::Record,
        kind: "Observation",
        row: RecordId::from_bytes([2; 16]),
        number: 3,
        key: KeyId::from_bytes([4; 16]),
    };
    println!("median ns of one operation");
    for size in SIZES {
        let plain = vec![7; size];
        let seal = nanoseconds(|| sealing::seal(&key, &place, &[&plain]).unwrap());
        let stored = sealing::seal(&key, &place, &[&plain])
            .unwrap()
            .as_bytes()
            .to_vec();
        let copy = nanoseconds(|| Sealed::from_stored(stored.clone()));
        let open = nanoseconds(|| {
            sealing::open(&key, &place, Sealed::from_stored(stored.clone())).unwrap()
        });
        row("envelope", size, seal, open - copy);
    }
    let sealer = PageSealer::new(SecretKey::make().unwrap(), vault, Class::Standard);
    for size in SIZES {
        let mut page = vec![7; size];
        let seal = nanoseconds(|| sealer.seal(&mut page, size, Unit::Page(9)).unwrap());
        let mut copy = page.clone();
        let copying = nanoseconds(|| copy.copy_from_slice(black_box(&page)));
        let open = nanoseconds(|| {
            copy.copy_from_slice(&page);
            assert!(sealer.open(&mut copy, Unit::Page(9)));
        });
        row("page", size, seal, open - copying);
    }
    for count in [4, 32] {
        let mut pages = vec![7; 4096 * count];
        let all = nanoseconds(|| sealer.seal(&mut pages, 4096, Unit::Page(9)).unwrap());
        println!(
            "page of {count:>2} in one call   4096 B  seal {:>7.0}",
            all / count as f64
        );
    }
    parts();
}

/// What is not the cipher itself.
fn parts() {
    part("scrubbing the stack and the registers", || {
        memory::scrub_stack::<{ memory::CIPHER_DEPTH }>();
    });
    part("of that, 12 KiB of stack", zeroize::zeroize_stack::<12288>);
    part(
        "the least: 1 KiB of stack and the registers",
        memory::scrub_stack::<1024>,
    );
    part("a nonce from the system", || random::make::<24>().unwrap());
    part("associated data of a row on the heap", || {
        SecretBytes::concatenation(&[[1; 60].as_slice(); 2])
    });
}

fn row(what: &str, size: usize, seal: f64, open: f64) {
    println!("{what:<20} {size:>9} B  seal {seal:>7.0}  open {open:>7.0}");
}

fn part<T>(what: &str, act: impl FnMut() -> T) {
    println!("{what:<44} {:>7.0}", nanoseconds(act));
}

/// The median over many short batches, which a busy machine disturbs one by one.
fn nanoseconds<T>(mut act: impl FnMut() -> T) -> f64 {
    let mut count = 1;
    while time(count, &mut act) < 20_000.0 {
        count *= 2;
    }
    let mut times: Vec<_> = (0..BATCHES).map(|_| time(count, &mut act)).collect();
    times.sort_by(f64::total_cmp);
    times[BATCHES / 2] / f64::from(count)
}

fn time<T>(count: u32, act: &mut impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        black_box(act());
    }
    start.elapsed().as_nanos() as f64
}
