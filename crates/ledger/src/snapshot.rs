//! All objects as a list under one digest, and proofs of what is current in it.
//!
//! The list is in parts, the *chunks*, by the first bits of the objects' ids, so that only those are hashed again in which something
//! has changed. Each chunk has a tree over the references of its objects, ascending by id, and the snapshot one over the roots of
//! all chunks. The chunk of an id is known, so two neighbours in it show that nothing stands between them.

use crypto::Digest;
use serde::{Deserialize, Serialize};
use types::merkle::{Proof, Tree};
use types::{ObjectId, ObjectRef};

/// How many chunks there are. Of a million objects, one has 244.
pub const CHUNKS: u16 = 1 << CHUNK_BITS;

const CHUNK_BITS: u32 = 12;

/// The chunk in which an id has its place: its first twelve bits.
pub fn chunk_of(id: &ObjectId) -> u16 {
    let [high, low, ..] = *id.as_bytes();
    u16::from_be_bytes([high, low]) >> (u16::BITS - CHUNK_BITS)
}

/// The lowest id of a chunk. All ids from there to the next one's are in it.
pub fn lowest_of(chunk: u16) -> ObjectId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&(chunk << (u16::BITS - CHUNK_BITS)).to_be_bytes());
    ObjectId::new(id)
}

/// The root of a chunk with these objects, ascending by id.
pub fn chunk_root(references: &[ObjectRef]) -> Digest {
    Tree::new(references).root()
}

/// The roots of all chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(Tree, Vec<Digest>);

impl Snapshot {
    /// From the roots in order; `None` if they are not as many as there are chunks.
    pub fn new(roots: Vec<Digest>) -> Option<Self> {
        let is_whole = roots.len() == usize::from(CHUNKS);
        is_whole.then(|| Self(Tree::new(&roots), roots))
    }

    /// The digest of all objects.
    pub fn root(&self) -> Digest {
        self.0.root()
    }

    /// The proof of what an id stands for, from the objects of its chunk, ascending by id. It holds if they have the root that the
    /// snapshot has of that chunk.
    pub fn prove(&self, id: &ObjectId, references: &[ObjectRef]) -> Option<CurrentProof> {
        let chunk = chunk_of(id);
        let tree = Tree::new(references);
        let at = |position: usize| {
            let reference = *references.get(position)?;
            let place = tree.prove(u64::try_from(position).ok()?)?;
            Some(Placed { reference, place })
        };
        let found = match references.binary_search_by_key(id, |reference| reference.id) {
            Ok(position) => Found::Here(at(position)?),
            Err(position) => Found::Nothing {
                before: position.checked_sub(1).and_then(at),
                after: at(position),
            },
        };
        Some(CurrentProof {
            chunk: self.1[usize::from(chunk)],
            place: self.0.prove(chunk.into())?,
            found,
        })
    }
}

/// An object with its place in a chunk. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Placed {
    reference: ObjectRef,
    place: Proof,
}

/// What is found in a chunk. BCS: variants 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Found {
    Here(Placed),
    /// The neighbours of where it would be, as far as there are any.
    Nothing {
        before: Option<Placed>,
        after: Option<Placed>,
    },
}

/// What an id stands for in a snapshot. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentProof {
    chunk: Digest,
    place: Proof,
    found: Found,
}

/// A proof shows nothing: whoever gave it lies, or means another snapshot or another object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not show what object {0} is in this snapshot: ask another node")]
pub struct NotProved(pub ObjectId);

impl CurrentProof {
    /// What the id stands for in the snapshot with this root: an object's latest version, or nothing.
    ///
    /// # Errors
    /// [`NotProved`].
    pub fn verify(&self, id: &ObjectId, snapshot: &Digest) -> Result<Option<ObjectRef>, NotProved> {
        let chunk = u64::from(chunk_of(id));
        let is_chunk = self.place.position() == chunk && self.place.holds(&self.chunk, snapshot);
        let shown = match &self.found {
            Found::Here(placed) if placed.reference.id == *id && self.has(placed) => {
                Some(Some(placed.reference))
            }
            Found::Nothing { before, after } if self.has_nothing(id, before.as_ref(), after.as_ref()) => {
                Some(None)
            }
            Found::Here(_) | Found::Nothing { .. } => None,
        };
        shown.filter(|_| is_chunk).ok_or(NotProved(*id))
    }

    fn has(&self, placed: &Placed) -> bool {
        placed.place.holds(&placed.reference, &self.chunk)
    }

