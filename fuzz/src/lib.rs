//! What the fuzz targets share: each property, said once.

use crypto::segments::{FileKey, Sealer, open};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Any bytes are a value that encodes to them, or an error.
pub fn canonical<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    if let Ok(value) = types::decode::<T>(bytes, 1 << 20) {
        assert_eq!(types::encode(&value), bytes);
    }
}

/// Any bytes are a value that shows them, or an error.
pub fn fixed<T: crypto::FixedBytes>(bytes: &[u8]) {
    if let Ok(value) = T::from_slice(bytes) {
        assert_eq!(value.as_ref(), bytes);
    }
}

/// Any text is a value that prints as text of the same value, or an error.
pub fn text<T: std::str::FromStr + ToString>(bytes: &[u8]) {
    let parse = |text: &str| text.parse::<T>().ok().map(|value| value.to_string());
    if let Some(printed) = std::str::from_utf8(bytes).ok().and_then(parse) {
        assert_eq!(parse(&printed), Some(printed));
    }
}

/// Any bytes behind the check of the right key are a file, or an error.
pub fn sealed_file(bytes: &[u8]) {
    let key = FileKey::new([7; 32]);
    let sealer = Sealer::new(&key, 0).expect("an empty file is not too long");
    drop(open(&key, &[&sealer.header()[..32], bytes].concat()));
}

/// Any text is a secret key whose text gives it back, or an error.
pub fn key_text(bytes: &[u8]) {
    if let Ok(Ok(key)) = std::str::from_utf8(bytes).map(crypto::keytext::decode) {
        let again = crypto::keytext::decode(&crypto::keytext::encode(&key));
        assert_eq!(again.map(|key| key.public()), Ok(key.public()));
    }
}
