//! Transaction numbers begin anew: after a restore into another server, and after a failover.

use sqlx::{Connection, Executor, PgConnection};

use super::{adding, assert_whole, cluster::Cluster, guard, patient, stream};
use crate::store::{
    Error, Position, Store as _,
    postgres::{Options, Store},
};

/// Uses up numbers, so that those of the rows are far ahead of a new server's.
async fn burn(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql =
        "DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
    connection.execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_goes_on_in_a_new_epoch_once_allowed() {
    let old = Cluster::new();
    burn(&old.url("postgres")).await;
    let store = Store::open(&old.url("postgres"), patient()).await.unwrap();
    let id = stream();
    for _ in 0..3 {
        let expected = guard(&store, &id).await;
        store.commit(adding(&id, expected)).await.unwrap();
    }
    let mut unit = adding(&id, guard(&store, &id).await);
    unit.outbox = vec![super::message("k")];
    store.commit(unit).await.unwrap();
    let before = store.events(Position::START, 10).await.unwrap();
    assert_eq!(before.len(), 4);
    let read = before[1].position;
    store.close().await;
    let new = Cluster::new();
    old.restore_into(&new);
    drop(old);
    let store = Store::open(&new.url("postgres"), patient()).await.unwrap();
    for refused in [
        store.events(read, 10).await.map(|events| events.len()),
        store
            .outbox(Position::START, 10)
            .await
            .map(|sent| sent.len()),
        store.health().await.map(|()| 0),
    ] {
        let Err(Error::Unavailable(why)) = refused else {
            panic!("{refused:?}");
        };
        assert!(why.to_string().contains("database.allow_restored"), "{why}");
    }
    // Work goes on; only nothing is published.
    let expected = guard(&store, &id).await;
    assert_eq!(expected.map(|g| g.version), Some(4));
    store.commit(adding(&id, expected)).await.unwrap();
    store.allow_restored().await.unwrap();
    let after = store.events(read, 10).await.unwrap();
    let versions: Vec<_> = after.iter().map(|e| e.version).collect();
    assert_eq!(versions, [3, 4, 5], "a cursor from before goes on");
    assert_eq!(after[2].position.epoch, before[0].position.epoch + 1);
    assert!(
        after[2].position.xid < after[1].position.xid,
        "numbers began anew"
    );
    assert_eq!(store.last_position().await.unwrap(), after[2].position);
    assert_eq!(store.outbox(Position::START, 10).await.unwrap().len(), 1);
    assert_whole(&store, 5).await;
    store.close().await;
    // It stays allowed.
    let store = Store::open(&new.url("postgres"), patient()).await.unwrap();
    assert_whole(&store, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_may_be_allowed_by_configuration() {
    let server = Cluster::new();
    let url = server.url("postgres");
    let store = Store::open(&url, patient()).await.unwrap();
    store.commit(adding(&stream(), None)).await.unwrap();
    store.close().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection
        .execute("UPDATE minos.minos_server SET system = '1'")
        .await
        .unwrap();
    let held = Store::open(&url, patient()).await.unwrap();
    assert!(held.events(Position::START, 10).await.is_err());
    let options = Options {
        allow_restored: true,
        ..patient()
    };
    let store = Store::open(&url, options).await.unwrap();
    assert_whole(&store, 1).await;
}

/// The standby lags: what the old primary wrote last is lost, and its numbers are used a second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_writes_in_a_new_epoch() {
    let primary = Cluster::new();
    let store = Store::open(&primary.url("postgres"), patient())
        .await
        .unwrap();
    let id = stream();
    store.commit(adding(&id, None)).await.unwrap();
    let standby = primary.standby();
    // A standby cannot write, and says so.
    let refused = Store::open(&standby.url("postgres"), patient()).await;
    let Err(Error::Unavailable(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.to_string().contains("standby"), "{why}");
    standby.stop();
    let lost = adding(&id, guard(&store, &id).await);
    store.commit(lost.clone()).await.unwrap();
    let read = store.events(Position::START, 10).await.unwrap();
    assert_eq!(read.len(), 2);
    drop(store);
    primary.crash();

    standby.start();
    standby.promote();
    let store = Store::open(&standby.url("postgres"), patient())
        .await
        .unwrap();
    let expected = guard(&store, &id).await;
    assert_eq!(expected.map(|g| g.version), Some(1), "the last one is lost");
    store.commit(adding(&id, expected)).await.unwrap();
    // Who has read the lost one sees the other at the same version: a fork, which the mark finds.
    let next = store.events(read[1].position, 10).await.unwrap();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].version, 2);
    assert_ne!(next[0].id, lost.writes[0].events[0].id);
    assert_eq!(next[0].position.epoch, read[1].position.epoch + 1);
    assert_whole(&store, 2).await;
}

/// Behind a pooler the server may become another one under a connection: the next commit raises the epoch instead of
/// writing with the old one.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_store_notices_a_new_timeline() {
    let server = Cluster::new();
    let url = server.url("postgres");
    let options = Options {
        pgbouncer: true,
        ..patient()
    };
    let store = Store::open(&url, options).await.unwrap();
    let id = stream();
    store.commit(adding(&id, None)).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection
        .execute("UPDATE minos.minos_server SET timeline = '0'")
        .await
        .unwrap();
    let many = (0..5).map(|_| store.commit(adding(&stream(), None)));
    for outcome in futures_util::future::join_all(many).await {
        outcome.unwrap();
    }
    let events = store.events(Position::START, 10).await.unwrap();
    let epochs: Vec<_> = events.iter().map(|e| e.position.epoch).collect();
    assert_eq!(epochs, [1, 2, 2, 2, 2, 2]);
}
