//! The embedded broker in an SQLite file.
