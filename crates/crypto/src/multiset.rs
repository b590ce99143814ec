//! The hash of a set that changes: state roots. What a commit adds and takes away is all there is to hash, in any order.
//!
//! It is LtHash (Bellare and Micciancio, 1997; Lewi, Kim, Maykov and Weis, "Securing Update Propagation with Homomorphic
//! Hashing", 2019) with 1,024 lanes of 16 bits: the sum, lane by lane and modulo 2^16, of the terms of the elements. The terms of one
//! are the first 2,048 bytes of the ChaCha12 stream (RFC 8439's block function with 12 rounds, counter and nonce zero) under the key
//! `BLAKE3("MultisetHash::" ‖ element)`, read as little-endian numbers. Two sets with one hash would solve a short-integer-solution
//! problem of these dimensions, which the second paper puts at 200 bits of work or more.
//!
//! The elliptic-curve multiset hash of `fastcrypto` (Ristretto) has a state of 32 bytes, but takes 12.6 µs for an insertion of 32
//! bytes, against 0.9 µs, on one core of an EPYC with AVX2. There BLAKE3 extended to 2,048 bytes takes 2.7 µs, one block at a time:
//! it extends several at once with AVX-512 only, and ChaCha with AVX2.
//!
//! Invariant, which is the caller's to keep: in the whole sum each element was inserted as often as it was removed, or once
//! more. No hash shows whether that holds: removing what was never inserted gives the hash of no set, and 2^16 insertions of one
//! element cancel.

use std::fmt;

use chacha20::ChaCha12;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};

use crate::bytes::base64;
use crate::digest::Digest;

/// Lanes of two bytes.
const LANES: usize = 1024;
const BYTES: usize = 2 * LANES;

/// The hash of a set of byte strings: 1,024 lanes of 16 bits, little endian. BCS: these 2,048 bytes, all of which are values.
/// Text: base64.
///
/// A part of a set has a hash too, and so has a part of its changes: workers may each keep their own, to
/// [`unite`](Self::unite) them later.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultisetHash(#[serde(with = "base64")] [u8; BYTES]);

impl MultisetHash {
    /// The hash of nothing.
    pub const EMPTY: Self = Self([0; BYTES]);

    /// Adds an element that the set does not have.
    pub fn insert(&mut self, element: &[u8]) {
        self.combine(&expand(element), u16::wrapping_add);
    }

    /// Takes away an element that was inserted, here or in a part that is united with this one.
    pub fn remove(&mut self, element: &[u8]) {
        self.combine(&expand(element), u16::wrapping_sub);
    }

    /// Adds what the other part has added, and takes away what it has taken away.
    pub fn unite(&mut self, other: &Self) {
        self.combine(&other.0, u16::wrapping_add);
    }

    /// `H(MultisetHash:: ‖ BCS)`, which stands for the set.
    pub fn digest(&self) -> Digest {
        Digest::of_value("MultisetHash", self)
    }

    fn combine(&mut self, terms: &[u8; BYTES], operation: impl Fn(u16, u16) -> u16) {
        let (lanes, _) = self.0.as_chunks_mut::<2>();
        let (terms, _) = terms.as_chunks::<2>();
        for (lane, term) in lanes.iter_mut().zip(terms) {
            *lane = operation(u16::from_le_bytes(*lane), u16::from_le_bytes(*term)).to_le_bytes();
        }
    }
}

impl Default for MultisetHash {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for MultisetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MultisetHash({})", self.digest())
    }
}

