use std::sync::LazyLock;

use bytes::Bytes;
use crypto::{BlsSecretKey, Ed25519SecretKey};
use proptest::prelude::*;
use types::{BlockHeader, Bounded, ChainId, VotingPower};

use super::*;
use crate::block::Draft;
use crate::members::{Member, Production, Signer};

const MEMBERS: u16 = 37;
/// Rounds of the blocks here lie behind this one.
const FIRST: u32 = 70;

struct Net {
    rules: Rules,
    members: Members<Production>,
    signer: Signer<Production>,
}

static NET: LazyLock<Net> = LazyLock::new(|| {
    let (block, beacon) = (
        Ed25519SecretKey::from_seed(&[1; 32]),
        BlsSecretKey::from_seed(&[2; 32]),
    );
    let member = |n| Member {
        power: VotingPower::new(10_000 / MEMBERS + u16::from(n < 10_000 % MEMBERS)),
        block_key: block.public(),
        beacon_key: beacon.public(),
    };
    let epoch = Epoch::new(3);
    Net {
        rules: Rules {
            beacon_stride: 2,
            ..Rules::new(ChainId::new(Digest::of(b"soma")), epoch, UnixMillis::new(0))
        },
        members: Members::new(epoch, (0..MEMBERS).map(member).collect()).unwrap(),
        signer: Signer {
            index: author(5),
            block,
            beacon,
        },
    }
});

fn author(number: u16) -> AuthorityIndex {
    AuthorityIndex::new(number).unwrap()
}

fn decoded(frame: &Bytes) -> Result<SignedBlock<Production>, BlockError> {
    decode(frame, &NET.rules, &NET.members)
}

prop_compose! {
    fn references()(round: u32, number in 0u16..1_024, digest: [u8; 32]) -> BlockRef {
        BlockRef { round: Round::new(round), author: author(number), digest: BlockDigest::new(Digest::new(digest)) }
    }
}

prop_compose! {
    fn votes()(vote: Option<(u64, [u8; 32])>) -> Option<CommitRef> {
        vote.map(|(index, digest)| CommitRef {
            index: CommitIndex::new(index),
            digest: CommitDigest::new(Digest::new(digest)),
        })
    }
}

