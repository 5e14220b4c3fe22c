//! Keys of people who are not the owner, and whose private half never comes to the vault.

/// What every such key can do. The key pair is `DeriveKeyPair` of 32 bytes (RFC 9180, section 7.1.3),
/// for X25519.
macro_rules! second_party {
    ($name:ident, $who:literal) => {
        impl $name {
            /// A new key.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::RandomUnavailable`](crate::ErrorKind::RandomUnavailable).
            pub fn make() -> $crate::error::Result<Self> {
                $crate::secret::SecretKey::make().map(Self)
            }

            /// The key that was kept; the caller wipes the original. The key pair is `DeriveKeyPair`
            /// of these bytes (RFC 9180, section 7.1.3).
            pub fn from_bytes(bytes: &[u8; 32]) -> Self {
                Self($crate::secret::SecretKey::copy_of(bytes))
            }

            #[doc = concat!("Lends the key's bytes, to be kept where only the ", $who, " reads them: in a key")]
            /// store, or in a record of Priority.
            ///
            /// # Security
            ///
            /// Whatever copies the bytes has the key.
            pub fn reveal<R>(&self, keep: impl FnOnce(&[u8; 32]) -> R) -> R {
                keep(self.0.expose())
            }

            /// The public half, for the owner of the vault.
            pub fn public_key(&self) -> [u8; 32] {
                $crate::sealing::public_key(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

pub(super) use second_party;
