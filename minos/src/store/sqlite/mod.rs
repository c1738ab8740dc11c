//! The embedded event store in an SQLite file.

use sqlx::{Sqlite, SqliteConnection};
impl super::sql::Backend for Sqlite {
    fn connection(connection: &mut dyn std::any::Any) -> Option<&mut SqliteConnection> {
        connection.downcast_mut()
    }

    fn check(_sql: &str) -> Result<(), String> {
        Ok(())
    }
}
