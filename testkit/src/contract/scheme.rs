//! The contract of [`Scheme`]. A clause takes the scheme as its type.

use crypto::{Claim, FixedBytes, InvalidBytes, InvalidClaim, Scheme, SignatureError};

/// All clauses of the contract of `crypto::Scheme`, as tests of one scheme.
#[macro_export]
macro_rules! scheme_contract {
    ($scheme:ty) => {
        $crate::__clauses!(for $scheme, scheme:
            keys_and_signatures_are_functions_of_their_arguments
            a_signature_holds_for_its_key_and_message_alone
            a_changed_signature_does_not_hold
            keys_and_signatures_have_one_encoding
            a_batch_holds_exactly_when_each_claim_does);
    };
}

const MESSAGES: [&[u8]; 4] = [b"", b"message", b"massage", &[0; 1_000]];

/// The public key of a seed.
fn public<S: Scheme>(seed: u8) -> S::PublicKey {
    S::public(&S::secret(&[seed; 32]))
}

/// The signature of a seed's key over a message.
fn signature<S: Scheme>(seed: u8, message: &[u8]) -> S::Signature {
    S::sign(&S::secret(&[seed; 32]), message)
}

/// Equal seeds and messages give equal keys and signatures, others give others.
pub fn keys_and_signatures_are_functions_of_their_arguments<S: Scheme>() {
    let mut signatures = Vec::new();
    for seed in 1..=3 {
        assert_eq!(public::<S>(seed), public::<S>(seed));
        for message in MESSAGES {
            assert_eq!(signature::<S>(seed, message), signature::<S>(seed, message));
            signatures.push(signature::<S>(seed, message));
        }
    }
    let made = signatures.len();
    signatures.sort_unstable();
    signatures.dedup();
    assert_eq!(
        signatures.len(),
        made,
        "each key and message has a signature of its own"
    );
    assert!(public::<S>(1) != public::<S>(2), "each seed has a key of its own");
}

/// A signature proves nothing of another message, and nothing of another key.
pub fn a_signature_holds_for_its_key_and_message_alone<S: Scheme>() {
    for signed in MESSAGES {
        let signature = signature::<S>(1, signed);
        for (seed, message) in [1, 2]
            .into_iter()
            .flat_map(|seed| MESSAGES.map(|message| (seed, message)))
        {
            let expected = if (seed, message) == (1, signed) {
                Ok(())
            } else {
                Err(SignatureError::Invalid)
            };
            assert_eq!(S::verify(&public::<S>(seed), message, &signature), expected);
        }
    }
}

/// Whichever byte of a signature is changed, what decodes does not hold.
pub fn a_changed_signature_does_not_hold<S: Scheme>() {
    let (public, signature) = (public::<S>(1), signature::<S>(1, b"message"));
    for place in 0..S::Signature::LENGTH {
        let mut bytes = signature.as_ref().to_vec();
        bytes[place] ^= 1;
        if let Ok(changed) = S::Signature::from_slice(&bytes) {
            let refused = S::verify(&public, b"message", &changed);
            assert_eq!(refused, Err(SignatureError::Invalid), "byte {place}");
        }
    }
}

/// The bytes of a key or signature are its encoding, and only bytes of that length are one.
pub fn keys_and_signatures_have_one_encoding<S: Scheme>() {
    fn one_encoding<T: crypto::scheme::Material>(value: &T) {
        let bytes = value.as_ref();
        assert_eq!(bytes.len(), T::LENGTH);
        assert_eq!(T::from_slice(bytes).as_ref(), Ok(value));
        assert_eq!(bcs::to_bytes(value).expect("bytes encode"), bytes);
        assert_eq!(bcs::from_bytes::<T>(bytes).as_ref(), Ok(value));
        for wrong in [&bytes[1..], &[bytes, &[0]].concat(), &[]] {
            let length = InvalidBytes::Length {
                expected: T::LENGTH,
                found: wrong.len(),
            };
            assert_eq!(T::from_slice(wrong), Err(length));
            assert!(bcs::from_bytes::<T>(wrong).is_err());
        }
    }
    one_encoding(&public::<S>(1));
    one_encoding(&signature::<S>(1, b"message"));
}

/// A batch names the first claim that does not hold, and holds when there is none.
pub fn a_batch_holds_exactly_when_each_claim_does<S: Scheme>() {
    let (one, two) = (public::<S>(1), public::<S>(2));
    let (first, second) = (signature::<S>(1, b"message"), signature::<S>(2, b"second"));
    let good = Claim::<S> {
        public: &one,
        message: b"message",
        signature: &first,
    };
    let fine = Claim::<S> {
        public: &two,
        message: b"second",
        signature: &second,
    };
    let wrong = Claim::<S> {
        public: &two,
        message: b"message",
        signature: &second,
    };
    assert_eq!(S::verify_batch(&[]), Ok(()));
    assert_eq!(S::verify_batch(&[good, fine, good]), Ok(()));
    for bad in 0..3 {
        let mut claims = [good, fine, good];
        claims[bad] = wrong;
        assert_eq!(S::verify_batch(&claims), Err(InvalidClaim { index: bad }));
    }
    let two_bad = [good, wrong, wrong];
    assert_eq!(S::verify_batch(&two_bad), Err(InvalidClaim { index: 1 }));
}
