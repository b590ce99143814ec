//! Who hears what is sent, and changes nothing of it.

use bytes::Bytes;

use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// A packet that a node hands to its network card. What is sent again after a loss is not handed over again.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Who sends it.
    pub from: NodeIndex,
    /// When.
    pub at: VirtualTime,
    /// Its bytes on the wire, with the 60 that a packet has around its content.
    pub size: u64,
    /// Its content, where that is a frame of a stream.
    pub frame: Option<&'a Bytes>,
}

/// Hears of every packet.
pub trait Tap: Send {
    /// A packet is sent.
    fn sent(&mut self, sent: &Sent<'_>);
}
