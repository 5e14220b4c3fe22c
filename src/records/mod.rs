//! Records: what an app puts in and gets back, and what it may ask.
//!
//! **Does** hold a record's fields and body, encode them for sealing, and say what to look for.
//! **Never** stores or seals anything itself.
//! **Format** docs/spec/03-sealed-record.md, "What a record's envelope holds".

mod batch;
mod body;
mod codec;
mod cursor;
mod query;
mod quota;
mod record;

pub use batch::{Batch, Outcome, Stored};
pub use body::Body;
pub use cursor::Cursor;
pub use query::Query;
pub use quota::Quota;
pub use record::Record;

pub(crate) use batch::Change;
pub(crate) use codec::{decode, encode_header};
pub(crate) use cursor::Mark;
pub(crate) use record::{NO_EFFECTIVE_TIME, StoredAs};
