//! A host's key store that fails, lies or panics where it is told to.

use std::sync::Mutex;

use vitalock::{KeyShare, Purpose, ShareError, ShareSink};

use crate::support::Keystore;

/// How a key store breaks its contract.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// Another share at each call.
    Changing,
    DestroysNothing,
    EmptyBlob,
    /// The enrolment or release with this number, from now on and counted from zero, fails.
    FailsAt(usize, ShareError),
    FillsNothing,
    LongBlob,
    PanicsAtEnrolment,
    PanicsAtRelease,
    /// A share that is too long.
    TooLong,
    TooShort,
    Zero,
}

pub(crate) struct Unruly {
    pub(crate) inner: Keystore,
    state: Mutex<(Option<Manner>, usize)>,
}

impl Unruly {
    pub(crate) fn new(provider: &'static str) -> Self {
        Self {
            inner: Keystore::named(provider),
            state: Mutex::default(),
        }
    }

    pub(crate) fn behave(&self, manner: impl Into<Option<Manner>>) {
        *self.state.lock().unwrap() = (manner.into(), 0);
    }

    /// The manner, and how many calls came before this one.
    fn call(&self) -> (Option<Manner>, usize) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        (state.0, state.1 - 1)
    }
}

impl KeyShare for Unruly {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        match self.call() {
            (Some(Manner::PanicsAtEnrolment), _) => panic!("the host panics"),
            (Some(Manner::FailsAt(at, error)), call) if at == call => Err(error),
            (Some(Manner::EmptyBlob), _) => Ok(Vec::new()),
            (Some(Manner::LongBlob), _) => Ok(vec![7; 1025]),
            _ => self.inner.enrol(purpose),
        }
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        match self.call() {
            (Some(Manner::PanicsAtRelease), _) => panic!("the host panics"),
            (Some(Manner::FailsAt(at, error)), call) if at == call => Err(error),
            (Some(Manner::FillsNothing), _) => Ok(()),
            (Some(Manner::TooShort), _) => {
                sink.fill(&[7; 31]);
                Ok(())
            }
            (Some(Manner::TooLong), _) => {
                sink.fill(&[7; 33]);
                Ok(())
            }
            (Some(Manner::Zero), _) => {
                sink.fill(&[0; 32]);
                Ok(())
            }
            (Some(Manner::Changing), call) => {
                sink.fill(&[u8::try_from(call % 255).unwrap() + 1; 32]);
                Ok(())
            }
            _ => self.inner.release(purpose, blob, challenge, sink),
        }
    }

    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        match self.state.lock().unwrap().0 {
            Some(Manner::DestroysNothing) => Err(ShareError::TemporarilyUnavailable),
            _ => self.inner.destroy(purpose, blob),
        }
    }
}
