//! Chunked authenticated encryption, for files too large to hold: AES-256-GCM in the STREAM construction
//! (Hoang, Reyhanitabar, Rogaway, Vizár, 2015), segment by segment.
//!
//! Layout of a sealed file: a header of [`HEADER_LENGTH`] bytes (`key check (32) ‖ plaintext length as u64 LE`), then
//! the segments: [`SEGMENT_LENGTH`] bytes of plaintext each, the last one shorter or equal, every one followed by
//! its 16-byte tag. The nonce of a segment is `prefix (7) ‖ segment number as u32 BE ‖ 1 for the last one, else 0`, the
//! header is its associated data. An empty file has one empty segment.
//!
//! A key seals **one** file: nonces repeat from file to file. The key check is a digest of the key, so a file has one
//! key that opens it, and a wrong key shows before anything is decrypted.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::KeyInit;
use aes_gcm::aead::stream::{NewStream, StreamBE32, StreamPrimitive};
use zeroize::Zeroizing;

use crate::digest::{Digest, Hasher};

/// Plaintext bytes in every segment but the last.
pub const SEGMENT_LENGTH: usize = 1 << 20;
/// Bytes that encryption adds to a segment.
pub const TAG_LENGTH: usize = 16;
/// Bytes in front of the first segment.
pub const HEADER_LENGTH: usize = 40;
/// Plaintext bytes that the 32-bit segment number can count: 4 PiB.
pub const MAX_LENGTH: u64 = (SEGMENT_LENGTH as u64) << 32;

const NONCE_PREFIX: &[u8; 7] = b"soma\0\0\x01";

/// Why a file cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Another key sealed this file: look for that one.
    #[error("sealed with another key")]
    WrongKey,
    /// The file ends early: fetch the rest.
    #[error("ends {missing} bytes early")]
    Truncated {
        /// Bytes that are missing at least.
        missing: u64,
    },
    /// More bytes than the file has: what follows does not belong to it.
    #[error("{found} bytes beyond the end")]
    Trailing {
        /// Bytes too many.
        found: u64,
    },
    /// A segment is not what was sealed at its place (changed, moved, or under a changed header): fetch it again,
    /// or from somebody else.
    #[error("segment {index} is not what was sealed")]
    Corrupt {
        /// Number of the segment, from 0.
        index: u32,
    },
    /// The length is beyond [`MAX_LENGTH`].
    #[error("{length} bytes are too many for one key")]
    TooLong {
        /// The plaintext length asked for, or stated by a header.
        length: u64,
    },
    /// The caller gave a segment another length than [`Sealer::next_length`] or [`Opener::next_length`] asked for.
    #[error("a segment of {found} bytes where {expected} belong")]
    SegmentLength {
        /// Bytes asked for.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
}

/// A secret key for one file, which sealing takes. Wiped when dropped.
pub struct FileKey(Zeroizing<[u8; 32]>);

