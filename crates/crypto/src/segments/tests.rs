use aes_gcm::aead::{Aead, Payload};
use proptest::prelude::*;

use super::*;
use crate::bytes::hex;

fn key() -> FileKey {
    FileKey::new([7; 32])
}

/// Three segments: two full ones and one of 10 bytes.
fn sealed() -> (Vec<u8>, Vec<u8>) {
    let plaintext: Vec<u8> = (0..2 * SEGMENT_LENGTH + 10).map(|n| (n % 251) as u8).collect();
    let sealed = seal(key(), &plaintext).unwrap();
    (plaintext, sealed)
}

const SEALED_SEGMENT: usize = SEGMENT_LENGTH + TAG_LENGTH;

#[test]
fn the_cipher_is_aes_256_gcm_of_nist() {
    // NIST GCM specification (McGrew and Viega), test cases 15 and 16.
    let key = hex::decode::<32>("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").unwrap();
    let nonce = hex::decode::<12>("cafebabefacedbaddecaf888").unwrap();
    let plaintext = hex::decode::<60>(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    )
    .unwrap();
    let aad = hex::decode::<20>("feedfacedeadbeeffeedfacedeadbeefabaddad2").unwrap();
    let expected = hex::decode::<76>(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
    )
    .unwrap();
    let cipher = Aes256Gcm::new((&key).into());
    let sealed = cipher
        .encrypt(
            &nonce.into(),
            Payload {
                msg: &plaintext,
                aad: &aad,
            },
        )
        .unwrap();
    assert_eq!(sealed, expected);
}

#[test]
fn the_layout_is_pinned_down_to_the_nonce() {
    let sealed = seal(key(), b"soma").unwrap();
    assert_eq!(
        hex::encode(&sealed),
        "0xa2d3c4c5fa9b35d9af6bd914dc144eae6076a7eecf4f80e29af1681582b123af04000000000000003d3ce61aeaa8d0952cc165d847b1753ff9c373e9"
    );
    // The same segment, made with the cipher alone: number 0, last.
    let cipher = Aes256Gcm::new(key().as_bytes().into());
    let nonce = *b"soma\0\0\x01\0\0\0\0\x01";
    let payload = Payload {
        msg: b"soma",
        aad: &sealed[..HEADER_LENGTH],
    };
    assert_eq!(
        sealed[HEADER_LENGTH..],
        cipher.encrypt(&nonce.into(), payload).unwrap()
    );
}

#[test]
fn files_of_every_shape_survive() {
    for length in [
        0,
        1,
        SEGMENT_LENGTH - 1,
        SEGMENT_LENGTH,
        SEGMENT_LENGTH + 1,
        2 * SEGMENT_LENGTH,
    ] {
        let plaintext = vec![3; length];
        let sealed = seal(key(), &plaintext).unwrap();
        assert_eq!(sealed.len() as u64, sealed_length(length as u64));
        assert_eq!(open(&key(), &sealed), Ok(plaintext));
    }
}

#[test]
fn a_wrong_key_shows_before_anything_is_decrypted() {
    let (_, sealed) = sealed();
    assert_eq!(open(&FileKey::new([8; 32]), &sealed), Err(SegmentError::WrongKey));
}

#[test]
fn a_flipped_bit_names_its_segment() {
    let (plaintext, mut sealed) = sealed();
    assert_eq!(open(&key(), &sealed).unwrap(), plaintext);
    for (at, index) in [
        (HEADER_LENGTH, 0),
        (HEADER_LENGTH + SEGMENT_LENGTH, 0),
        (HEADER_LENGTH + SEALED_SEGMENT, 1),
        (sealed.len() - 1, 2),
    ] {
        sealed[at] ^= 4;
        assert_eq!(
            open(&key(), &sealed),
            Err(SegmentError::Corrupt { index }),
            "byte {at}"
        );
        sealed[at] ^= 4;
    }
}

