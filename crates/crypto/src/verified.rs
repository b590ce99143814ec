//! Proof, in the type, that a signature was checked.

use std::ops::Deref;

use serde::Serialize;

use crate::address::Address;
use crate::authority;
use crate::bitmap::Bitmap;
use crate::bls::{BlsAggregate, BlsPublicKey};
use crate::intent::IntentMessage;
use crate::scheme::{Claim, Scheme, SignatureError};
use crate::user::UserSignature;

/// A value whose signature was checked. There is no way to one but the constructors here, none to change the value
/// inside, and no decoding: what comes from a disk or a peer is checked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verified<T>(T);

/// A value that carries its signature.
///
/// Contract: `message` is a function of the parts of the value that the signature is meant to protect, all of them,
/// and starts with an [`Intent`](crate::Intent).
pub trait Signed<S: Scheme> {
    /// The bytes that were signed.
    fn message(&self) -> Vec<u8>;

    /// The signature.
    fn signature(&self) -> &S::Signature;
}

impl<T> Verified<T> {
    /// Checks the signature that the value carries.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn by_key<S: Scheme>(value: T, public: &S::PublicKey) -> Result<Self, SignatureError>
    where
        T: Signed<S>,
    {
        S::verify(public, &value.message(), value.signature())?;
        Ok(Self(value))
    }

    /// Checks many in one batch; the answer for each stands at its place. One false signature costs the others a
    /// check of their own, not their place.
    pub fn by_keys<S: Scheme>(values: Vec<(T, S::PublicKey)>) -> Vec<Result<Self, SignatureError>>
    where
        T: Signed<S>,
    {
        let messages: Vec<_> = values.iter().map(|(value, _)| value.message()).collect();
        let claims: Vec<_> = values
            .iter()
            .zip(&messages)
            .map(|((value, public), message)| Claim::<S> {
                public,
                message,
                signature: value.signature(),
            })
            .collect();
        let verdicts: Vec<_> = match S::verify_batch(&claims) {
            Ok(()) => vec![Ok(()); claims.len()],
            Err(_) => claims
                .iter()
                .map(|claim| S::verify(claim.public, claim.message, claim.signature))
                .collect(),
        };
        values
            .into_iter()
            .zip(verdicts)
            .map(|((value, _), verdict)| verdict.map(|()| Self(value)))
            .collect()
    }

    /// Checks that a certificate over the value holds in `epoch`: the signers that `signers` names among `keys`
    /// weigh at least `threshold`, and `aggregate` is theirs.
    ///
    /// # Errors
    /// [`SignatureError::UnknownSigner`], [`SignatureError::BelowThreshold`], [`SignatureError::Invalid`].
    pub fn by_quorum(
        message: IntentMessage<T>,
        epoch: u64,
        keys: &[(BlsPublicKey, u64)],
        signers: &Bitmap,
        aggregate: &BlsAggregate,
        threshold: u64,
    ) -> Result<Self, SignatureError>
    where
        T: Serialize,
    {
        authority::verify_quorum(&message, epoch, keys, signers, aggregate, threshold)?;
        Ok(Self(message.value))
    }

    /// Checks that the user with this address signed the message.
    ///
    /// # Errors
    /// As [`UserSignature::verify`].
    pub fn by_user(
        message: IntentMessage<T>,
        signature: &UserSignature,
        signer: Address,
    ) -> Result<Self, SignatureError>
    where
        T: Serialize,
    {
        signature.verify(&message, signer)?;
        Ok(Self(message.value))
    }

    /// The value, without its proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ed25519::{Ed25519Scheme, Ed25519SecretKey, Ed25519Signature};
    use crate::intent::{Intent, Scope};

    #[derive(Clone, Debug, PartialEq)]
    struct Note(u8, Ed25519Signature);

    impl Signed<Ed25519Scheme> for Note {
        fn message(&self) -> Vec<u8> {
            vec![self.0]
        }

        fn signature(&self) -> &Ed25519Signature {
            &self.1
        }
    }

    fn note(secret: &Ed25519SecretKey, number: u8) -> Note {
        Note(number, secret.sign(&[number]))
    }

    #[test]
    fn one_false_signature_of_a_batch_falls_alone() {
        let secret = Ed25519SecretKey::from_seed(&[1; 32]);
        let forged = Note(9, note(&secret, 2).1);
        let notes = [note(&secret, 1), forged, note(&secret, 3)];
        let checked = Verified::by_keys::<Ed25519Scheme>(notes.map(|note| (note, secret.public())).to_vec());
        let numbers: Vec<_> = checked
            .into_iter()
            .map(|note| note.map(|note| note.0.0))
            .collect();
        assert_eq!(numbers, [Ok(1), Err(SignatureError::Invalid), Ok(3)]);
    }

    #[test]
    fn a_value_under_another_key_is_not_verified() {
        let (one, two) = (
            Ed25519SecretKey::from_seed(&[1; 32]),
            Ed25519SecretKey::from_seed(&[2; 32]),
        );
        let value = note(&one, 1);
        assert_eq!(
            Verified::by_key::<Ed25519Scheme>(value.clone(), &two.public()),
            Err(SignatureError::Invalid)
        );
        assert_eq!(
            *Verified::by_key::<Ed25519Scheme>(value.clone(), &one.public()).unwrap(),
            value
        );
    }

    #[test]
    fn a_message_is_verified_by_its_user_only() {
        let secret = Ed25519SecretKey::from_seed(&[1; 32]);
        let me = Address::from(&secret.public());
        let message = |value: u8| IntentMessage::new(Intent::soma(Scope::TransactionData), value);
        let signature = UserSignature::sign(&message(7), &secret);
        assert_eq!(
            Verified::by_user(message(7), &signature, me).map(Verified::into_inner),
            Ok(7)
        );
        assert_eq!(
            Verified::by_user(message(8), &signature, me),
            Err(SignatureError::Invalid)
        );
    }
}
