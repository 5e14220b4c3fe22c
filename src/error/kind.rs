//! Every kind of failure.

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident => $words:literal,)+) => {
        /// What kind of failure an [`Error`](super::Error) is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ErrorKind {
            /// Every kind there is, for bindings and tests that must cover them all.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The fixed sentence for this kind.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)+
                }
            }
        }
    };
}

kinds! {
    /// The vault is anchored, and no anchor was brought or it holds nothing of this vault: see
    /// [`Vault::unlock_restored`](crate::Vault::unlock_restored).
    AnchorMissing => "the vault's anchor is missing",
    /// The host cannot reach its anchor just now.
    AnchorUnavailable => "the anchor is temporarily unavailable",
    /// Whoever asked for a long operation stopped it. What was done before stays done.
    Cancelled => "the operation was cancelled",
    /// The record changed since it was read, or its client id is already taken by other content.
    Conflict => "the record was changed by someone else",
    /// A database file is not what SQLite wrote: a damaged page or a file of another kind.
    DatabaseDamaged => "a database file of the vault is damaged",
    /// A FHIR document is not well-formed JSON, has a member twice in one object or a number beyond
    /// what a 64-bit float holds, or has no resource where one must be.
    FhirMalformed => "the FHIR document is malformed",
    /// A FHIR document is nested deeper than the reader allows.
    FhirTooDeep => "the FHIR document is nested too deeply",
    /// A FHIR document is longer than the reader allows.
    FhirTooLarge => "the FHIR document is too large",
    /// A FHIR document holds more resources, or an object of it more members, than the reader allows.
    FhirTooMany => "the FHIR document holds too many resources or members",
    /// Neither copy of the vault's header can be read.
    HeaderDamaged => "the vault's header is damaged",
    /// An actor's name or purpose is longer than 256 bytes, or the reason for an emergency access is
    /// missing.
    InvalidActor => "the actor, the purpose or the reason is not valid",
    /// A paging cursor is not one this vault gave out for this query.
    InvalidCursor => "the cursor does not belong to this query",
    /// A request for emergency access is damaged, or is meant for another contact's key.
    InvalidEmergencyRequest => "the request for emergency access is not valid",
    /// The evidence of an audit trail is damaged, or is meant for another auditor's key.
    InvalidEvidence => "the evidence of the audit trail is not valid",
    /// A limit of a policy is outside its bounds, or not a whole number of seconds.
    InvalidPolicy => "a limit of the policy is outside the allowed range",
    /// A contact's or an auditor's public key is no X25519 key that anything can be sealed to.
    InvalidPublicKey => "the public key is not valid",
    /// A field of a record is missing, out of range or too long.
    InvalidRecord => "a field of the record is not valid",
    /// The operating system refused a file operation for a reason that has no kind of its own.
    Io => "a file operation failed",
    /// Argon2id parameters below the floor or above the ceiling, in a header or from the host.
    KdfParametersRefused => "the key derivation parameters are outside the allowed range",
    /// Removing this slot would leave nothing that can open the vault.
    LastSlot => "the last usable key slot cannot be removed",
    /// A lease is already open; end it before stepping up again.
    LeaseActive => "a lease is already open",
    /// The lease is over: its time or its reads are used up, or the vault was paused.
    LeaseExpired => "the lease is over",
    /// The operation touches priority documents and needs a lease from step-up authentication.
    LeaseRequired => "the operation needs step-up authentication",
    /// The session is locked: its keys are gone.
    Locked => "the session is locked",
    /// No slot of the vault is opened by this combination of factors.
    NoMatchingSlot => "no key slot takes these factors",
    /// There is no such record or slot.
    NotFound => "there is no such record or slot",
    /// There is not enough memory to stretch the passphrase, or for SQLite.
    OutOfMemory => "there is not enough memory",
    /// The passphrase is not UTF-8 text, or holds a control character.
    PassphraseNotText => "the passphrase is not text",
    /// The passphrase is on the list of those that are guessed first.
    PassphraseTooCommon => "the passphrase is too common",
    /// The passphrase is longer than 1,024 bytes.
    PassphraseTooLong => "the passphrase is too long",
    /// The passphrase has too few characters for the slot it is meant for.
    PassphraseTooShort => "the passphrase is too short",
    /// An operation of a JSON Patch does not fit the resource, or would change its type or id.
    PatchFailed => "the patch does not fit the resource",
    /// The vault is paused: its files are closed until it is resumed.
    Paused => "the vault is paused",
    /// A file or directory of the vault belongs to another user.
    PathForeignOwner => "a file of the vault belongs to another user",
    /// A file of the vault has a second name.
    PathIsHardLink => "a file of the vault has more than one name",
    /// A file or the directory of the vault is a symbolic link.
    PathIsSymlink => "a file of the vault is a symbolic link",
    /// A file or the directory of the vault can be reached by other users.
    PathLooseMode => "a file of the vault is open to other users",
    /// A directory above the vault can be written by other users.
    PathWritableParent => "a directory above the vault can be written by other users",
    /// A name in the vault is not a regular file, or the vault is not a directory.
    PathWrongType => "a file of the vault is not a regular file",
    /// The operating system gave no random bytes.
    RandomUnavailable => "the operating system gave no random bytes",
    /// The directory or file system cannot be written.
    ReadOnly => "the vault cannot be written",
    /// A recovery or emergency code has a typing error: its checksum does not match.
    RecoveryCodeMistyped => "the code has a typing error",
    /// The code typed back is not the one that was shown.
    RecoveryNotConfirmed => "the code typed back is not the one shown",
    /// The vault, or a part of it, is older than what was anchored: an older copy was put back.
    RollbackDetected => "the vault is older than it was",
    /// The search of a conditional write finds more than one resource.
    SearchAmbiguous => "the condition finds more than one resource",
    /// A search string is not one: its type or a parameter is not known, or a value is not of the
    /// parameter's kind. [`Error::search_parameter`](super::Error::search_parameter) says which, where it is a known one.
    SearchInvalid => "the search is not valid",
    /// Resources that are there are not yet found by a search parameter that was added:
    /// [`FhirStore::index`](crate::FhirStore::index) goes on with that.
    SearchPending => "the search parameter is still being indexed",
    /// A search asks for something of FHIR that this version does not do.
    SearchUnsupported => "the search is not supported",
    /// A session of this vault is already open; clone that one.
    SessionActive => "the vault is already unlocked",
    /// The person or the platform cancelled the release of the share.
    ShareCancelled => "the release of the device share was cancelled",
    /// The platform destroyed the key that guards the share; recover and enrol again.
    ShareInvalidated => "the device share was invalidated",
    /// The host's share did not do what its contract says: wrong length, or not the same twice.
    ShareMisbehaved => "the device share broke its contract",
    /// The platform has no key for this slot.
    ShareMissing => "the device share is missing",
    /// The share cannot be released just now: the device is locked or the server is out of reach.
    ShareUnavailable => "the device share is temporarily unavailable",
    /// The slot failed ten times in a row, and opens nothing any more: recover, or replace it from
    /// another slot.
    SlotDisabled => "the key slot is disabled after too many failed attempts",
    /// The vault was made to end after ten failed attempts, and has.
    VaultWiped => "the vault was wiped after too many failed attempts",
    /// The vault already has the most key slots it may have (16), or waits for the most platform
    /// keys to be destroyed (32).
    SlotTableFull => "the vault has no room for another key slot",
    /// The SQLite in this process is older than 3.51.3, has its mutexes switched off or refuses a
    /// safety setting.
    SqliteUnsuitable => "the SQLite in this process is not suitable",
    /// The disk is full or a quota is used up.
    StorageFull => "there is no space left",
    /// Something that the vault's keys vouch for was changed.
    TamperDetected => "the vault was tampered with",
    /// The slot failed so often that the next attempt has to wait: [`Error::retry_after`](super::Error::retry_after) says how
    /// long.
    Throttled => "too many attempts failed, and the next has to wait",
    /// The factors are wrong or the slot is damaged; the two cannot be told apart.
    UnlockFailed => "the factors do not open the vault",
    /// The vault was written by a version this one does not know.
    UnsupportedFormat => "the vault's format is not supported",
    /// Another process, or another handle of this one, has the vault open.
    VaultBusy => "the vault is in use",
    /// A vault, or other files, are already there.
    VaultExists => "there is already something at this place",
    /// The vault's setting-up was interrupted before it held anything; create it again.
    VaultIncomplete => "the vault was never set up completely",
    /// There is no vault at this place.
    VaultNotFound => "there is no vault at this place",
}