impl FileKey {
    /// The key with these bytes: uniform, and fresh for every file.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The raw bytes, to be revealed when the time has come.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a header says about its key.
    fn check(&self) -> Digest {
        let mut hasher = Hasher::named("FileKey");
        hasher.bytes(&*self.0);
        hasher.finish()
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

/// Where one is in a file: what sealing and opening share.
struct Position {
    stream: StreamBE32<Aes256Gcm>,
    header: [u8; HEADER_LENGTH],
    /// Number of the next segment.
    index: u32,
    /// Plaintext bytes not yet passed; `None` once the last segment is.
    remaining: Option<u64>,
}

impl Position {
    fn new(key: &FileKey, length: u64) -> Result<Self, SegmentError> {
        if length > MAX_LENGTH {
            return Err(SegmentError::TooLong { length });
        }
        let mut header = [0; HEADER_LENGTH];
        header[..32].copy_from_slice(key.check().as_bytes());
        header[32..].copy_from_slice(&length.to_le_bytes());
        let cipher = Aes256Gcm::new((&*key.0).into());
        let stream = StreamBE32::from_aead(cipher, NONCE_PREFIX.into());
        Ok(Self {
            stream,
            header,
            index: 0,
            remaining: Some(length),
        })
    }

    /// Plaintext bytes of the next segment.
    fn next_length(&self) -> Option<usize> {
        let full = SEGMENT_LENGTH as u64;
        self.remaining.map(|remaining| remaining.min(full) as usize)
    }

    /// Whether the next segment is the last.
    fn is_last(&self) -> bool {
        self.remaining
            .is_some_and(|remaining| remaining <= SEGMENT_LENGTH as u64)
    }

    fn advance(&mut self) {
        if self.is_last() {
            self.remaining = None;
            return;
        }
        self.remaining = self.remaining.map(|remaining| remaining - SEGMENT_LENGTH as u64);
        self.index += 1;
    }
}

/// Encrypts a file of known length from front to back, one segment in memory.
pub struct Sealer(Position);

impl Sealer {
    /// Begins a file of `length` plaintext bytes, the only one that the key seals: it is taken for that reason. To open
    /// the file later, keep the bytes of the key.
    ///
    /// # Errors
    /// [`SegmentError::TooLong`].
    pub fn new(key: FileKey, length: u64) -> Result<Self, SegmentError> {
        Position::new(&key, length).map(Self)
    }

    /// What stands in front of the first segment.
    pub const fn header(&self) -> &[u8; HEADER_LENGTH] {
        &self.0.header
    }

    /// Plaintext bytes that the next segment takes; `None` when the file is complete.
    pub fn next_length(&self) -> Option<usize> {
        self.0.next_length()
    }

    /// Encrypts the next segment in place; `buffer` grows by [`TAG_LENGTH`].
    ///
    /// # Errors
    /// [`SegmentError::SegmentLength`], [`SegmentError::Trailing`] after the last segment; nothing has happened.
    pub fn seal(&mut self, buffer: &mut Vec<u8>) -> Result<(), SegmentError> {
        let found = buffer.len();
        let expected = self
            .next_length()
            .ok_or(SegmentError::Trailing { found: found as u64 })?;
        if found != expected {
            return Err(SegmentError::SegmentLength { expected, found });
        }
        let Position {
            stream,
            header,
            index,
            ..
        } = &self.0;
        stream
            .encrypt_in_place(*index, self.0.is_last(), header, buffer)
            .expect("a segment is far below the limit of AES-GCM and a vector can grow");
        self.0.advance();
        Ok(())
    }
}

/// Decrypts a file from front to back, one segment in memory. What it has given out is authentic; that the file
/// is complete is only known once [`finish`](Opener::finish) agrees.
pub struct Opener(Position);

impl Opener {
    /// Begins with the header.
    ///
    /// # Errors
    /// [`SegmentError::WrongKey`], [`SegmentError::TooLong`].
    pub fn new(key: &FileKey, header: &[u8; HEADER_LENGTH]) -> Result<Self, SegmentError> {
        let length = u64::from_le_bytes(std::array::from_fn(|n| header[32 + n]));
        if header[..32] != *key.check().as_bytes() {
            return Err(SegmentError::WrongKey);
        }
        Position::new(key, length).map(Self)
    }

    /// Sealed bytes that the next segment takes; `None` when the file is complete.
    pub fn next_length(&self) -> Option<usize> {
        self.0.next_length().map(|length| length + TAG_LENGTH)
    }

    /// Decrypts the next segment in place; `buffer` shrinks by [`TAG_LENGTH`]. On an error it holds no plaintext,
    /// and the same segment may be tried again with other bytes.
    ///
    /// # Errors
    /// [`SegmentError::Corrupt`], [`SegmentError::SegmentLength`], [`SegmentError::Trailing`] after the last segment.
    pub fn open(&mut self, buffer: &mut Vec<u8>) -> Result<(), SegmentError> {
        let found = buffer.len();
        let expected = self
            .next_length()
            .ok_or(SegmentError::Trailing { found: found as u64 })?;
        if found != expected {
            return Err(SegmentError::SegmentLength { expected, found });
        }
        let Position {
            stream,
            header,
            index,
            ..
        } = &self.0;
        if stream
            .decrypt_in_place(*index, self.0.is_last(), header, buffer)
            .is_err()
        {
            buffer.clear();
            return Err(SegmentError::Corrupt { index: *index });
        }
        self.0.advance();
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`SegmentError::Truncated`] when segments are missing.
    pub fn finish(self) -> Result<(), SegmentError> {
        match self.0.remaining {
            None => Ok(()),
            Some(remaining) => Err(SegmentError::Truncated {
                missing: sealed_segments(remaining),
            }),
        }
    }
}

/// Bytes of a sealed file with this many bytes of plaintext, at most [`MAX_LENGTH`].
pub const fn sealed_length(length: u64) -> u64 {
    HEADER_LENGTH as u64 + sealed_segments(length)
}

const fn sealed_segments(length: u64) -> u64 {
    let segments = if length == 0 {
        1
    } else {
        length.div_ceil(SEGMENT_LENGTH as u64)
    };
    length + segments * TAG_LENGTH as u64
}

/// Seals a file that fits in memory, the only one that the key seals.
///
/// # Errors
/// [`SegmentError::TooLong`].
pub fn seal(key: FileKey, plaintext: &[u8]) -> Result<Vec<u8>, SegmentError> {
    let mut sealer = Sealer::new(key, plaintext.len() as u64)?;
    let mut sealed = sealer.header().to_vec();
    let mut rest = plaintext;
    while let Some(length) = sealer.next_length() {
        let (segment, after) = rest.split_at(length);
        let mut buffer = segment.to_vec();
        sealer.seal(&mut buffer)?;
        sealed.append(&mut buffer);
        rest = after;
    }
    Ok(sealed)
}

/// Opens a file that fits in memory. Allocates no more than the input has bytes, whatever its header says.
///
/// # Errors
/// [`SegmentError`].
pub fn open(key: &FileKey, sealed: &[u8]) -> Result<Vec<u8>, SegmentError> {
    let missing = (HEADER_LENGTH as u64).saturating_sub(sealed.len() as u64);
    let (header, mut rest) = sealed
        .split_first_chunk()
        .ok_or(SegmentError::Truncated { missing })?;
    let mut opener = Opener::new(key, header)?;
    let mut plaintext = Vec::new();
    while let Some(length) = opener.next_length() {
        let Some((segment, after)) = rest.split_at_checked(length) else {
            let remaining = opener.0.remaining.map_or(0, sealed_segments);
            return Err(SegmentError::Truncated {
                missing: remaining - rest.len() as u64,
            });
        };
        let mut buffer = segment.to_vec();
        opener.open(&mut buffer)?;
        plaintext.append(&mut buffer);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(SegmentError::Trailing {
            found: rest.len() as u64,
        });
    }
    opener.finish()?;
    Ok(plaintext)
}

#[cfg(test)]
mod tests;
