//! Argon2id (RFC 9106): parameters, their floor and ceiling, calibration.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

use super::passphrase::Passphrase;
use crate::error::{ErrorKind, Result};
use crate::memory;
use crate::secret::SecretKey;

/// The cost of stretching a passphrase with Argon2id version 1.3 (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfParameters {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfParameters {
    /// 19 MiB, 2 passes, 1 lane: the least that a vault may use (OWASP's recommendation).
    pub const FLOOR: Self = Self {
        memory_kib: 19 * 1024,
        passes: 2,
        lanes: 1,
    };
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106 section 4.
    pub const DEFAULT: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };
    /// 1 GiB, 16 passes, 8 lanes: the most that a header may ask for.
    pub const CEILING: Self = Self {
        memory_kib: 1024 * 1024,
        passes: 16,
        lanes: 8,
    };

    /// Parameters between [`FLOOR`](Self::FLOOR) and [`CEILING`](Self::CEILING).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KdfParametersRefused`] outside that range.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self> {
        let within = |value: u32, floor: u32, ceiling: u32| (floor..=ceiling).contains(&value);
        let (floor, ceiling) = (Self::FLOOR, Self::CEILING);
        if within(memory_kib, floor.memory_kib, ceiling.memory_kib)
            && within(passes, floor.passes, ceiling.passes)
            && within(lanes, floor.lanes, ceiling.lanes)
        {
            Ok(Self {
                memory_kib,
                passes,
                lanes,
            })
        } else {
            Err(ErrorKind::KdfParametersRefused.into())
        }
    }

    /// Memory in KiB.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes, each filled by its own thread.
    pub fn lanes(self) -> u32 {
        self.lanes
    }
}

/// How the cost of a new slot is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kdf {
    /// [`KdfParameters::DEFAULT`] with as many passes as take 300 ms on this device; less than the
    /// default, but never below [`KdfParameters::FLOOR`], where the default takes over a second.
    #[default]
    Calibrated,
    /// These parameters, whatever they take.
    Fixed(KdfParameters),
}

impl Kdf {
    /// The parameters to use on this device.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`] where even the floor does not fit.
    pub(crate) fn choose(self) -> Result<KdfParameters> {
        match self {
            Self::Fixed(parameters) => Ok(parameters),
            Self::Calibrated => calibrate(measure),
        }
    }
}

/// Stretches a passphrase to a key.
///
/// # Errors
///
/// [`ErrorKind::OutOfMemory`].
pub(super) fn stretch(
    passphrase: &Passphrase,
    salt: &[u8; 16],
    parameters: KdfParameters,
) -> Result<SecretKey> {
    SecretKey::fill(|out| derive(passphrase.expose(), salt, parameters, out))
}

fn derive(
    passphrase: &[u8],
    salt: &[u8],
    parameters: KdfParameters,
    out: &mut [u8; 32],
) -> Result<()> {
    let params = Params::new(
        parameters.memory_kib,
        parameters.passes,
        parameters.lanes,
        Some(32),
    )
    .expect("parameters within floor and ceiling are valid for Argon2");
    let count = params.block_count();
    let mut blocks: Vec<Block> = Vec::new();
    blocks
        .try_reserve_exact(count)
        .map_err(|_| ErrorKind::OutOfMemory)?;
    blocks.resize(count, Block::new());
    run(passphrase, salt, params, out, &mut blocks);
    memory::scrub_stack::<{ memory::KDF_DEPTH }>();
    blocks.zeroize();
    Ok(())
}

/// On frames of its own, which the caller wipes.
#[inline(never)]
fn run(passphrase: &[u8], salt: &[u8], params: Params, out: &mut [u8; 32], blocks: &mut [Block]) {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, out, blocks)
        .expect("the lengths of passphrase, salt and output are within Argon2's limits");
}

fn measure(parameters: KdfParameters) -> Result<Duration> {
    let clock = rustix::time::ClockId::Monotonic;
    let before = rustix::time::clock_gettime(clock);
    derive(b"calibration", &[0; 16], parameters, &mut [0; 32])?;
    let after = rustix::time::clock_gettime(clock);
    Ok(Duration::try_from(after - before).unwrap_or_default())
}

/// From the default, towards 300 ms.
fn calibrate(mut measure: impl FnMut(KdfParameters) -> Result<Duration>) -> Result<KdfParameters> {
    const ENOUGH: Duration = Duration::from_millis(300);
    const TOO_LONG: Duration = Duration::from_secs(1);
    let mut chosen = KdfParameters::DEFAULT;
    let mut took = measure(chosen)?;
    while took > TOO_LONG && chosen != KdfParameters::FLOOR {
        let floor = KdfParameters::FLOOR;
        chosen = if chosen.passes > floor.passes {
            KdfParameters {
                passes: chosen.passes - 1,
                ..chosen
            }
        } else {
            KdfParameters {
                memory_kib: (chosen.memory_kib / 2).max(floor.memory_kib),
                ..chosen
            }
        };
        if chosen.memory_kib == floor.memory_kib {
            chosen = floor;
        }
        took = measure(chosen)?;
    }
    let per_pass = took / chosen.passes;
    let mut expected = took;
    while expected < ENOUGH && chosen.passes < KdfParameters::CEILING.passes {
        chosen.passes += 1;
        expected += per_pass;
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::encode_hex;

    #[test]
    fn bounds_are_inclusive() {
        for (memory, passes, lanes, right) in [
            (19_456, 2, 1, true),
            (1_048_576, 16, 8, true),
            (19_455, 2, 1, false),
            (1_048_577, 2, 1, false),
            (65_536, 1, 1, false),
            (65_536, 17, 1, false),
            (65_536, 3, 0, false),
            (65_536, 3, 9, false),
        ] {
            assert_eq!(KdfParameters::new(memory, passes, lanes).is_ok(), right);
        }
    }

    #[test]
    fn calibration_aims_at_300_milliseconds_and_stays_within_bounds() {
        for nanos_per_kib_pass in [1_u64, 50, 500, 5_000, 500_000] {
            let cost = |p: KdfParameters| {
                Duration::from_nanos(nanos_per_kib_pass) * (p.memory_kib() * p.passes())
            };
            let chosen = calibrate(|p| Ok(cost(p))).expect("the measure does not fail");
            assert!(KdfParameters::new(chosen.memory_kib, chosen.passes, chosen.lanes).is_ok());
            let floor = chosen == KdfParameters::FLOOR;
            let most = chosen.passes == KdfParameters::CEILING.passes;
            assert!(floor || cost(chosen) <= Duration::from_secs(1));
            assert!(most || cost(chosen) >= Duration::from_millis(300));
        }
    }

    /// RFC 9106 section 5.3 uses a secret and associated data, which this crate never does, so its
    /// vector is run on the same implementation that `derive` calls.
    #[test]
    fn the_implementation_gives_the_rfc_9106_vector() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).expect("12 bytes"))
            .build()
            .expect("the vector's parameters");
        let mut tag = [0; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .expect("an 8-byte secret")
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .expect("the vector's lengths");
        assert_eq!(
            encode_hex(&tag),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }
}
