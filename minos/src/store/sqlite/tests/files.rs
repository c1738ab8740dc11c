//! The file: other processes, full disks, damage.

use std::{collections::BTreeSet, process::Command, sync::Arc, time::Duration};

use sqlx::{ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};
use tokio::time::timeout;
use uuid::Uuid;

use super::{File, PATIENCE, adding, assert_whole, insist, stream};
use crate::store::{
    Error, InboxMark, Position, Store as _, StreamId, UnitOfWork, old_letters,
    sqlite::{Options, Store, schema::MIGRATIONS},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_on_one_file_lose_nothing() {
    const TASKS: usize = 8;
    const EVENTS: usize = 30;
    let file = File::new();
    let stores = [
        file.open(Options::default()).await,
        file.open(Options::default()).await,
    ];
    let streams: Arc<Vec<StreamId>> = Arc::new((0..3).map(|_| stream()).collect());
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (store, streams) = (stores[n % 2].clone(), streams.clone());
            tokio::spawn(async move {
                let mut lost = 0;
                for i in 0..EVENTS {
                    lost += insist(&store, &streams[(n + i) % streams.len()]).await;
                }
                lost
            })
        })
        .collect();
    let mut lost = 0;
    for task in tasks {
        lost += timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    assert!(lost > 0, "they never met");
    for store in &stores {
        assert_whole(store, TASKS * EVENTS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_another_process_are_announced() {
    let file = File::new();
    let here = file.open(Options::default()).await;
    let there = file.open(Options::default()).await;
    let mut changes = here.changes();
    for _ in 0..3 {
        // The first look may see what opening wrote.
        while timeout(Duration::from_millis(200), changes.changed())
            .await
            .is_ok()
        {}
        insist(&there, &stream()).await;
        timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_openers_migrate_once() {
    let file = File::new();
    let path = file.path();
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = Store::open(&path, Options::default()).await.unwrap();
                insist(&store, &stream()).await;
                store
            })
        })
        .collect();
    let mut stores = Vec::new();
    for opener in openers {
        stores.push(timeout(PATIENCE, opener).await.unwrap().unwrap());
    }
    for store in &stores {
        assert_whole(store, 8).await;
        store.close().await;
    }
    let again = file.open(Options::default()).await;
    assert_whole(&again, 8).await;
}

#[tokio::test]
async fn dead_letters_of_an_older_version_stay_what_they_were() {
    let file = File::new();
    std::fs::create_dir_all(file.folder.path().join("data")).unwrap();
    let options = SqliteConnectOptions::new().filename(file.path());
    let mut old = options.create_if_missing(true).connect().await.unwrap();
    let meta = "CREATE TABLE minos_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID; \
                INSERT INTO minos_meta VALUES ('schema', 1)";
    old.execute(meta).await.unwrap();
    old.execute(MIGRATIONS[0]).await.unwrap();
    for letter in old_letters::all() {
        sqlx::query(
            "INSERT INTO minos_dead_letters (id, consumer, key, error, attempts, at, envelope, payload) \
             VALUES (?, ?, ?, ?, 0, 0, ?, '{}')",
        )
        .bind(letter.id)
        .bind(letter.consumer)
        .bind(old_letters::SUBJECT.to_string())
        .bind(&letter.error)
        .bind(letter.envelope(0))
        .execute(&mut old)
        .await
        .unwrap();
    }
    old.close().await.unwrap();
    old_letters::stand(&*file.open(Options::default()).await).await;
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_refused() {
    let file = File::new();
    file.open(Options::default()).await.close().await;
    let mut stranger = file.stranger().await;
    sqlx::query("UPDATE minos_meta SET value = 999 WHERE key = 'schema'")
        .execute(&mut stranger)
        .await
        .unwrap();
    let refused = Store::open(&file.path(), Options::default()).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("newer version"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let file = File::new();
    std::fs::create_dir_all(file.folder.path().join("data")).unwrap();
    std::fs::write(
        file.path(),
        "hello, this is not a database at all".repeat(200),
    )
    .unwrap();
    let refused = Store::open(&file.path(), Options::default()).await;
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_stores_exactly_what_was_acknowledged() {
    let file = File::new();
    let options = Options {
        max_pages: Some(150),
        ..Options::default()
    };
    let store = file.open(options).await;
    let text = "x".repeat(3000);
    let tasks: Vec<_> = (0..400)
        .map(|n: usize| {
            let store = store.clone();
            // Some are large: they fail first, and small neighbours must not suffer for it.
            let text = if n.is_multiple_of(7) {
                text.repeat(6)
            } else {
                text.clone()
            };
            let unit = adding(&stream(), None, &text[..text.len() / (1 + n % 5)]);
            tokio::spawn(async move {
                let id = unit.writes[0].events[0].id;
                (id, store.commit(unit).await)
            })
        })
        .collect();
    let (mut acknowledged, mut refused) = (BTreeSet::new(), 0);
    for task in tasks {
        match timeout(PATIENCE, task).await.unwrap().unwrap() {
            (id, Ok(())) => drop(acknowledged.insert(id)),
            (_, Err(Error::Unavailable(_))) => refused += 1,
            (_, Err(e)) => panic!("{e:?}"),
        }
    }
    assert!(refused > 50 && acknowledged.len() > 50, "{refused}");
    store.close().await;
    let again = file.open(Options::default()).await;
    let log = again.events(Position::START, 10_000).await.unwrap();
    let stored: BTreeSet<_> = log.iter().map(|e| e.id).collect();
    assert_eq!(stored, acknowledged);
    assert_whole(&again, acknowledged.len()).await;
    // With room again, the store goes on.
    insist(&again, &stream()).await;
}

/// Lets SQLite raise in the middle of a batch, once in the mildest and once in the worst way.
#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_raises_fails_alone() {
    for (how, trouble) in [("ABORT", 1), ("ROLLBACK", 3)] {
        let file = File::new();
        let store = file.open(Options::default()).await;
        let mut stranger = file.stranger().await;
        let trigger = format!(
            "CREATE TRIGGER poison BEFORE INSERT ON minos_events WHEN NEW.name = 'Poison' \
             BEGIN SELECT RAISE({how}, 'poisoned'); END"
        );
        sqlx::query(sqlx::AssertSqlSafe(trigger))
            .execute(&mut stranger)
            .await
            .unwrap();
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let mut unit = adding(&stream(), None, "x");
                if n < trouble {
                    unit.writes[0].events[0].name = "Poison".to_owned();
                }
                let store = store.clone();
                tokio::spawn(async move { (n, store.commit(unit).await) })
            })
            .collect();
        for task in tasks {
            match timeout(PATIENCE, task).await.unwrap().unwrap() {
                (n, Ok(())) => assert!(n >= trouble),
                (n, Err(Error::Backend(_))) => assert!(n < trouble),
                (n, Err(e)) => panic!("{n}: {e:?}"),
            }
        }
        assert_whole(&store, 64 - trouble).await;
    }
}

/// The file that the child of the next test writes.
const CHILD: &str = "MINOS_TEST_DISK";

/// How many units the child submits.
const SUBMITTED: usize = 3000;

/// The unit with this number, the same in parent and child.
fn numbered(n: usize) -> UnitOfWork {
    let id = |of: u128| Uuid::from_u128(of << 64 | n as u128);
    let mut unit = adding(&StreamId::new("Toy", id(1)), None, &"x".repeat(2000));
    unit.id = id(2);
    unit.writes[0].events[0].id = id(3);
    unit.inbox = Some(InboxMark {
        consumer: "toys".to_owned(),
        message: id(4),
        outcome: None,
    });
    unit
}

/// A commit that cannot reach the disk (here: the file must not grow) has an unknown outcome, and so has all that comes
/// after it; what was acknowledged is there, and submitting everything again makes each unit be there once.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_reach_the_disk_is_unknown() {
    let file = File::new();
    file.open(Options::default()).await.close().await;
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "store::sqlite::tests::files::child",
        ])
        .env(CHILD, file.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let numbers = |what: &str| -> BTreeSet<usize> {
        let lines = told.lines().filter_map(|line| line.strip_prefix(what));
        lines.map(|n| n.parse().unwrap()).collect()
    };
    let (acknowledged, unknown) = (numbers("acknowledged "), numbers("unknown "));
    assert!(!acknowledged.is_empty() && !unknown.is_empty());
    assert_eq!(acknowledged.len() + unknown.len(), SUBMITTED);

    let store = file.open(Options::default()).await;
    let log = store.events(Position::START, 100_000).await.unwrap();
    let stored: BTreeSet<_> = log.iter().map(|e| e.id).collect();
    let of = |n: &usize| numbered(*n).writes[0].events[0].id;
    assert!(acknowledged.iter().all(|n| stored.contains(&of(n))));
    for n in 0..SUBMITTED {
        store.commit(numbered(n)).await.unwrap();
    }
    assert_whole(&store, SUBMITTED).await;
}

