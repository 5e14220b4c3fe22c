//! A host's key store, in memory: what a phone's hardware does, and what it does when it fails.

use std::collections::HashMap;
use std::sync::Mutex;

use vitalock::{KeyShare, Purpose, ShareError, ShareSink};

/// A key store that answers at once. The share is a keyed function of purpose, blob and challenge.
pub struct Keystore {
    provider: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    keys: HashMap<Vec<u8>, [u8; 32]>,
    refuse: Option<ShareError>,
    releases: Vec<(Purpose, Vec<u8>, [u8; 32])>,
    destroyed: Vec<Vec<u8>>,
}

impl Keystore {
    pub fn new() -> Self {
        Self::named("test-keystore")
    }

    pub fn named(provider: &'static str) -> Self {
        Self {
            provider,
            state: Mutex::default(),
        }
    }

    /// Every call fails like this from now on; `None` heals it.
    pub fn refuse(&self, error: Option<ShareError>) {
        self.state.lock().unwrap().refuse = error;
    }

    /// The platform lost every key.
    pub fn forget_all(&self) {
        self.state.lock().unwrap().keys.clear();
    }

    /// Every release so far: purpose, blob and challenge.
    pub fn releases(&self) -> Vec<(Purpose, Vec<u8>, [u8; 32])> {
        self.state.lock().unwrap().releases.clone()
    }

    /// The blobs of the keys that were destroyed.
    pub fn destroyed(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().destroyed.clone()
    }

    /// The share that the platform key behind this blob gives, for whoever reads a vault without
    /// this crate.
    pub fn share(&self, priority: bool, blob: &[u8], challenge: &[u8; 32]) -> Option<[u8; 32]> {
        let state = self.state.lock().unwrap();
        Some(share_of(state.keys.get(blob)?, priority, challenge))
    }

    /// How many platform keys there are.
    pub fn live_keys(&self) -> usize {
        self.state.lock().unwrap().keys.len()
    }
}

impl KeyShare for Keystore {
    fn provider(&self) -> &str {
        self.provider
    }

    fn enrol(&self, _purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        let mut state = self.state.lock().unwrap();
        if let Some(error) = state.refuse {
            return Err(error);
        }
        state.next += 1;
        let mut key = [0; 32];
        getrandom::fill(&mut key).unwrap();
        let blob = format!("key-{}", state.next).into_bytes();
        state.keys.insert(blob.clone(), key);
        Ok(blob)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let mut state = self.state.lock().unwrap();
        if let Some(error) = state.refuse {
            return Err(error);
        }
        state.releases.push((purpose, blob.to_vec(), *challenge));
        let key = state.keys.get(blob).ok_or(ShareError::Missing)?;
        sink.fill(&share_of(key, purpose == Purpose::Priority, challenge));
        Ok(())
    }

    fn destroy(&self, _purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        let mut state = self.state.lock().unwrap();
        if let Some(error) = state.refuse {
            return Err(error);
        }
        state.keys.remove(blob);
        state.destroyed.push(blob.to_vec());
        Ok(())
    }
}

/// Stands in for HMAC(key, challenge): the test needs a function of both, not a good one.
fn share_of(key: &[u8; 32], priority: bool, challenge: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| key[at] ^ challenge[at] ^ u8::from(priority))
}
