//! What peers and strangers may do to a node's network, on real sockets.

mod world;

#[path = "network/answers.rs"]
mod answers;
#[path = "network/bounds.rs"]
mod bounds;
#[path = "network/dialling.rs"]
mod dialling;
#[path = "network/ending.rs"]
mod ending;
#[path = "network/flood.rs"]
mod flood;
#[path = "network/frames.rs"]
mod frames;
#[path = "network/identity.rs"]
mod identity;
#[path = "network/raw.rs"]
mod raw;
#[path = "network/scene.rs"]
mod scene;
#[path = "network/stalled.rs"]
mod stalled;
