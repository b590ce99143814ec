use proptest::prelude::*;
use types::{ChainId, CheckpointSequence, CommitIndex, Digest, Epoch, ObjectId, TransactionDigest};

use super::*;

fn head() -> Head {
    Head {
        layout: LAYOUT,
        chain: ChainId::new(Digest::of(b"one")),
        epoch: Epoch::new(3),
        commit: CommitIndex::new(4),
        root: MultisetHash::EMPTY,
        unpruned: Epoch::ZERO,
    }
}

fn read<K: Key>(bytes: &[u8]) -> Result<K, StoreError> {
    K::read(Family::Commits, bytes)
}

#[test]
fn a_family_has_a_name_that_a_store_takes() {
    let names: BTreeSet<&str> = Family::ALL.iter().map(|family| family.name()).collect();
    assert_eq!(names.len(), Family::ALL.len());
    let is_lower = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase());
    assert!(names.iter().all(is_lower));
}

#[test]
fn a_store_of_another_chain_or_layout_is_refused_by_name() {
    let (one, other) = (head().chain, ChainId::new(Digest::of(b"other")));
    let bytes = encode(&head());
    assert_eq!(Head::read(&bytes, one), Ok(head()));
    let error = Head::read(&bytes, other).unwrap_err();
    let told = format!("the store is that of chain {one}, not of {other}: name another directory");
    assert_eq!(error.to_string(), told);
    let later = Head {
        layout: LAYOUT + 1,
        ..head()
    };
    let mut bytes = encode(&later);
    // A later layout need not have the same fields.
    bytes.truncate(40);
    let error = Head::read(&bytes, one).unwrap_err();
    assert_eq!(error, StoreError::OtherLayout { found: 2 });
    assert_eq!(
        error.to_string(),
        "the store has layout 2, and this program reads layout 1: start the release that wrote it"
    );
    assert!(matches!(Head::read(&[1], one), Err(StoreError::Value { .. })));
}

#[test]
fn what_is_damaged_is_named() {
    let error = read::<CommitKey>(&[1, 0xfe]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`commits` has the key 0x01fe, which is none: the store is damaged; restore it from a snapshot"
    );
    let error = object(&ObjectId::from_low(7), &[1]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`objects` has no valid value at 0x00"),
        "{error}"
    );
    let mut state = State::new(head(), BTreeSet::new(), 1_000);
    assert_eq!(state.load(ObjectId::from_low(7), Some(&[1])), Err(error));
    assert_eq!(state.bytes(), 0, "nothing was taken in");
    let (expected, found) = (ObjectId::from_low(7), ObjectId::from_low(8));
    let other = Object {
        id: found,
        version: types::Version::new(1),
        owner: types::Owner::Shared,
        deposit: types::Shannons::ZERO,
        previous: TransactionDigest::new(Digest::ZERO),
        content: Content::Claim(found),
    };
    let bytes = encode(&other);
    assert_eq!(object(&found, &bytes), Ok(other));
    assert_eq!(
        object(&expected, &bytes),
        Err(StoreError::OtherObject { expected, found })
    );
}

#[test]
fn the_epoch_before_the_current_one_is_always_kept() {
    let due = |unpruned, kept| {
        let unpruned = Epoch::new(unpruned);
        Pruning::due(&Head { unpruned, ..head() }, kept).map(Pruning::next)
    };
    // It is epoch 3.
    assert_eq!(due(0, 1), Some(Epoch::new(1)));
    assert_eq!(due(1, 1), Some(Epoch::new(2)));
    assert_eq!([due(2, 1), due(2, 0), due(1, 2), due(0, 7)], [None; 4]);
}

proptest! {
    #[test]
    fn keys_ascend_as_what_they_stand_for(one: (u64, u64), other: (u64, u64)) {
        let commit = |(epoch, commit)| CommitKey { epoch: Epoch::new(epoch), commit: CommitIndex::new(commit) };
        prop_assert_eq!(commit(one).cmp(&commit(other)), commit(one).bytes().cmp(&commit(other).bytes()));
        prop_assert_eq!(read(&commit(one).bytes()), Ok(commit(one)));
        let checkpoint = |(epoch, sequence)| CheckpointKey {
            epoch: Epoch::new(epoch),
            sequence: CheckpointSequence::new(sequence),
        };
        prop_assert_eq!(checkpoint(one).cmp(&checkpoint(other)), checkpoint(one).bytes().cmp(&checkpoint(other).bytes()));
        prop_assert_eq!(read(&checkpoint(one).bytes()), Ok(checkpoint(one)));
    }

    #[test]
    fn any_bytes_are_a_key_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let wrong = || Err(StoreError::key(Family::Commits, &bytes));
        prop_assert_eq!(read::<()>(&bytes).map(|key| key.bytes()), if bytes.is_empty() { Ok(bytes.clone()) } else { wrong() });
        prop_assert_eq!(read::<u16>(&bytes).map(|key| key.bytes()), if bytes.len() == 2 { Ok(bytes.clone()) } else { wrong() });
        let is_id = bytes.len() == 32;
        prop_assert_eq!(read::<ObjectId>(&bytes).map(|key| key.bytes()), if is_id { Ok(bytes.clone()) } else { wrong() });
        prop_assert_eq!(read::<TransactionDigest>(&bytes).map(|key| key.bytes()), if is_id { Ok(bytes.clone()) } else { wrong() });
        let _ = Head::read(&bytes, head().chain);
        let _ = object(&ObjectId::from_low(1), &bytes);
        for family in Pruning::FAMILIES {
            let due = Pruning::due(&head(), 1);
            let _ = due.map(|pruning| pruning.page(family, [(&bytes[..], &bytes[..])]));
        }
    }
}