    /// Whether these are neighbours in the chunk and the id has its place between them.
    fn has_nothing(&self, id: &ObjectId, before: Option<&Placed>, after: Option<&Placed>) -> bool {
        let in_order = before.is_none_or(|before| self.has(before) && before.reference.id < *id)
            && after.is_none_or(|after| self.has(after) && after.reference.id > *id);
        // Only a place that is one in the chunk can be counted on from.
        in_order
            && match (before, after) {
                (Some(before), Some(after)) => before.place.position() + 1 == after.place.position(),
                (Some(before), None) => before.place.position() + 1 == before.place.leaves(),
                (None, Some(after)) => after.place.position() == 0,
                (None, None) => self.chunk == chunk_root(&[]),
            }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{ObjectDigest, Version, decode, encode};

    use super::*;

    /// An object whose id begins with these bytes.
    fn reference(first: u8, second: u8, last: u8) -> ObjectRef {
        let mut id = [last; 32];
        id[..2].copy_from_slice(&[first, second]);
        ObjectRef {
            id: ObjectId::new(id),
            version: Version::new(u64::from(last)),
            digest: ObjectDigest::new(Digest::of(&id)),
        }
    }

    fn in_chunk(references: &[ObjectRef], chunk: u16) -> Vec<ObjectRef> {
        let is_in = |reference: &&ObjectRef| chunk_of(&reference.id) == chunk;
        references.iter().filter(is_in).copied().collect()
    }

    fn snapshot(references: &[ObjectRef]) -> Snapshot {
        let roots = (0..CHUNKS).map(|chunk| chunk_root(&in_chunk(references, chunk)));
        Snapshot::new(roots.collect()).unwrap()
    }

    #[test]
    fn an_id_is_in_the_chunk_of_its_first_twelve_bits() {
        let id = reference(0xab, 0xcd, 7).id;
        assert_eq!(chunk_of(&id), 0xabc);
        assert_eq!(chunk_of(&lowest_of(0xabc)), 0xabc);
        assert!(lowest_of(0xabc) <= id && id < lowest_of(0xabd));
        assert_eq!(lowest_of(0xfff).as_bytes()[..2], [0xff, 0xf0]);
        assert_eq!(Snapshot::new(vec![Digest::ZERO; 4_095]), None);
    }

    #[test]
    fn what_is_there_and_what_is_not_is_proved() {
        let mut all = vec![
            reference(1, 0, 1),
            reference(1, 3, 1),
            reference(1, 9, 1),
            reference(2, 0, 1),
        ];
        all.sort();
        let snapshot = snapshot(&all);
        let (root, chunk) = (snapshot.root(), in_chunk(&all, 0x010));
        let prove = |id: &ObjectId| snapshot.prove(id, &in_chunk(&all, chunk_of(id))).unwrap();
        for found in &all {
            assert_eq!(prove(&found.id).verify(&found.id, &root), Ok(Some(*found)));
        }
        for absent in [
            reference(1, 0, 0),
            reference(1, 1, 1),
            reference(1, 9, 2),
            reference(5, 5, 5),
        ] {
            let id = absent.id;
            assert_eq!(prove(&id).verify(&id, &root), Ok(None));
            assert_eq!(prove(&id).verify(&all[0].id, &root), Err(NotProved(all[0].id)));
            assert_eq!(prove(&id).verify(&id, &Digest::ZERO), Err(NotProved(id)));
        }
        // A chunk that lacks one of its objects has another root, and neighbours that are none do not pass.
        let id = chunk[1].id;
        let without: Vec<_> = chunk.iter().filter(|found| found.id != id).copied().collect();
        let forged = snapshot.prove(&id, &without).unwrap();
        assert_eq!(forged.verify(&id, &root), Err(NotProved(id)));
        let tree = Tree::new(&chunk);
        let placed = |at: usize| Placed {
            reference: chunk[at],
            place: tree.prove(at as u64).unwrap(),
        };
        for (before, after) in [
            (Some(placed(0)), Some(placed(2))),
            (Some(placed(0)), None),
            (None, Some(placed(2))),
            (None, None),
        ] {
            let found = Found::Nothing { before, after };
            let forged = CurrentProof { found, ..prove(&id) };
            assert_eq!(forged.verify(&id, &root), Err(NotProved(id)), "{forged:?}");
        }
        // Another chunk's place, and another object in the right place.
        let moved = CurrentProof {
            place: prove(&reference(5, 5, 5).id).place,
            ..prove(&id)
        };
        assert_eq!(moved.verify(&id, &root), Err(NotProved(id)));
        let other = CurrentProof {
            found: Found::Here(placed(0)),
            ..prove(&id)
        };
        assert_eq!(other.verify(&id, &root), Err(NotProved(id)));
    }

    #[test]
    fn a_place_behind_all_places_is_none() {
        let only = [reference(0, 0, 1)];
        let snapshot = snapshot(&only);
        let id = reference(0, 0, 2).id;
        let proof = snapshot.prove(&id, &only).unwrap();
        assert_eq!(proof.verify(&id, &snapshot.root()), Ok(None));
        let bytes = encode(&(1u64, u64::MAX, Vec::<Digest>::new()));
        let before = Some(Placed {
            reference: only[0],
            place: decode(&bytes, bytes.len()).unwrap(),
        });
        for after in [None, before.clone()] {
            let before = before.clone();
            let found = Found::Nothing { before, after };
            let forged = CurrentProof {
                found,
                ..proof.clone()
            };
            assert_eq!(forged.verify(&id, &snapshot.root()), Err(NotProved(id)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_proof_that_is_judged_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400), flip in any::<prop::sample::Index>()) {
            let _ = decode::<CurrentProof>(&bytes, 400).map(|proof| proof.verify(&ObjectId::from_low(5), &Digest::ZERO));
            let all = [reference(0, 0, 1), reference(0, 5, 1)];
            let snapshot = snapshot(&all);
            let mut proof = encode(&snapshot.prove(&all[0].id, &all).unwrap());
            let bit = flip.index(proof.len() * 8);
            proof[bit / 8] ^= 1 << (bit % 8);
            if let Ok(proof) = decode::<CurrentProof>(&proof, proof.len()) {
                let verified = proof.verify(&all[0].id, &snapshot.root());
                prop_assert_eq!(verified, Err(NotProved(all[0].id)));
            }
        }
    }
}
