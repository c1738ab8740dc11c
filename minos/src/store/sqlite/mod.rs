//! The embedded event store in an SQLite file.
