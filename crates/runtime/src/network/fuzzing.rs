//! What the fuzz targets see of the decoders in here, which nobody else calls from outside.

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use types::PeerId;

use super::frames::Frames;
use super::identity::{self, Identity, Incarnation};

/// What a stream said, as far as it is sound.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// The four bytes of its header.
    pub header: Option<[u8; 4]>,
    /// Its frames.
    pub frames: Vec<Bytes>,
    /// Whether it ends inside of a header or frame.
    pub is_inside: bool,
}

/// Reads a stream that arrives in these pieces, whose frames may have `limit` bytes.
pub fn stream<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: u32) -> Said {
    let mut frames = Frames::default();
    let mut said = Said {
        header: None,
        frames: Vec::new(),
        is_inside: false,
    };
    'pieces: for piece in pieces {
        frames.feed(Bytes::copy_from_slice(piece));
        if said.header.is_none() {
            match frames.header() {
                Ok(Some(header)) => said.header = Some(header.encode()),
                Ok(None) => continue,
                Err(_) => return said,
            }
        }
        loop {
            match frames.frame(limit) {
                Ok(Some(frame)) => said.frames.push(frame),
                Ok(None) => continue 'pieces,
                Err(_) => return said,
            }
        }
    }
    said.is_inside = frames.is_inside();
    said
}

/// The key and the incarnation that a certificate names.
pub fn certificate(bytes: &[u8]) -> Option<(PeerId, Incarnation)> {
    identity::read(&CertificateDer::from(bytes)).ok()
}

/// A certificate as nodes show it.
pub fn own_certificate() -> Vec<u8> {
    let identity = Identity::new(&[7; 32], b"chain").expect("a seed makes a key");
    identity.certificate.to_vec()
}
