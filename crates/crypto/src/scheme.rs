//! What consensus asks of a signature scheme.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::Address;
use crate::bytes::FixedBytes;

/// A signature scheme, chosen at compile time. The real ones are [`Ed25519Scheme`](crate::Ed25519Scheme) and
/// [`BlsScheme`](crate::BlsScheme); the simulator has one that is as cheap as a keyed hash.
///
/// Contract, for every implementation, as a suite in `testkit::contract::scheme`:
/// - `secret`, `public` and `sign` are functions of their arguments: no randomness, no state;
/// - `verify(public(s), m, sign(s, m))` holds, and whoever lacks `s` cannot make it hold;
/// - decoding a key or a signature is total and canonical, and costs no more than one `verify`;
/// - `verify_batch` accepts exactly when `verify` accepts every claim.
pub trait Scheme: Copy + Clone + Debug + Default + Eq + Send + Sync + 'static {
    /// What `sign` costs, once.
    const SIGN_WORK: Work;
    /// What `verify` costs; a batch costs as many units as it has claims.
    const VERIFY_WORK: Work;

    /// Who signed.
    type PublicKey: Material;
    /// Who can sign. Not encodable: it leaves a process only through [`keytext`](crate::keytext).
    type SecretKey: Send + Sync + 'static;
    /// That it was signed.
    type Signature: Material;

    /// The secret key that the seed determines. The seed must be uniform, and used for one scheme only.
    fn secret(seed: &[u8; 32]) -> Self::SecretKey;

    /// The public half.
    fn public(secret: &Self::SecretKey) -> Self::PublicKey;

    /// Signs the message as it is; domain separation is the caller's, by [`Intent`](crate::Intent).
    fn sign(secret: &Self::SecretKey, message: &[u8]) -> Self::Signature;

    /// Whether the holder of `public` signed `message`.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    fn verify(
        public: &Self::PublicKey,
        message: &[u8],
        signature: &Self::Signature,
    ) -> Result<(), SignatureError>;

    /// Whether all claims hold. An empty batch does.
    ///
    /// # Errors
    /// [`InvalidClaim`], naming the first one that does not hold.
    fn verify_batch(claims: &[Claim<'_, Self>]) -> Result<(), InvalidClaim> {
        verify_each(claims)
    }
}

/// [`Scheme::verify_batch`] without a batch: one by one, to the first claim that does not hold.
///
/// # Errors
/// [`InvalidClaim`].
pub fn verify_each<S: Scheme>(claims: &[Claim<'_, S>]) -> Result<(), InvalidClaim> {
    for (index, claim) in claims.iter().enumerate() {
        S::verify(claim.public, claim.message, claim.signature).map_err(|_| InvalidClaim { index })?;
    }
    Ok(())
}

/// What keys and signatures of every scheme can do.
pub trait Material:
    FixedBytes + Clone + Ord + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Material for T where
    T: FixedBytes + Clone + Ord + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// One signature of a batch.
#[derive(Debug)]
pub struct Claim<'a, S: Scheme> {
    /// Who is said to have signed.
    pub public: &'a S::PublicKey,
    /// What is said to have been signed.
    pub message: &'a [u8],
    /// The proof.
    pub signature: &'a S::Signature,
}

impl<S: Scheme> Clone for Claim<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scheme> Copy for Claim<'_, S> {}

/// A claim of a batch does not hold: drop it, and check the rest again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("claim {index} of the batch does not hold")]
pub struct InvalidClaim {
    /// Position of the first claim that does not hold.
    pub index: usize,
}

/// What a node charges to its processor pool for one unit. The caller maps it to its own cost table: this crate
/// knows no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// One ed25519 signature made.
    Ed25519Sign,
    /// One ed25519 signature checked.
    Ed25519Verify,
    /// One BLS signature made.
    BlsSign,
    /// One BLS signature checked, single or aggregate.
    BlsVerify,
}

/// Why a signature proves nothing. The sender is at fault; asking again cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key did not sign these bytes.
    #[error("the signature does not match key and message")]
    Invalid,
    /// The signature is one of somebody else.
    #[error("signed by {found} instead of {expected}")]
    WrongSigner {
        /// Who should have signed.
        expected: Address,
        /// Who did.
        found: Address,
    },
    /// Too few of the keys signed.
    #[error("signers weigh {weight}, the threshold is {threshold}")]
    BelowThreshold {
        /// Sum over the signers.
        weight: u64,
        /// What was asked for.
        threshold: u64,
    },
    /// The bitmap names a signer beyond the last key, or nobody.
    #[error("signers do not fit the {keys} keys")]
    UnknownSigner {
        /// How many keys there are.
        keys: usize,
    },
}
