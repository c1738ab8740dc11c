//! Aggregates: state that changes by events only.

mod diff;
mod event;
mod fields;
mod reference;
mod root;

use std::{any::TypeId, future::Future};

use uuid::Uuid;

pub use self::{
    event::{Created, Deleted, EventMeta, Updated},
    fields::{Field, Filter, FindAggregates, Sort},
    reference::Ref,
    root::Root,
};
#[doc(hidden)]
pub mod private {
    pub use super::diff::{
        ReadDiff, Stored, diff_schema, read_change, read_diff, stored, write_change,
    };
}
use crate::{context::Context, enroute::At, error::Result, model::Model};

/// Something whose `Created`, `Updated`, and `Deleted` events can be read: an aggregate of this service, or the
/// fields of another service's that this one cares about. `#[aggregate]` and `#[aggregate_ref]` write it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "neither an aggregate nor a reference to one",
    note = "add `#[aggregate]` to `{Self}`, or `#[aggregate_ref]` if another service owns it"
)]
pub trait Subject: Model {
    /// The aggregate's name, also the topic of its events.
    const NAME: &'static str;
    /// The fields that changed.
    type Diff: Model;
    /// The names of the fields; empty if they are not known.
    #[doc(hidden)]
    const FIELDS: &'static [&'static str] = &[];
}

/// State that is kept as events. `#[aggregate]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate of this service",
    label = "not an aggregate",
    note = "add `#[aggregate]` to `{Self}`"
)]
pub trait Aggregate: Subject + PartialEq {
    /// The fields whose value no two living aggregates share (`#[unique]`).
    const UNIQUE: &'static [&'static str];

    /// What changed from `self` to `new`; [`None`] for nothing.
    fn diff(&self, new: &Self) -> Option<Self::Diff>;

    /// Applies a change.
    fn merge(&mut self, diff: &Self::Diff);

    /// Stages a new aggregate: its `Created` event leaves with the unit of work.
    ///
    /// # Errors
    /// [`Kind::Forbidden`](crate::error::Kind::Forbidden) in a query service, which changes nothing.
    fn create(cx: &Context, state: Self) -> Result<Root<Self>> {
        root::create(cx, state)
    }

    /// Reads one aggregate; what this unit of work staged is seen.
    ///
    /// The unit commits only if the aggregate has not moved until then, otherwise the handler runs again.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::error::Kind::NotFound) if it does not exist or was deleted.
    fn get(cx: &Context, uuid: Uuid) -> impl Future<Output = Result<Root<Self>>> + Send {
        root::get(cx, uuid)
    }

    /// Looks for aggregates: `Foo::find(cx, Foo::fields().bar.eq("x")).order_by(..).limit(10).await?`.
    ///
    /// What this unit of work staged is seen. What is found is guarded like any read; what is not found is not: an
    /// aggregate that somebody else creates meanwhile is missed. For uniqueness mark the field `#[unique]`.
    fn find(cx: &Context, filter: Filter<Self>) -> FindAggregates<'_, Self> {
        FindAggregates::new(cx, filter)
    }
}

/// One aggregate of a service, as inventory collects it: its events come from the own log.
#[derive(Debug)]
pub struct AggregateEntry {
    pub(crate) service: fn() -> TypeId,
    pub(crate) name: &'static str,
    pub(crate) at: At,
}

impl AggregateEntry {
    #[doc(hidden)]
    #[must_use]
    pub const fn of<M: 'static, A: Aggregate>(at: At) -> Self {
        Self {
            service: TypeId::of::<M>,
            name: A::NAME,
            at,
        }
    }
}

inventory::collect!(AggregateEntry);
