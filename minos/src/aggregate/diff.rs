//! What the diffs that `#[aggregate]` writes have in common.

use std::{fmt, marker::PhantomData};

use schemars::Schema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};

use crate::model::Model;

/// What an aggregate does with a field of type `T`.
///
/// All generated code asks for it with the same words at the same place, so that rustc reports a field that is
/// no model once.
#[derive(Debug)]
pub struct Stored<T> {
    /// The new value, if it is another one.
    pub change: fn(&T, &T) -> Option<T>,
    /// Takes over a changed value.
    pub put: fn(&mut T, &Option<T>),
}

/// The field can be stored.
#[must_use]
pub const fn stored<T: Model>() -> Stored<T> {
    Stored {
        change: |old, new| (old != new).then(|| new.clone()),
        put: |field, change| {
            if let Some(value) = change {
                field.clone_from(value);
            }
        },
    }
}

/// Writes a field if it changed.
///
/// # Errors
/// The serializer's.
pub fn write_change<M: SerializeMap, T: Serialize>(
    map: &mut M,
    name: &'static str,
    change: &Option<T>,
) -> Result<(), M::Error> {
    match change {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    }
}

/// Reads a field that changed: a change to `null` is a change.
///
/// # Errors
/// If the value does not fit.
pub fn read_change<'de, M: MapAccess<'de>, T: Deserialize<'de>>(
    change: &mut Option<T>,
    map: &mut M,
) -> Result<(), M::Error> {
    *change = Some(map.next_value()?);
    Ok(())
}

/// A diff that knows its fields.
pub trait ReadDiff<'de>: Default {
    /// Reads the value of the field with this name; `false` if there is none.
    ///
    /// # Errors
    /// If the value does not fit.
    fn read_field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<bool, M::Error>;
}

/// Reads a diff; fields that nobody knows any more are skipped.
///
/// # Errors
/// If it is no object, or a value does not fit.
pub fn read_diff<'de, T: ReadDiff<'de>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    d.deserialize_map(Fields(PhantomData))
}

struct Fields<T>(PhantomData<fn() -> T>);

impl<'de, T: ReadDiff<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the changed fields")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<T, M::Error> {
        let mut diff = T::default();
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if !diff.read_field(&name, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(diff)
    }
}

/// The schema of a diff: an object with any of these fields.
#[must_use]
pub fn diff_schema(fields: &[(&str, Schema)]) -> Schema {
    let properties: serde_json::Map<_, _> = fields
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone().into()))
        .collect();
    schemars::json_schema!({ "type": "object", "properties": properties })
}