/// Not a test by itself: the process that meets the limit.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let store = Arc::new(Store::open(&path, Options::default()).await.unwrap());
    let mut tasks = Vec::new();
    for n in 0..SUBMITTED {
        let store = store.clone();
        tasks.push(tokio::spawn(async move { store.commit(numbered(n)).await }));
        if n % 100 == 99 {
            insist_on_progress(&mut tasks, n).await;
        }
    }
    assert!(store.health().await.is_err(), "it must not seem healthy");
}

/// Awaits what was submitted, and tells the parent.
async fn insist_on_progress(
    tasks: &mut Vec<tokio::task::JoinHandle<crate::store::Result<()>>>,
    last: usize,
) {
    let first = last + 1 - tasks.len();
    for (n, task) in (first..).zip(tasks.drain(..)) {
        match timeout(PATIENCE, task).await.unwrap().unwrap() {
            Ok(()) => println!("acknowledged {n}"),
            Err(Error::OutcomeUnknown(_)) => println!("unknown {n}"),
            Err(e) => panic!("{e:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_process_is_waited_for_and_not_forever() {
    let file = File::new();
    let options = Options {
        busy_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let store = file.open(options).await;
    let mut stranger = file.stranger().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut stranger)
        .await
        .unwrap();
    let unit = adding(&stream(), None, "x");
    let late = store.commit(unit.clone()).await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    let begun = store.begin().await;
    assert!(matches!(begun, Err(Error::Unavailable(_))), "{begun:?}");
    assert_whole(&store, 0).await;

    let waiting = {
        let (store, unit) = (store.clone(), unit.clone());
        tokio::spawn(async move { store.commit(unit).await })
    };
    sqlx::query("ROLLBACK")
        .execute(&mut stranger)
        .await
        .unwrap();
    timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
    assert_whole(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_submitted_is_finished_though_nobody_waits() {
    let file = File::new();
    let store = file.open(Options::default()).await;
    for _ in 0..50 {
        let commit = store.commit(adding(&stream(), None, "x"));
        // The first poll submits, then it is dropped.
        timeout(Duration::ZERO, commit).await.ok();
    }
    store.close().await;
    let log = format!("{}-wal", file.path());
    let left = std::fs::metadata(&log).map_or(0, |m| m.len());
    assert_eq!(left, 0, "all is in the one file");
    assert!(matches!(
        store.commit(adding(&stream(), None, "x")).await,
        Err(Error::Unavailable(_))
    ));
    assert!(store.begin().await.is_err());
    assert!(store.health().await.is_err());
    let again = file.open(Options::default()).await;
    assert_whole(&again, 50).await;
}
