//! Where the tables are, and texts that fit into an index.

use std::borrow::Cow;

use uuid::Uuid;

use crate::store::{Error, Result};

/// The service's own schema.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    name: String,
    prefix: String,
}

impl Schema {
    /// # Errors
    /// [`Error::Unsupported`] for a name that PostgreSQL does not take.
    pub(super) fn new(name: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let text = format!("`{name}` cannot be the name of a schema: {why}");
            Err(Error::Unsupported(text))
        };
        if name.is_empty() || name.contains('\0') {
            return refuse("it is empty or has a NUL character");
        }
        if name.len() > 63 {
            return refuse("it has more than 63 bytes");
        }
        if name.starts_with("pg_") || name == "information_schema" {
            return refuse("PostgreSQL keeps it for itself");
        }
        let prefix = format!("{}.minos_", quoted(name));
        Ok(Self {
            name: name.to_owned(),
            prefix,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name as it stands in SQL.
    pub(super) fn quoted(&self) -> String {
        quoted(&self.name)
    }

    /// SQL in which our tables (`minos_..`) are those of this schema, whatever the search path says.
    pub(super) fn sql(&self, text: &str) -> String {
        text.replace("minos_", &self.prefix)
    }

    /// The channel of notifications.
    pub(super) fn channel(&self) -> String {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, self.name.as_bytes());
        format!("minos-{id}")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// How long a text may be to stand in an index as it is.
const BRIEF: usize = 900;

/// A text that fits into an index: a long one is cut, with two digests of all of it, and stays longer than any other.
pub(super) fn brief(text: &str) -> Cow<'_, str> {
    if text.len() <= BRIEF {
        return Cow::Borrowed(text);
    }
    let digest = |space: &Uuid| Uuid::new_v5(space, text.as_bytes());
    let head = &text[..text.floor_char_boundary(BRIEF)];
    Cow::Owned(format!(
        "{head}\u{1}{}{}",
        digest(&Uuid::NAMESPACE_OID),
        digest(&Uuid::NAMESPACE_URL)
    ))
}

/// A text without the one character that PostgreSQL cannot keep.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_named_in_every_table() {
        let schema = Schema::new("a\"b").unwrap();
        let sql = schema.sql("SELECT 1 FROM minos_heads h, minos_events");
        assert_eq!(
            sql,
            "SELECT 1 FROM \"a\"\"b\".minos_heads h, \"a\"\"b\".minos_events"
        );
        for bad in ["", "pg_x", "a\0", &"x".repeat(64)] {
            assert!(Schema::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn long_texts_are_told_apart() {
        let long = "ä".repeat(10_000);
        let other = format!("{long}x");
        assert!((BRIEF + 1..1000).contains(&brief(&long).len()));
        assert_ne!(brief(&long), brief(&other));
        assert_eq!(brief("short"), "short");
    }
}
