//! Plaintext that is found nowhere but where it was put: new for each run, and made letter by
//! letter in place, so that making it leaves no copy.

use zeroize::Zeroize;

/// A buffer that is wiped on drop and never grows.
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    pub(crate) fn zeroed(length: usize) -> Self {
        Self(vec![0; length])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap()
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// How long a canary is before it repeats.
pub(crate) const LENGTH: usize = 32;

/// Which field of a record a canary stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    Kind,
    Subject,
    OtherSubject,
    ContentType,
    Client,
    Device,
    App,
    Body,
}

impl Field {
    pub(crate) const ALL: [Self; 8] = [
        Self::Kind,
        Self::Subject,
        Self::OtherSubject,
        Self::ContentType,
        Self::Client,
        Self::Device,
        Self::App,
        Self::Body,
    ];
}

/// Fills `place` with the canary of a field in a class, over and over.
pub(crate) fn fill(seed: u64, class: u8, field: Field, place: &mut [u8]) {
    for (at, byte) in place.iter_mut().enumerate() {
        *byte = letter(seed, class, field, at % LENGTH);
    }
}

/// One letter of a canary.
#[inline(never)]
fn letter(seed: u64, class: u8, field: Field, at: usize) -> u8 {
    let mut mixed = seed ^ (u64::from(class) << 32 | (field as u64) << 16 | at as u64);
    for _ in 0..3 {
        mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789"[(mixed >> 59) as usize]
}
