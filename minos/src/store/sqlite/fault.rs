//! What SQLite's errors mean for a caller.

use crate::store::Error;

/// The primary result code: <https://www.sqlite.org/rescode.html>.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Somebody else holds the lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// The file could not be read, written, or synced: the kernel may have dropped what it could not write, and a second
/// attempt may succeed without it.
pub(super) fn is_io(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(10))
}

/// A constraint that is checked late, such as a deferred foreign key of a user's table. The transaction stays open.
pub(super) fn is_constraint(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(19))
}

/// An error after which nothing was written.
pub(super) fn explain(error: sqlx::Error) -> Error {
    if let sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) = &error {
        return Error::Corrupt(error.to_string());
    }
    let away = matches!(
        &error,
        sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    );
    match code(&error) {
        // Not a database, or a damaged one; JSON that cannot be read.
        Some(11 | 26) => Error::Corrupt(error.to_string()),
        Some(1) if error.to_string().contains("malformed JSON") => {
            Error::Corrupt(error.to_string())
        }
        // Busy, out of memory, read-only, interrupted, I/O, full, cannot open.
        Some(5..=10 | 13 | 14) => Error::Unavailable(error.into()),
        _ if away => Error::Unavailable(error.into()),
        _ => Error::Backend(error.into()),
    }
}
