//! Random numbers that a seed repeats.

use crate::support::data::tell;

/// A source of numbers that are random enough to choose what is tried.
pub(crate) struct Luck(u64);

impl Luck {
    /// With a seed that is new each time, and told.
    pub(crate) fn new(what: &str) -> Self {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        let seed = u64::from_le_bytes(seed) >> 16;
        tell(&format!("{what} come from seed {seed}"));
        Self::from(seed)
    }

    pub(crate) fn from(seed: u64) -> Self {
        // SplitMix64's finaliser: seeds that are close give numbers that are not.
        let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((state ^ (state >> 31)) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// True this often in a hundred.
    pub(crate) fn percent(&mut self, often: u64) -> bool {
        self.below(100) < often
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }
}
