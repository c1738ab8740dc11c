//! What failures of SQLite mean to whoever uses the broker.

use std::sync::Arc;

use crate::broker::Error;

/// SQLite's codes for a file that is locked, full, gone, or cannot be read or written at the moment.
const AWAY: [u32; 6] = [5, 6, 8, 10, 13, 14];

fn code(e: &sqlx::Error) -> Option<u32> {
    let code = e.as_database_error()?.code()?;
    // The low byte is the kind, the rest says more about it.
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Another connection has the lock; the same call may succeed in a moment.
pub(super) fn is_busy(e: &sqlx::Error) -> bool {
    matches!(code(e), Some(5 | 6))
}

pub(super) fn from(e: sqlx::Error) -> Error {
    shared(&Arc::new(e))
}

/// One failure that several callers are told.
pub(super) fn shared(e: &Arc<sqlx::Error>) -> Error {
    let away = match &**e {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        e => code(e).is_some_and(|code| AWAY.contains(&code)),
    };
    let source = Box::new(Arc::clone(e));
    if away {
        Error::Unavailable(source)
    } else {
        Error::Backend(source)
    }
}

pub(super) fn closed() -> Error {
    Error::Unavailable("the broker is closed".into())
}
