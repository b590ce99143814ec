//! The state as transactions see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Audit, Content, Object, ObjectDigest, ObjectId, ObjectRef, ObjectState};

/// An object as it is now, with its digest, which is computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live(Arc<(Object, ObjectDigest)>);

impl Live {
    /// The object, hashed.
    pub fn new(object: Object) -> Self {
        let digest = object.digest();
        Self(Arc::new((object, digest)))
    }

    /// The object.
    pub fn object(&self) -> &Object {
        &self.0.0
    }

    /// Names this version of it.
    pub fn reference(&self) -> ObjectRef {
        let (object, digest) = &*self.0;
        ObjectRef {
            id: object.id,
            version: object.version,
            digest: *digest,
        }
    }

    /// What effects say of it.
    pub fn state(&self) -> ObjectState {
        let (object, digest) = &*self.0;
        ObjectState {
            version: object.version,
            digest: *digest,
            owner: object.owner,
        }
    }
}

/// Where objects are looked up. A lookup is that of one moment: between two commits.
pub trait Objects {
    /// The latest version of an object; `None` if it was never there, or is deleted.
    fn get(&self, id: &ObjectId) -> Option<Live>;
}

/// A state that can be gone through: what an epoch needs to close.
pub trait Index: Objects {
    /// The ids of all targets that are not settled, ascending. Those that only wait to be claimed may be many, and wait for long.
    fn unsettled(&self) -> Vec<ObjectId>;
}

/// Whether it is a target that is not settled.
pub(crate) fn is_unsettled(content: &Content) -> bool {
    match content {
        Content::Target(target) => {
            let fill = target.fill.as_ref();
            fill.is_none_or(|fill| fill.audit != Audit::Valid)
        }
        _ => false,
    }
}

/// A state in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(BTreeMap<ObjectId, Live>);

impl Memory {
    /// Every object, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &Live> {
        self.0.values()
    }

    /// Puts in what a transaction wrote, and takes out what it deleted.
    pub fn apply(&mut self, writes: impl IntoIterator<Item = (ObjectId, Option<Live>)>) {
        for (id, object) in writes {
            match object {
                Some(object) => self.0.insert(id, object),
                None => self.0.remove(&id),
            };
        }
    }
}

impl FromIterator<Object> for Memory {
    fn from_iter<T: IntoIterator<Item = Object>>(objects: T) -> Self {
        let objects = objects.into_iter();
        Self(objects.map(|object| (object.id, Live::new(object))).collect())
    }
}

impl Index for Memory {
    fn unsettled(&self) -> Vec<ObjectId> {
        let unsettled = self.iter().filter(|live| is_unsettled(&live.object().content));
        unsettled.map(|live| live.object().id).collect()
    }
}

impl Objects for Memory {
    fn get(&self, id: &ObjectId) -> Option<Live> {
        self.0.get(id).cloned()
    }
}
