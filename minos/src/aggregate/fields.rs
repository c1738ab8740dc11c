//! Typed conditions on the fields of an aggregate.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
};

use serde::Serialize;

use super::{Aggregate, Root, root};
use crate::{
    context::Context,
    error::Result,
    store::{Condition, Find, Order},
};

/// A field of `A` with values of type `T`. `Foo::fields()` has them all.
pub struct Field<A, T> {
    name: &'static str,
    of: PhantomData<fn() -> (A, T)>,
}

impl<A, T> Clone for Field<A, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, T> Copy for Field<A, T> {}

impl<A, T> fmt::Debug for Field<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What must hold of an `A`.
pub struct Filter<A> {
    condition: Condition,
    of: PhantomData<fn() -> A>,
}

impl<A> fmt::Debug for Filter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

/// One key of an order of `A`s.
pub struct Sort<A> {
    order: Order,
    of: PhantomData<fn() -> A>,
}

impl<A> fmt::Debug for Sort<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.order.fmt(f)
    }
}

impl<A, T> Field<A, T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            of: PhantomData,
        }
    }

    /// From the smallest up.
    #[must_use]
    pub fn asc(self) -> Sort<A> {
        self.sort(false)
    }

    /// From the largest down.
    #[must_use]
    pub fn desc(self) -> Sort<A> {
        self.sort(true)
    }

    fn sort(self, descending: bool) -> Sort<A> {
        Sort {
            order: Order {
                field: self.name.to_owned(),
                descending,
            },
            of: PhantomData,
        }
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident $variant:ident;)*) => { $(
        $(#[$doc])*
        pub fn $name(self, value: impl Into<T>) -> Filter<A> {
            Filter::of(Condition::$variant(self.name.to_owned(), json(&value.into())))
        }
    )* };
}

impl<A, T: Serialize> Field<A, T> {
    comparisons! {
        /// It equals the value.
        eq Eq;
        /// It does not equal the value.
        ne Ne;
        /// It is less than the value.
        lt Lt;
        /// It is less than the value, or equals it.
        le Le;
        /// It is greater than the value.
        gt Gt;
        /// It is greater than the value, or equals it.
        ge Ge;
    }

    /// It equals one of the values.
    pub fn is_in(self, values: impl IntoIterator<Item = T>) -> Filter<A> {
        Filter::of(Condition::In(
            self.name.to_owned(),
            values.into_iter().map(|v| json(&v)).collect(),
        ))
    }
}

/// A value that is no JSON (a map with structured keys) equals nothing but `null`.
fn json<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

impl<A> Filter<A> {
    fn of(condition: Condition) -> Self {
        Self {
            condition,
            of: PhantomData,
        }
    }

    /// Always holds.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Condition::All)
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(Condition::And(vec![self.condition, other.condition]))
    }

    /// One of them holds, or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::of(Condition::Or(vec![self.condition, other.condition]))
    }

    /// The condition itself.
    #[must_use]
    pub fn into_condition(self) -> Condition {
        self.condition
    }
}

impl<A> std::ops::Not for Filter<A> {
    type Output = Self;

    fn not(self) -> Self {
        Self::of(Condition::Not(Box::new(self.condition)))
    }
}

impl<A, T> From<Field<A, T>> for Sort<A> {
    fn from(field: Field<A, T>) -> Self {
        field.asc()
    }
}

/// A search for aggregates; `.await` runs it.
#[must_use = "a search does nothing until it is awaited"]
pub struct FindAggregates<'a, A> {
    cx: &'a Context,
    find: Find,
    of: PhantomData<fn() -> A>,
}

impl<A> fmt::Debug for FindAggregates<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.find.fmt(f)
    }
}

impl<'a, A: Aggregate> FindAggregates<'a, A> {
    pub(super) fn new(cx: &'a Context, filter: Filter<A>) -> Self {
        let find = Find {
            condition: filter.condition,
            ..Find::all(A::NAME)
        };
        Self {
            cx,
            find,
            of: PhantomData,
        }
    }

    /// Orders the answer; a second call breaks the ties of the first.
    pub fn order_by(mut self, sort: impl Into<Sort<A>>) -> Self {
        self.find.order.push(sort.into().order);
        self
    }

    /// At most so many; 1000 unless said otherwise.
    pub fn limit(mut self, limit: u32) -> Self {
        self.find.limit = limit;
        self
    }

    /// Leaves out the first ones.
    pub fn offset(mut self, offset: u32) -> Self {
        self.find.offset = offset;
        self
    }
}

impl<'a, A: Aggregate> IntoFuture for FindAggregates<'a, A> {
    type Output = Result<Vec<Root<A>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(root::find(self.cx, self.find))
    }
}