/// What an element adds to the lanes.
fn expand(element: &[u8]) -> [u8; BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"MultisetHash::");
    hasher.update(element);
    let key = hasher.finalize();
    let mut terms = [0; BYTES];
    ChaCha12::new(key.as_bytes().into(), &[0; 12].into()).apply_keystream(&mut terms);
    terms
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::bytes::hex;

    fn hash_of<E: AsRef<[u8]>>(elements: &[E]) -> MultisetHash {
        let mut hash = MultisetHash::EMPTY;
        elements.iter().for_each(|element| hash.insert(element.as_ref()));
        hash
    }

    // `fixtures/draw/multiset.py` wrote this file. A change of it is a change of the protocol.
    #[test]
    fn golden_hashes_are_those_of_the_script() {
        let mut text = String::new();
        let object: Vec<u8> = (0..72).collect();
        let many = (0..100).map(|i| vec![i; usize::from(i)]).collect();
        for set in [
            vec![],
            vec![vec![]],
            vec![b"a".to_vec()],
            vec![b"a".to_vec(), b"b".to_vec(), object],
            many,
        ] {
            let hash = hash_of(&set);
            let (lanes, digest) = (hex::encode(&hash.0[..16]), hex::encode(hash.digest().as_bytes()));
            writeln!(text, "{}: {} {}", set.len(), &lanes[2..], &digest[2..]).unwrap();
        }
        assert_eq!(text, include_str!("../../../fixtures/draw/multiset.txt"));
    }

    #[test]
    fn every_lane_wraps_alone() {
        let mut hash = MultisetHash([0xff; BYTES]);
        hash.unite(&MultisetHash([[1, 0]; LANES].as_flattened().try_into().unwrap()));
        assert_eq!(hash, MultisetHash::EMPTY);
    }

    #[test]
    fn an_element_twice_is_not_an_element_once() {
        assert_ne!(hash_of(&["a", "a"]), hash_of(&["a"]));
        assert_ne!(hash_of(&["a", "a"]), MultisetHash::EMPTY);
        // Nor are elements their concatenation.
        assert_ne!(hash_of(&["a", "b"]), hash_of(&["ab"]));
        assert_ne!(hash_of(&[""]), MultisetHash::EMPTY);
    }

    #[test]
    fn a_removal_may_precede_the_union_with_what_it_removes() {
        let (mut earlier, mut later) = (hash_of(&["a", "b"]), MultisetHash::EMPTY);
        later.remove(b"a");
        later.insert(b"c");
        earlier.unite(&later);
        assert_eq!(earlier, hash_of(&["b", "c"]));
    }

    #[test]
    fn bytes_of_another_length_are_no_hash() {
        for length in [0, 1, BYTES - 1, BYTES + 1] {
            assert!(
                bcs::from_bytes::<MultisetHash>(&vec![7; length]).is_err(),
                "{length}"
            );
        }
    }

    /// Few and short, so that elements and whole sets repeat.
    fn elements() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let element = prop_oneof![
            proptest::collection::vec(0..2u8, 0..2),
            proptest::collection::vec(any::<u8>(), 72)
        ];
        proptest::collection::vec(element, 0..4)
    }

    fn in_two_orders() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<Vec<u8>>)> {
        elements().prop_flat_map(|elements| (Just(elements.clone()), Just(elements).prop_shuffle()))
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter((elements, other) in in_two_orders()) {
            prop_assert_eq!(hash_of(&elements), hash_of(&other));
        }

        #[test]
        fn what_is_inserted_and_removed_was_never_there(before in elements(), changes in elements()) {
            let mut hash = hash_of(&before);
            changes.iter().for_each(|element| hash.insert(element));
            changes.iter().for_each(|element| hash.remove(element));
            prop_assert_eq!(&hash, &hash_of(&before));
            changes.iter().for_each(|element| hash.remove(element));
            changes.iter().for_each(|element| hash.insert(element));
            prop_assert_eq!(hash, hash_of(&before));
        }

        #[test]
        fn a_union_is_the_hash_of_both(one in elements(), other in elements()) {
            let mut union = hash_of(&one);
            union.unite(&hash_of(&other));
            prop_assert_eq!(union, hash_of(&[one, other].concat()));
        }

        #[test]
        fn other_elements_have_another_hash(one in elements(), other in elements()) {
            let sorted = |elements: &[Vec<u8>]| {
                let mut elements = elements.to_vec();
                elements.sort();
                elements
            };
            let (equal, hashes) = (sorted(&one) == sorted(&other), [hash_of(&one), hash_of(&other)]);
            prop_assert_eq!(hashes[0] == hashes[1], equal);
            prop_assert_eq!(hashes[0].digest() == hashes[1].digest(), equal);
        }

        #[test]
        fn any_bytes_of_the_right_length_are_a_hash(bytes in proptest::collection::vec(any::<u8>(), BYTES)) {
            let hash: MultisetHash = bcs::from_bytes(&bytes).unwrap();
            prop_assert_eq!(bcs::to_bytes(&hash).unwrap(), bytes);
            let text = serde_json::to_string(&hash).unwrap();
            prop_assert_eq!(serde_json::from_str::<MultisetHash>(&text).unwrap(), hash);
        }
    }
}
