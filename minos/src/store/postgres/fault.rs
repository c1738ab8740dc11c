//! What PostgreSQL's errors mean for a caller.

use std::borrow::Cow;

use crate::store::Error;

/// The SQLSTATE of an error that the server reported.
pub(super) fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// The connection died, or says what nobody can understand: whether a statement in flight had an effect is unknown.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        // The backend was told to end. It may have been told so after it had committed.
        other => code(other).is_some_and(|c| c.starts_with("57P")),
    }
}

/// Somebody else holds a lock, or the server asks to try again: the same statement may succeed later.
pub(super) fn is_passing(code: &str) -> bool {
    matches!(code, "55P03" | "40P01" | "40001" | "57014")
}

/// The server cannot be used now: too many connections, starting, read-only, out of space or memory.
fn is_away(code: &str) -> bool {
    is_passing(code)
        || code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57P")
        || matches!(code, "25006" | "58030")
}

/// An error after which nothing was written.
pub(super) fn explain(error: sqlx::Error) -> Error {
    if let sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) = &error {
        return Error::Corrupt(error.to_string());
    }
    let away = is_lost(&error) || code(&error).is_some_and(|c| is_away(&c));
    match code(&error).as_deref() {
        // Pages or indexes that cannot be read.
        Some("XX001" | "XX002") => Error::Corrupt(error.to_string()),
        _ if away => Error::Unavailable(error.into()),
        _ => Error::Backend(error.into()),
    }
}

/// The same for what a function caught: a SQLSTATE and its text.
pub(super) fn raised(code: &str, text: &str) -> Error {
    let cause = format!("{text} (SQLSTATE {code})");
    if is_away(code) {
        Error::Unavailable(cause.into())
    } else {
        Error::Backend(cause.into())
    }
}
