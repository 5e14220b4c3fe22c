//! Hostile parameters of Argon2id in a header: refused before anything is spent on them.

use std::path::Path;

use rustix::time::{ClockId, clock_gettime};
use vitalock::{ErrorKind, Vault};

use crate::elsewhere::{elsewhere, peak_memory, told};
use crate::frozen::{COPIES, Frozen, put, read_all};

const REFUSED: &[&str] = &[
    "1:2:1",
    "19455:2:1",
    "19456:1:1",
    "19456:17:1",
    "19456:2:9",
    "1048577:2:1",
    "4194304:2:1",
    "4294967295:2:1",
    "4294967296:2:1",
    "4294986752:2:1",
    "19456:4294967298:1",
    "19456:2:4294967297",
    "9223372036854775807:9223372036854775807:9223372036854775807",
];

const DAMAGED: &[&str] = &[
    "0:2:1",
    "19456:0:1",
    "19456:2:0",
    "019456:2:1",
    "+19456:2:1",
    "-1:2:1",
    "19456.0:2:1",
    "1e6:2:1",
    "0x10000:2:1",
    ":2:1",
    "19456::1",
    "19456:2:",
    "19456:2",
    "19456:2:1:1",
    "9223372036854775808:2:1",
    "18446744073709551616:2:1",
    "18446744073709571072:2:1",
    "19456:2:18446744073709551617",
    "99999999999999999999999999999999999999999999:2:1",
];

#[test]
fn hostile_parameters_are_refused_without_memory_and_without_stretching() {
    let frozen = Frozen::make();
    let child = "parameters::a_process_that_meets_hostile_parameters";
    let output = elsewhere(child, frozen.dir()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "the other process of hostile_parameters_are_refused_without_memory_and_without_stretching"]
fn a_process_that_meets_hostile_parameters() {
    let Some(dir) = told() else { return };
    let dir = Path::new(&dir);
    let header = String::from_utf8(read_all(dir)["header"].clone()).unwrap();
    let wraps = || {
        header
            .lines()
            .filter(|line| line.contains(" kdf=argon2id:"))
    };
    assert_eq!(
        wraps().count(),
        4,
        "two slots with a passphrase, each with two wraps"
    );
    let refused = REFUSED
        .iter()
        .map(|cost| (*cost, ErrorKind::KdfParametersRefused));
    let damaged = DAMAGED.iter().map(|cost| (*cost, ErrorKind::HeaderDamaged));
    let cases: Vec<_> = refused.chain(damaged).collect();

    let opens = |text: String| {
        COPIES
            .iter()
            .for_each(|name| put(dir, name, text.as_bytes()));
        Vault::open(dir).map(|_| ()).map_err(|error| error.kind())
    };
    // What the process needs once is not counted.
    assert_eq!(opens(header.clone()), Ok(()));
    let (memory, before) = (peak_memory(), clock_gettime(ClockId::ProcessCPUTime));
    let mut count = 0;
    for wrap in wraps() {
        let cost = wrap.split("argon2id:").nth(1).unwrap();
        let cost = cost
            .rsplit_once(" share=")
            .unwrap()
            .0
            .rsplit_once(':')
            .unwrap()
            .0;
        for (hostile, kind) in &cases {
            let hostile = wrap.replacen(cost, hostile, 1);
            let text = header.replacen(wrap, &hostile, 1);
            assert_ne!(text, header);
            assert_eq!(opens(text), Err(*kind), "{hostile}");
            count += 1;
        }
        for name in ["argon2i", "argon2d", "Argon2id", "scrypt", "none"] {
            let text = header.replacen(wrap, &wrap.replacen("argon2id", name, 1), 1);
            assert_eq!(opens(text), Err(ErrorKind::HeaderDamaged), "{name}");
        }
        let (start, rest) = wrap.split_once(" kdf=").unwrap();
        let rest = rest.split_once(' ').unwrap().1;
        let text = header.replacen(wrap, &format!("{start} kdf=none {rest}"), 1);
        assert_eq!(
            opens(text),
            Err(ErrorKind::HeaderDamaged),
            "no stretching at all"
        );
    }
    let took = clock_gettime(ClockId::ProcessCPUTime) - before;
    let grown = peak_memory() - memory;
    assert!(
        grown < 2 * 1024,
        "{grown} KiB for parameters that are refused"
    );
    // One derivation at the floor takes more than twice this share of processor time.
    let each = std::time::Duration::try_from(took).unwrap() / count;
    assert!(
        each.as_millis() < 10,
        "{each:?} of processor time for each refusal"
    );
}
