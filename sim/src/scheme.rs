//! The simulation's signature scheme: as cheap as a keyed hash, unforgeable by anything that goes through [`Scheme`],
//! with one signature per key and message.
//!
//! It is no signature scheme outside of a simulation: whoever reads this file can forge. It lives in this crate, which
//! no production build links.

use std::cell::Cell;

use crypto::{FixedBytes, InvalidBytes, Scheme, SignatureError, Work};
use serde::{Deserialize, Serialize};

/// A tag keyed by the public key and a constant of this module that no protocol code can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimScheme;

const KEY_DOMAIN: &str = "soma simulation: public key of a secret seed";
const TAG_DOMAIN: &str = "soma simulation: tag under a public key";

thread_local! {
    static CALLS: Cell<Calls> = const { Cell::new(Calls { signed: 0, verified: 0 }) };
}

/// How often the scheme was used by this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Signatures made.
    pub signed: u64,
    /// Signatures checked.
    pub verified: u64,
}

/// The calls of this thread so far.
pub fn calls() -> Calls {
    CALLS.get()
}

/// A key that only its seed can make.
pub struct SimSecretKey(SimPublicKey);

macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 32]);

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl FixedBytes for $name {
            const LENGTH: usize = 32;

            fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
                crypto::bytes::to_array(bytes).map(Self)
            }
        }
    };
}

fixed!(
    /// The public half.
    SimPublicKey
);
fixed!(
    /// A tag over a message.
    SimSignature
);

fn tag(public: &SimPublicKey, message: &[u8]) -> SimSignature {
    let mut hasher = blake3::Hasher::new_derive_key(TAG_DOMAIN);
    hasher.update(&public.0);
    hasher.update(message);
    SimSignature(*hasher.finalize().as_bytes())
}

impl Scheme for SimScheme {
    const SIGN_WORK: Work = Work::Ed25519Sign;
    const VERIFY_WORK: Work = Work::Ed25519Verify;

    type PublicKey = SimPublicKey;
    type SecretKey = SimSecretKey;
    type Signature = SimSignature;

    fn secret(seed: &[u8; 32]) -> SimSecretKey {
        SimSecretKey(SimPublicKey(blake3::derive_key(KEY_DOMAIN, seed)))
    }

    fn public(secret: &SimSecretKey) -> SimPublicKey {
        secret.0
    }

    fn sign(secret: &SimSecretKey, message: &[u8]) -> SimSignature {
        CALLS.set(Calls {
            signed: CALLS.get().signed + 1,
            ..CALLS.get()
        });
        tag(&secret.0, message)
    }

    fn verify(public: &SimPublicKey, message: &[u8], signature: &SimSignature) -> Result<(), SignatureError> {
        CALLS.set(Calls {
            verified: CALLS.get().verified + 1,
            ..CALLS.get()
        });
        if tag(public, message) == *signature {
            Ok(())
        } else {
            Err(SignatureError::Invalid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_for_its_key_and_message_alone_and_calls_are_counted() {
        let (one, two) = (SimScheme::secret(&[1; 32]), SimScheme::secret(&[2; 32]));
        let before = calls();
        let signature = SimScheme::sign(&one, b"message");
        assert_eq!(
            SimScheme::verify(&SimScheme::public(&one), b"message", &signature),
            Ok(())
        );
        for (key, message) in [(&two, &b"message"[..]), (&one, b"massage")] {
            let refused = SimScheme::verify(&SimScheme::public(key), message, &signature);
            assert_eq!(refused, Err(SignatureError::Invalid));
        }
        let after = calls();
        assert_eq!(
            (after.signed - before.signed, after.verified - before.verified),
            (1, 3)
        );
    }
}
