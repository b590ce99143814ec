//! Keys, digests, signatures, multisig, intents and authenticated encryption: a thin typed layer over well-kept
//! libraries, with no cryptography of its own but the sum in [`multiset`].
//!
//! Not here: who may sign what (`types` knows committees, `ledger` knows owners), where keys are stored (`cli`),
//! and any source of randomness: every secret is made from a seed that the caller gives.
//!
//! Invariants:
//! - Decoding is total and canonical: any bytes give a value or an error, and a value encodes to the bytes it was
//!   decoded from.
//! - A decoded BLS public key lies in the prime-order subgroup and is not the identity.
//! - A [`Verified`] value went through a check of this crate.
//! - Secret bytes are never printed, and the types that hold them wipe them when dropped. Not wiped is what the
//!   libraries below copy on the way: of a key's text, and of the seed that a BLS key is drawn from.
//!
//! Modules in reading order: [`bytes`], [`digest`], [`multiset`], [`scheme`], [`ed25519`], [`bls`], [`bitmap`],
//! [`verified`], [`intent`], [`address`], [`user`], [`multisig`], [`authority`], [`keytext`], [`segments`].

pub mod address;
pub mod authority;
pub mod bitmap;
pub mod bls;
pub mod bytes;
pub mod digest;
pub mod ed25519;
pub mod intent;
pub mod keytext;
pub mod multiset;
pub mod multisig;
pub mod scheme;
pub mod segments;
pub mod user;
pub mod verified;

pub use address::{Address, PublicKey};
pub use authority::AuthoritySignature;
pub use bitmap::Bitmap;
pub use bls::{BlsAggregate, BlsPublicKey, BlsScheme, BlsSecretKey, BlsSignature};
pub use bytes::{FixedBytes, InvalidBytes};
pub use digest::{Digest, Hasher};
pub use ed25519::{Ed25519PublicKey, Ed25519Scheme, Ed25519SecretKey, Ed25519Signature};
pub use intent::{App, Intent, IntentMessage, Scope};
pub use multiset::MultisetHash;
pub use multisig::{MultiSig, MultiSigKey};
pub use scheme::{Claim, InvalidClaim, Scheme, SignatureError, Work};
pub use user::UserSignature;
pub use verified::{Signed, Verified};