#[test]
fn a_changed_length_in_the_header_is_noticed() {
    let (_, mut sealed) = sealed();
    sealed[32] ^= 1;
    assert_eq!(open(&key(), &sealed), Err(SegmentError::Corrupt { index: 0 }));
    sealed[39] = 0xff;
    assert!(matches!(open(&key(), &sealed), Err(SegmentError::TooLong { .. })));
}

#[test]
fn a_file_cut_anywhere_is_truncated() {
    let (_, sealed) = sealed();
    let missing = |left: usize| {
        Err(SegmentError::Truncated {
            missing: (sealed.len() - left) as u64,
        })
    };
    for left in [
        HEADER_LENGTH,
        HEADER_LENGTH + SEALED_SEGMENT,
        HEADER_LENGTH + 2 * SEALED_SEGMENT,
        sealed.len() - 1,
    ] {
        assert_eq!(open(&key(), &sealed[..left]), missing(left), "{left} bytes left");
    }
    assert_eq!(
        open(&key(), &sealed[..39]),
        Err(SegmentError::Truncated { missing: 1 })
    );
    assert_eq!(open(&key(), &[]), Err(SegmentError::Truncated { missing: 40 }));
}

#[test]
fn segments_out_of_order_are_corrupt() {
    let (_, mut sealed) = sealed();
    let (first, second) = sealed[HEADER_LENGTH..].split_at_mut(SEALED_SEGMENT);
    first.swap_with_slice(&mut second[..SEALED_SEGMENT]);
    assert_eq!(open(&key(), &sealed), Err(SegmentError::Corrupt { index: 0 }));
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let (_, mut sealed) = sealed();
    sealed.extend_from_slice(&[0; 3]);
    assert_eq!(open(&key(), &sealed), Err(SegmentError::Trailing { found: 3 }));
}

#[test]
fn a_segment_may_be_tried_again() {
    let (plaintext, sealed) = sealed();
    let (header, rest) = sealed.split_first_chunk().unwrap();
    let mut opener = Opener::new(&key(), header).unwrap();
    let mut wrong = rest[..SEALED_SEGMENT].to_vec();
    wrong[5] ^= 1;
    assert_eq!(opener.open(&mut wrong), Err(SegmentError::Corrupt { index: 0 }));
    assert!(wrong.is_empty(), "a failed segment shows nothing");
    let mut right = rest[..SEALED_SEGMENT].to_vec();
    assert_eq!(opener.open(&mut right), Ok(()));
    assert_eq!(right, plaintext[..SEGMENT_LENGTH]);
    let missing = (rest.len() - SEALED_SEGMENT) as u64;
    assert_eq!(opener.finish(), Err(SegmentError::Truncated { missing }));
}

#[test]
fn a_segment_of_the_wrong_length_is_the_callers_mistake() {
    let mut sealer = Sealer::new(key(), 5).unwrap();
    assert_eq!(
        sealer.seal(&mut vec![0; 4]),
        Err(SegmentError::SegmentLength {
            expected: 5,
            found: 4
        })
    );
    assert_eq!(sealer.seal(&mut vec![0; 5]), Ok(()));
    assert_eq!(sealer.seal(&mut vec![]), Err(SegmentError::Trailing { found: 0 }));
    assert!(matches!(
        Sealer::new(key(), MAX_LENGTH + 1),
        Err(SegmentError::TooLong { .. })
    ));
    assert_eq!(format!("{:?}", key()), "FileKey(..)");
}

proptest! {
    #[test]
    fn any_bytes_open_or_fail(length: u64, rest in proptest::collection::vec(any::<u8>(), 0..100)) {
        let header = [key().check().as_bytes(), &length.to_le_bytes()[..]].concat();
        prop_assert!(open(&key(), &[header, rest.clone()].concat()).is_err());
        prop_assert!(open(&key(), &rest).is_err());
    }

    #[test]
    fn opening_undoes_sealing(bytes: [u8; 32], plaintext: Vec<u8>) {
        let sealed = seal(FileKey::new(bytes), &plaintext).unwrap();
        prop_assert_eq!(open(&FileKey::new(bytes), &sealed), Ok(plaintext));
    }
}
