//! One digest for all objects, kept up to date by what changes.
//!
//! The *root* of a state is the multiset of its objects' digests, each of which names an object and its version. What a commit
//! has changed, on balance, is a multiset as well, and both together are the root behind it: so a node hashes what is written and
//! not what is there, and an object that is written ten times in a commit counts once.

use std::collections::BTreeMap;

use crypto::MultisetHash;
use types::{Effects, ObjectDigest, ObjectId, ObjectState};

use crate::state::Live;

/// The root of these objects, each of which is named once.
pub fn root<'a>(objects: impl IntoIterator<Item = &'a Live>) -> MultisetHash {
    let mut root = MultisetHash::EMPTY;
    for live in objects {
        root.insert(live.reference().digest.get().as_bytes());
    }
    root
}

/// What these effects, in the order in which they came about, have changed on balance: [unite](MultisetHash::unite) it with the root
/// before them. They name what they have written over, so nothing is looked up.
pub fn change<'a>(effects: impl IntoIterator<Item = &'a Effects>) -> MultisetHash {
    let mut net = BTreeMap::<ObjectId, (Option<ObjectDigest>, Option<ObjectDigest>)>::new();
    let digest = |state: &ObjectState| state.digest;
    for change in effects.into_iter().flat_map(|effects| &effects.changes) {
        let [before, after] = [&change.before, &change.after].map(|state| state.as_ref().map(digest));
        net.entry(change.id).or_insert((before, after)).1 = after;
    }
    let mut change = MultisetHash::EMPTY;
    for (before, after) in net.into_values().filter(|(before, after)| before != after) {
        if let Some(before) = before {
            change.remove(before.get().as_bytes());
        }
        if let Some(after) = after {
            change.insert(after.get().as_bytes());
        }
    }
    change
}
