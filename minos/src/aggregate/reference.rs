//! References from one aggregate to another.

use std::{borrow::Cow, fmt, hash, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::Subject;
use crate::model::Model;

/// A reference to an aggregate, of this service or of another: its id, and what it points to.
///
/// On the wire it is the id alone.
pub struct Ref<T: Subject> {
    uuid: Uuid,
    to: PhantomData<fn() -> T>,
}

impl<T: Subject> Ref<T> {
    /// A reference to the aggregate with this id.
    #[must_use]
    pub fn new(uuid: Uuid) -> Self {
        Self {
            uuid,
            to: PhantomData,
        }
    }

    /// The aggregate's id.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<T: Subject> From<Uuid> for Ref<T> {
    fn from(uuid: Uuid) -> Self {
        Self::new(uuid)
    }
}

impl<T: Subject> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Subject> Copy for Ref<T> {}

impl<T: Subject> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<T: Subject> Eq for Ref<T> {}

impl<T: Subject> hash::Hash for Ref<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<T: Subject> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", T::NAME, self.uuid)
    }
}

impl<T: Subject> Serialize for Ref<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.uuid.serialize(s)
    }
}

impl<'de, T: Subject> Deserialize<'de> for Ref<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Uuid::deserialize(d).map(Self::new)
    }
}

impl<T: Subject> JsonSchema for Ref<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("RefTo{}", T::NAME).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Uuid::json_schema(generator)
    }
}

impl<T: Subject> Model for Ref<T> {}
