//! Keys, digests, signatures, multisig, intents and authenticated encryption.

pub mod digest;

pub use digest::Digest;
