//! Dead letters that another version kept, or spoilt, for tests.

use uuid::Uuid;

use super::{LetterFilter, Reason, Store};

/// The aggregate that they are about.
pub(super) const SUBJECT: Uuid = Uuid::from_u128(0xf00);

/// One of them: its consumer, why it was parked, and the version of its event.
pub(super) struct Kept {
    pub(super) id: Uuid,
    pub(super) consumer: &'static str,
    pub(super) error: String,
    version: Option<u64>,
    reason: Reason,
}

impl Kept {
    /// All but its payload, with the time as the backend writes it.
    pub(super) fn envelope(&self, at: impl serde::Serialize) -> String {
        let (id, version) = (self.id, self.version);
        let (kind, name) = match version {
            Some(_) => ("event", "FooUpdated"),
            None => ("command", "DoFoo"),
        };
        serde_json::json!({
            "id": id, "kind": kind, "topic": "Foo", "name": name, "key": SUBJECT, "at": at,
            "headers": { "source": "old", "version": version },
        })
        .to_string()
    }
}

pub(super) fn all() -> Vec<Kept> {
    let stream = format!("Foo/{SUBJECT}");
    let of = |n, consumer, error: &str, version, reason| Kept {
        id: Uuid::from_u128(n),
        consumer,
        error: error.to_owned(),
        version,
        reason,
    };
    let forked = format!("two events claim version 3 of {stream}: the log was forked");
    let missing = format!("versions 3..4 of {stream} are missing");
    let behind = "it queues behind a parked event";
    vec![
        of(1, "A", behind, Some(6), Reason::Behind),
        of(2, "A", "no such foo", Some(5), Reason::Failed),
        of(3, "B", &forked, Some(3), Reason::Fork),
        of(4, "C", &missing, Some(5), Reason::Gap),
        of(5, "relay", "it is too large", Some(7), Reason::Unpublished),
        of(6, "A", "no such foo", None, Reason::Failed),
    ]
}

/// That nothing of them was lost, and that what queues still does.
pub(super) async fn stand(store: &dyn Store) {
    let letters = store.dead_letters(&LetterFilter::all(100)).await.unwrap();
    assert_eq!(letters.len(), all().len());
    for old in all() {
        let letter = store.dead_letter(old.id).await.unwrap().unwrap();
        assert_eq!(letter.consumer, old.consumer);
        assert_eq!(letter.reason, old.reason, "{}", old.error);
        assert_eq!(letter.error, old.error);
        assert_eq!(letter.message.headers.version, old.version);
        let such = LetterFilter {
            kind: Some(letter.message.kind),
            name: Some(letter.message.name.clone()),
            topic: Some("Foo".to_owned()),
            ..LetterFilter::of(old.consumer, 100)
        };
        let found = store.dead_letters(&such).await.unwrap();
        assert!(found.iter().any(|(_, l)| l.id == old.id), "{such:?}");
    }
    let first = store.first_parked("A", &format!("Foo/{SUBJECT}")).await;
    assert_eq!(first.unwrap().unwrap().message.headers.version, Some(5));
}

/// Makes all letters of a file such that they cannot be read; answers how many.
#[cfg(feature = "sqlite")]
pub(crate) async fn spoil(path: &str) -> u64 {
    use sqlx::{Connection, Executor, SqliteConnection};

    let mut file = SqliteConnection::connect(path).await.unwrap();
    let sql = "UPDATE minos_dead_letters SET details = 'x'";
    file.execute(sql).await.unwrap().rows_affected()
}
