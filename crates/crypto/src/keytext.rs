//! The text form of a secret key, for key files and wallets: bech32 with the prefix `somaprivkey` over
//! `flag ‖ 32 bytes`.

use fastcrypto::encoding::Bech32;
use zeroize::Zeroizing;

use crate::address::Flag;
use crate::bytes::{InvalidBytes, to_array};
use crate::ed25519::Ed25519SecretKey;

const PREFIX: &str = "somaprivkey";
const KIND: &str = "bech32 secret key";

/// The text of a user's secret key. Wiped when dropped; keep it so.
pub fn encode(secret: &Ed25519SecretKey) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(vec![Flag::Ed25519 as u8]);
    bytes.extend_from_slice(secret.secret_bytes());
    Zeroizing::new(Bech32::encode(&*bytes, PREFIX).expect("33 bytes and a fixed prefix fit bech32"))
}

/// The secret key of a text.
///
/// # Errors
/// [`InvalidBytes::Text`] when the text, its checksum or its prefix is wrong, [`InvalidBytes::Length`] and
/// [`InvalidBytes::Value`] when what it holds is no ed25519 key. No error repeats the text.
pub fn decode(text: &str) -> Result<Ed25519SecretKey, InvalidBytes> {
    Ok(Ed25519SecretKey::from_seed(&*seed(text)?))
}

/// The seed of the secret key of a text: for a transport, or for another scheme that makes its keys from as many bytes.
/// One seed is for one use only.
///
/// # Errors
/// As [`decode`].
pub fn seed(text: &str) -> Result<Zeroizing<[u8; 32]>, InvalidBytes> {
    if text.len() > 100 {
        return Err(InvalidBytes::Text(KIND));
    }
    let bytes = Zeroizing::new(Bech32::decode(text, PREFIX).map_err(|_| InvalidBytes::Text(KIND))?);
    match bytes.split_first() {
        Some((&flag, seed)) if flag == Flag::Ed25519 as u8 => Ok(Zeroizing::new(to_array(seed)?)),
        _ => Err(InvalidBytes::Value("secret key of a known kind")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_of_a_key_is_pinned() {
        let secret = Ed25519SecretKey::from_seed(&[1; 32]);
        assert_eq!(
            &*encode(&secret),
            "somaprivkey1qqqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszvw9d0f"
        );
    }

    #[test]
    fn another_prefix_kind_length_or_variant_is_refused() {
        let of =
            |bytes: &[u8], prefix| decode(&Bech32::encode(bytes, prefix).unwrap()).map(|key| key.public());
        assert!(of(&[0; 33], PREFIX).is_ok());
        assert_eq!(of(&[0; 33], "suiprivkey"), Err(InvalidBytes::Text(KIND)));
        assert_eq!(
            of(&[2; 33], PREFIX),
            Err(InvalidBytes::Value("secret key of a known kind"))
        );
        assert_eq!(
            of(&[0; 34], PREFIX),
            Err(InvalidBytes::Length {
                expected: 32,
                found: 33
            })
        );
        assert_eq!(
            of(&[], PREFIX),
            Err(InvalidBytes::Value("secret key of a known kind"))
        );
        // The pinned text with the checksum of Bech32m (BIP 350).
        let variant = "somaprivkey1qqqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszej4p2t";
        assert_eq!(
            decode(variant).map(|key| key.public()),
            Err(InvalidBytes::Text(KIND))
        );
    }

    proptest! {
        #[test]
        fn a_key_survives_its_text_and_a_typo_does_not(seed: [u8; 32], at in 12usize..70) {
            let text = encode(&Ed25519SecretKey::from_seed(&seed));
            let again = decode(&text).unwrap();
            prop_assert_eq!(again.secret_bytes(), seed);
            prop_assert_eq!(*super::seed(&text).unwrap(), seed);
            let at = at % text.len();
            let typo = if &text[at..=at] == "q" { "p" } else { "q" };
            let text = format!("{}{typo}{}", &text[..at], &text[at + 1..]);
            prop_assert!(decode(&text).is_err());
        }

        #[test]
        fn any_text_is_a_key_or_an_error(text in "(somaprivkey1)?[ -~]{0,90}") {
            let _ = decode(&text);
        }
    }
}
