//! Types that Minos can send and store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A type that Minos can send and store. `#[model]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    label = "not a type that minos can send or store",
    note = "add `#[model]` to `{Self}`"
)]
pub trait Model:
    Serialize + DeserializeOwned + JsonSchema + Clone + Debug + PartialEq + Send + Sync + 'static
{
}

macro_rules! models {
    ($($t:ty),* $(,)?) => { $(
        // Errors then list the user's models, not these.
        #[diagnostic::do_not_recommend]
        impl Model for $t {}
    )* };
}
models! {
    bool, char, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, String, Uuid,
    DateTime<Utc>, NaiveDate, NaiveDateTime, NaiveTime, serde_json::Value,
}

impl<T: Model> Model for Option<T> {}
impl<T: Model> Model for Vec<T> {}
impl<T: Model> Model for Box<T> {}
impl<T: Model + Ord> Model for BTreeSet<T> {}
impl<K: Model + Ord, V: Model> Model for BTreeMap<K, V> {}
impl<A: Model, B: Model> Model for (A, B) {}
impl<A: Model, B: Model, C: Model> Model for (A, B, C) {}
