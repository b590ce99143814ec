//! One digest for all objects, kept up to date by what changes.
//!
//! The *root* of a state is the multiset of its objects' digests, each of which names an object and its version. What a commit
//! has changed, on balance, is a multiset as well, and both together are the root behind it: so a node hashes what is written and
//! not what is there, and an object that is written ten times in a commit counts once.

use crypto::MultisetHash;

use crate::execute::Writes;
use crate::state::{Live, Objects};

/// The root of these objects, each of which is named once.
pub fn root<'a>(objects: impl IntoIterator<Item = &'a Live>) -> MultisetHash {
    let mut root = MultisetHash::EMPTY;
    for live in objects {
        root.insert(live.reference().digest.get().as_bytes());
    }
    root
}

/// What these writes change of the root of the state that they come to: [unite](MultisetHash::unite) both.
pub fn change(objects: &impl Objects, writes: &Writes) -> MultisetHash {
    let mut change = MultisetHash::EMPTY;
    for (id, after) in writes {
        let before = objects.get(id);
        if before == *after {
            continue;
        }
        if let Some(before) = before {
            change.remove(before.reference().digest.get().as_bytes());
        }
        if let Some(after) = after {
            change.insert(after.reference().digest.get().as_bytes());
        }
    }
    change
}
