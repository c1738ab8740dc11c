//! The tables that `minos_commit` takes, column by column, in the order of its parameters.

use chrono::{DateTime, Utc};
use sqlx::{Arguments, error::BoxDynError, postgres::PgArguments};
use uuid::Uuid;

/// How many parameters there are.
pub(super) const PARAMETERS: usize = 90;

/// A table kept by its columns.
pub(super) trait Table {
    /// Binds all columns; as null if there is no row, which costs the function nothing.
    fn bind(&self, to: &mut PgArguments) -> Result<(), BoxDynError>;
}

/// Writes a row, and the table of such rows.
macro_rules! table {
    ($table:ident, $row:ident { $($column:ident: $type:ty),* $(,)? }) => {
        pub(super) struct $row<'a> {
            $(pub(super) $column: $type,)*
            pub(super) of: std::marker::PhantomData<&'a ()>,
        }

        #[derive(Default)]
        pub(super) struct $table<'a> {
            $($column: Vec<$type>,)*
            of: std::marker::PhantomData<&'a ()>,
        }

        impl<'a> $table<'a> {
            /// Adds a row and answers its place, counted from one as SQL does.
            pub(super) fn push(&mut self, row: $row<'a>) -> i32 {
                self.of = row.of;
                $(self.$column.push(row.$column);)*
                let lengths = [$(self.$column.len()),*];
                super::columns::place(lengths[0])
            }
        }

        impl Table for $table<'_> {
            fn bind(&self, to: &mut PgArguments) -> Result<(), BoxDynError> {
                $(to.add((!self.$column.is_empty()).then_some(&self.$column))?;)*
                Ok(())
            }
        }
    };
}

/// A number as the function counts.
pub(super) fn place(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

table!(Units, Unit { id: Uuid, at: DateTime<Utc>, trace: bool });
table!(Inbox, InboxRow {
    number: i32,
    unit: Uuid,
    consumer: &'a str,
    message: Uuid,
    status: Option<&'a str>,
    payload: Option<&'a str>,
});
table!(Marks, MarkRow {
    number: i32,
    unit: Uuid,
    consumer: &'a str,
    aggregate: &'a str,
    stream: Uuid,
    version: Option<i64>,
    tail: Option<Uuid>,
    reached: i64,
    last: Uuid,
});
table!(Guards, GuardRow {
    number: i32,
    aggregate: &'a str,
    id: Uuid,
    version: Option<i64>,
    tail: Option<Uuid>,
    reached: Option<i64>,
    last: Option<Uuid>,
    state: Option<&'a str>,
    at: DateTime<Utc>,
});
table!(Events, EventRow {
    guard: i32,
    at: DateTime<Utc>,
    version: i64,
    id: Uuid,
    name: &'a str,
    payload: &'a str,
    headers: String,
});
table!(Claims, ClaimRow { guard: i32, field: &'a str, brief: Option<String> });
table!(Outbox, OutboxRow { number: i32, envelope: String, payload: &'a str });
table!(Sagas, SagaColumns {
    number: i32,
    id: Uuid,
    name: &'a str,
    version: i64,
    status: &'a str,
    due: Option<DateTime<Utc>>,
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
    body: &'a str,
});
table!(History, HistoryRow { saga: i32, entry: i32, body: &'a str });
table!(
    Fired,
    FiredRow {
        number: i32,
        id: Uuid
    }
);
table!(Timers, TimerRow {
    number: i32,
    id: Uuid,
    due: DateTime<Utc>,
    envelope: String,
    payload: &'a str,
});
table!(Views, ViewRow {
    number: i32,
    view: &'a str,
    brief: String,
    key: Option<&'a str>,
    body: Option<&'a str>,
});
table!(
    Revived,
    RevivedRow {
        number: i32,
        id: Uuid,
        again: bool
    }
);
table!(Letters, LetterRow {
    number: i32,
    id: Uuid,
    consumer: String,
    key: String,
    brief: String,
    error: String,
    attempts: i64,
    at: DateTime<Utc>,
    envelope: String,
    payload: &'a [u8],
    kind: &'a str,
    name: String,
    topic: String,
    version: Option<i64>,
    reason: &'a str,
    details: String,
    bytes: Option<&'a [u8]>,
});