prop_compose! {
    /// What an own block is made from, and the authors whose parent is plain. Of 37 members 25 are a quorum; the last ones
    /// may lag behind or be missing.
    fn drafts()(
        round in FIRST..FIRST + 5,
        timestamp: u64,
        lags in prop::collection::vec(prop::option::of(1u32..4), 12),
        digests in prop::collection::vec(any::<[u8; 32]>(), usize::from(MEMBERS)),
        plain in prop::collection::vec(any::<bool>(), usize::from(MEMBERS)),
        vote in votes(),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8),
    ) -> (Draft, AuthoritySet) {
        let lags = std::iter::repeat_n(Some(1), 25).chain(lags);
        let mut parents: Vec<_> = (0..MEMBERS)
            .zip(lags.zip(digests))
            .filter_map(|(number, (lag, digest))| Some(BlockRef {
                round: Round::new(round - lag?),
                author: author(number),
                digest: BlockDigest::new(Digest::new(digest)),
            }))
            .collect();
        parents.sort_by_key(|parent| (parent.author != NET.signer.index, parent.author));
        let draft = Draft {
            round: Round::new(round),
            timestamp: UnixMillis::new(timestamp),
            parents,
            vote,
            payloads: Payloads::new(payloads.iter().map(Vec::as_slice)),
        };
        let plain = (0..MEMBERS).zip(plain).filter(|(_, plain)| *plain);
        (draft, plain.map(|(number, _)| author(number)).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_header_is_hashed_as_it_is_shared(
        numbers: (u64, u32, u64),
        parents in prop_oneof![
            prop::collection::vec(references(), 0..4),
            prop::collection::vec(references(), 120..140),
            prop::collection::vec(references(), MAX_PARENTS),
        ],
        vote in votes(),
        beacon in prop::option::of(prop::collection::vec(any::<u8>(), 0..=types::block::MAX_BEACON_BYTES)),
        payloads: [u8; 32],
    ) {
        let header = BlockHeader {
            epoch: Epoch::new(numbers.0),
            round: Round::new(numbers.1),
            author: author(1_023),
            timestamp: UnixMillis::new(numbers.2),
            parents: Bounded::new(parents.clone()).unwrap(),
            vote,
            beacon: beacon.clone().and_then(Bounded::new),
            payloads: Digest::new(payloads),
        };
        let by_hand = Header {
            epoch: header.epoch,
            round: header.round,
            author: header.author,
            timestamp: header.timestamp,
            vote,
            beacon: beacon.as_deref(),
            payloads: header.payloads,
        };
        prop_assert_eq!(parents_digest(&parents), types::block::parents_digest(&parents));
        prop_assert_eq!(by_hand.digest(&parents), header.digest());
    }

    #[test]
    fn an_own_block_is_read_as_it_was_made((draft, plain) in drafts()) {
        let (round, parents, payloads) = (draft.round, draft.parents.clone(), draft.payloads.clone());
        let block = SignedBlock::make(draft, &plain, &NET.rules, &NET.signer);
        let again = decoded(block.frame());
        prop_assert_eq!(again.as_ref(), Ok(&block));
        prop_assert!(again.unwrap().verify(&NET.members).is_ok());
        let Parents::Compact { previous, others } = block.parents() else {
            panic!("own blocks are written in short");
        };
        prop_assert!(others.is_sorted_by(|one, other| one.author < other.author));
        prop_assert_eq!(previous.len() + others.len(), parents.len());
        prop_assert_eq!(previous.and(&plain), *previous);
        prop_assert_eq!(block.digest_with(&parents), block.reference().digest);
        prop_assert_eq!(block.payloads().iter().collect::<Vec<_>>(), payloads.iter().collect::<Vec<_>>());

        // In full it is the same block.
        let mut full = SignedBlock { parents: Parents::Full(parents.clone()), ..block.clone() };
        full.frame = encode(&full);
        let again = decoded(&full.frame);
        prop_assert_eq!(again.as_ref(), Ok(&full));
        prop_assert_eq!(full.reference(), block.reference());

        // With its header alone anybody can check who signed it.
        let signed = full.signed_header(&parents);
        prop_assert_eq!(signed.header.reference(), block.reference());
        prop_assert_eq!(signed.header.beacon.is_some(), NET.rules.has_beacon(round));
        prop_assert_eq!(&signed.signature, &block.signature);
    }

    #[test]
    fn a_block_has_one_frame_in_each_form(
        (draft, plain) in drafts(),
        is_full: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
        cut: prop::sample::Index,
    ) {
        let parents = draft.parents.clone();
        let mut block = SignedBlock::make(draft, &plain, &NET.rules, &NET.signer);
        if is_full {
            block.parents = Parents::Full(parents.clone());
            block.frame = encode(&block);
        }
        let mut bytes = block.frame().to_vec();
        for (at, with) in changes {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        let bytes = Bytes::from(bytes);
        if let Ok(changed) = decoded(&bytes) {
            prop_assert_eq!(encode(&changed), &bytes);
            prop_assert_eq!(changed == block, bytes == block.frame());
            // What is signed is another block, but for parents in short: that they are others, only their digest tells.
            let differs_in_parents = !is_full && changed.parents != block.parents;
            if bytes != block.frame() && changed.signature == block.signature && !differs_in_parents {
                prop_assert_ne!(changed.reference(), block.reference());
                prop_assert!(changed.verify(&NET.members).is_err());
            }
        }
        prop_assert!(decoded(&bytes.slice(..cut.index(bytes.len()))).is_err());
    }

    #[test]
    fn any_bytes_are_no_panic(form in 0u8..3, bytes in prop::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..400)) {
        // Of the right epoch, round and author, so that more than the first fields are read.
        let head = [&[form][..], &3u64.to_le_bytes(), &FIRST.to_le_bytes(), &[5, 0]].concat();
        for bytes in [bytes.clone(), [head, bytes].concat()] {
            let bytes = Bytes::from(bytes);
            if let Ok(block) = decoded(&bytes) {
                prop_assert_eq!(encode(&block), bytes);
            }
        }
    }
}
