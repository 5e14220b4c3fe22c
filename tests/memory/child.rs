//! The process that is searched: an app as careful as one should be.
//!
//! It keeps no secret longer than it must: what it is given it wipes, and what it makes up it makes
//! in place.

use std::path::PathBuf;

use vitalock::{
    Class, KeyShare, Passphrase, Purpose, Record, ShareError, ShareSink, Timestamp, Vault,
};
use zeroize::Zeroize as _;

use crate::canary::{self, Field, Wiped};
use crate::link::Link;

pub(crate) const SHAPE: &str = "VITALOCK_MEMORY_SHAPE";
pub(crate) const DIR: &str = "VITALOCK_MEMORY_DIR";
pub(crate) const SEED: &str = "VITALOCK_MEMORY_SEED";

/// Runs the shape that the environment names; nothing where it names none.
pub(crate) fn run() {
    let Ok(shape) = std::env::var(SHAPE) else {
        crate::data::tell("SKIPPED: this test is started by the others of its binary");
        return;
    };
    end_at_the_first_panic();
    let child = Child {
        link: Link::open(),
        dir: std::env::var_os(DIR).unwrap().into(),
        seed: std::env::var(SEED).unwrap().parse().unwrap(),
    };
    crate::shape(&shape)(&child);
    child.link.ask("done", &mut [0]);
}

/// A thread that panics would leave the others waiting for it.
#[expect(clippy::disallowed_methods, reason = "this process is the test's own")]
fn end_at_the_first_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::exit(101);
    }));
}

pub(crate) struct Child {
    pub(crate) link: Link,
    dir: PathBuf,
    seed: u64,
}

impl Child {
    /// Waits here until all of the memory has been searched for what `stage` forbids.
    pub(crate) fn stop(&self, stage: &str) {
        self.link.ask(&format!("stop {stage}"), &mut [0]);
    }

    /// Where the vault is.
    pub(crate) fn vault(&self) -> PathBuf {
        self.dir.join("vault")
    }

    pub(crate) fn open(&self) -> Vault {
        Vault::open(self.vault()).unwrap()
    }

    /// What a person types.
    pub(crate) fn typed(&self, name: &str) -> Wiped {
        let mut length = [0; 1];
        self.link.ask(&format!("length {name}"), &mut length);
        let mut typed = Wiped::zeroed(length[0].into());
        self.link.ask(&format!("secret {name}"), typed.bytes_mut());
        typed
    }

    pub(crate) fn words(&self, name: &str) -> Passphrase {
        Passphrase::new(self.typed(name).bytes()).unwrap()
    }

    /// A key store of the phone's: the other process is the hardware.
    pub(crate) fn host<'a>(&'a self, provider: &'static str) -> Host<'a> {
        Host {
            link: &self.link,
            provider,
        }
    }

    /// What the phone releases for the everyday slot: a secret like a key.
    pub(crate) fn share_of_primary(&self) -> Wiped {
        let header = crate::spec::Header::read(&self.vault());
        let slot = header.slots_of("primary").next().unwrap();
        let share = slot.wraps[0].share.as_ref().unwrap();
        let (blob, challenge) = (hex(&share.blob), hex(&share.challenge));
        let mut released = Wiped::zeroed(32);
        let line = format!("release standard {blob} {challenge}");
        self.link.ask(&line, released.bytes_mut());
        released
    }

    pub(crate) fn canary(&self, class: Class, field: Field) -> Wiped {
        let mut text = Wiped::zeroed(canary::LENGTH);
        canary::fill(self.seed, code(class), field, text.bytes_mut());
        text
    }

    pub(crate) fn kind(&self, class: Class) -> Wiped {
        self.canary(class, Field::Kind)
    }

    pub(crate) fn subject(&self, class: Class) -> Wiped {
        self.canary(class, Field::Subject)
    }

    /// A body of canaries, in a vector without room to spare.
    pub(crate) fn body(&self, class: Class, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        canary::fill(self.seed, code(class), Field::Body, &mut body);
        body
    }

    pub(crate) fn is_body(&self, class: Class, body: &[u8]) -> bool {
        let mut right = self.canary(class, Field::Body);
        let equal = |chunk: &[u8]| chunk == &right.bytes()[..chunk.len()];
        let same = body.chunks(canary::LENGTH).all(equal);
        right.bytes_mut().zeroize();
        same
    }

    /// A record with every field, the `number`th of its class.
    pub(crate) fn record(&self, class: Class, number: u32, length: usize) -> Record {
        self.record_about(class, Field::Subject, number, length)
    }

    pub(crate) fn record_about(
        &self,
        class: Class,
        subject: Field,
        number: u32,
        length: usize,
    ) -> Record {
        let mut client = Wiped::zeroed(canary::LENGTH + 8);
        canary::fill(self.seed, code(class), Field::Client, client.bytes_mut());
        for (at, byte) in client.bytes_mut()[canary::LENGTH..].iter_mut().enumerate() {
            *byte = b'a' + (number >> (4 * at) & 15) as u8;
        }
        Record::new(self.kind(class).text(), self.body(class, length))
            .class(class)
            .subject(self.canary(class, subject).text())
            .effective(Timestamp::from_micros(i64::from(number)))
            .content_type(self.canary(class, Field::ContentType).text())
            .device(self.canary(class, Field::Device).text())
            .app(self.canary(class, Field::App).text())
            .client(client.text(), 1)
    }
}

fn code(class: Class) -> u8 {
    match class {
        Class::Emergency => 1,
        Class::Standard => 2,
        _ => 3,
    }
}

/// A key store whose keys are in the other process.
pub(crate) struct Host<'a> {
    link: &'a Link,
    provider: &'static str,
}

fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Standard => "standard",
        Purpose::Priority => "priority",
    }
}

fn hex(bytes: &[u8]) -> String {
    crate::spec::hex(bytes)
}

impl KeyShare for Host<'_> {
    fn provider(&self) -> &str {
        self.provider
    }

    fn enrol(&self, _purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        let mut blob = vec![0; 16];
        self.link.ask("enrol", &mut blob);
        Ok(blob)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let mut share = Wiped::zeroed(32);
        let (purpose, blob, challenge) = (name(purpose), hex(blob), hex(challenge));
        let line = format!("release {purpose} {blob} {challenge}");
        self.link.ask(&line, share.bytes_mut());
        // All zero is the key store's refusal.
        if share.bytes().iter().all(|byte| *byte == 0) {
            return Err(ShareError::Cancelled);
        }
        sink.fill(share.bytes());
        Ok(())
    }

    fn destroy(&self, _purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        self.link.ask(&format!("destroy {}", hex(blob)), &mut [0]);
        Ok(())
    }
}
