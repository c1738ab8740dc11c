//! Connections that die at any moment: the unit is submitted again, and counts once.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use uuid::Uuid;

use super::{
    PATIENCE, adding, assert_whole, cluster::Cluster, empty, inbox, patient, server::Database,
    stream,
};
use crate::store::{
    Error, Store as _, UnitOfWork,
    postgres::{Options, Store},
};

/// What to do with the next piece that comes by.
const PASS: u8 = 0;
const CUT_REQUEST: u8 = 1;
const CUT_HALF_A_REQUEST: u8 = 2;
const CUT_ANSWER: u8 = 3;

/// Stands between a store and its server, and cuts.
struct Proxy {
    address: SocketAddr,
    next: Arc<AtomicU8>,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    async fn before(server: String) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = door.local_addr().unwrap();
        let (next, cuts) = (Arc::new(AtomicU8::new(PASS)), Arc::new(AtomicUsize::new(0)));
        let (n, c) = (next.clone(), cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = door.accept().await {
                let (server, next, cuts) = (server.clone(), n.clone(), c.clone());
                tokio::spawn(async move { relay(client, &server, &next, &cuts).await });
            }
        });
        Self {
            address,
            next,
            cuts,
        }
    }

    /// The same URL through this.
    fn url(&self, url: &str) -> String {
        let (user, rest) = url.rsplit_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{user}@{}/{database}", self.address)
    }
}

async fn relay(mut client: TcpStream, server: &str, next: &AtomicU8, cuts: &AtomicUsize) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            n = client.read(&mut asked) => {
                let n = n.unwrap_or(0);
                if n == 0 {
                    return;
                }
                if next.compare_exchange(CUT_REQUEST, PASS, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                let half = next
                    .compare_exchange(CUT_HALF_A_REQUEST, PASS, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok();
                let sent = if half { n / 2 } else { n };
                if server.write_all(&asked[..sent]).await.is_err() {
                    return;
                }
                if half {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            n = server.read(&mut answered) => {
                let n = n.unwrap_or(0);
                if n == 0 {
                    return;
                }
                if next.compare_exchange(CUT_ANSWER, PASS, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if client.write_all(&answered[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// As the runtime does: the identical unit, until its outcome is known. Answers how often it took.
async fn insist(store: &Store, unit: UnitOfWork) -> usize {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for tries in 1.. {
        match store.commit(unit.clone()).await {
            Ok(()) => return tries,
            Err(Error::OutcomeUnknown(_) | Error::Unavailable(_)) => {}
            Err(e) => panic!("{e:?}"),
        }
        assert!(tokio::time::Instant::now() < deadline, "no outcome");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    unreachable!()
}

/// What was committed, and how often it was tried.
#[derive(Default)]
struct Done {
    events: usize,
    messages: usize,
    tries: usize,
}

/// Units of each kind, one after the other, until it is enough.
async fn work(store: Arc<Store>, enough: impl Fn() -> bool) -> Done {
    let (id, mut last) = (stream(), None);
    let mut done = Done::default();
    while !enough() {
        // Each leaves another trace: an event, an inbox row, or nothing but a message.
        let mut unit = match done.messages % 3 {
            0 | 1 => adding(&id, last),
            _ => empty(),
        };
        if done.messages % 3 == 1 {
            unit.inbox = Some(inbox(Uuid::now_v7()));
        }
        unit.outbox = vec![super::message("k")];
        if let Some(write) = unit.writes.first() {
            last = write.reached();
            done.events += 1;
        }
        done.messages += 1;
        done.tries += insist(&store, unit).await;
    }
    done
}

/// Several who work at once, until it is enough.
async fn work_together(
    store: &Arc<Store>,
    enough: impl Fn() -> bool + Clone + Send + 'static,
) -> Done {
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let (store, enough) = (store.clone(), enough.clone());
            tokio::spawn(async move { work(store, enough).await })
        })
        .collect();
    let mut all = Done::default();
    for worker in workers {
        let done = timeout(PATIENCE * 3, worker).await.unwrap().unwrap();
        all.events += done.events;
        all.messages += done.messages;
        all.tries += done.tries;
    }
    all
}

async fn assert_counts(store: &Store, done: &Done) {
    assert_whole(store, done.events).await;
    let sent = store
        .outbox(crate::store::Position::START, 1_000_000)
        .await
        .unwrap();
    assert_eq!(sent.len(), done.messages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cut_connection_neither_loses_nor_doubles() {
    const CUTS: usize = 300;
    let database = Database::new().await;
    let url = database.url();
    let (_, rest) = url.rsplit_once('@').unwrap();
    let (server, _) = rest.split_once('/').unwrap();
    let proxy = Proxy::before(server.to_owned()).await;
    let options = Options {
        // No looks and notifications: they would be cut instead of commits.
        poll: (PATIENCE, PATIENCE),
        notify_every: PATIENCE,
        ..Options::default()
    };
    let store = Arc::new(Store::open(&proxy.url(&url), options).await.unwrap());
    let (next, cuts) = (proxy.next.clone(), proxy.cuts.clone());
    let cutter = tokio::spawn(async move {
        let mut dice = fastrand::Rng::new();
        while cuts.load(Ordering::SeqCst) < CUTS {
            let how = [CUT_REQUEST, CUT_HALF_A_REQUEST, CUT_ANSWER, CUT_ANSWER][dice.usize(..4)];
            next.store(how, Ordering::SeqCst);
            // Long enough for a new connection now and then.
            tokio::time::sleep(Duration::from_micros(dice.u64(8000..30_000))).await;
        }
        next.store(PASS, Ordering::SeqCst);
    });
    let cuts = proxy.cuts.clone();
    let done = work_together(&store, move || cuts.load(Ordering::SeqCst) >= CUTS).await;
    cutter.await.unwrap();
    assert!(done.tries > done.messages, "no commit was cut");
    let direct = database.open(patient()).await;
    assert_counts(&direct, &done).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_terminated_backend_neither_loses_nor_doubles() {
    const KILLS: usize = 100;
    let database = Database::new().await;
    let store = database.open(patient()).await;
    let kills = Arc::new(AtomicUsize::new(0));
    let (killed, mut stranger) = (kills.clone(), database.stranger().await);
    let killer = tokio::spawn(async move {
        while killed.load(Ordering::SeqCst) < KILLS {
            let found = sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND state = 'active' LIMIT 1",
            )
            .fetch_all(&mut stranger)
            .await
            .unwrap();
            killed.fetch_add(found.len(), Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let done = work_together(&store, move || kills.load(Ordering::SeqCst) >= KILLS).await;
    killer.await.unwrap();
    assert_counts(&store, &done).await;
}

/// The server is killed and comes back, twice, while others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_crashes_neither_loses_nor_doubles() {
    let cluster = Cluster::new();
    let store = Store::open(&cluster.url("postgres"), patient()).await;
    let store = Arc::new(store.unwrap());
    let crashed = Arc::new(AtomicUsize::new(0));
    let count = crashed.clone();
    let last = store.clone();
    let crashes = tokio::spawn(async move {
        let mut changes = last.changes();
        for _ in 0..2 {
            let before = *changes.borrow_and_update();
            timeout(PATIENCE, changes.wait_for(|n| *n >= before + 50))
                .await
                .unwrap()
                .unwrap();
            let restart = || {
                cluster.crash();
                cluster.start();
            };
            tokio::task::block_in_place(restart);
            count.fetch_add(1, Ordering::SeqCst);
        }
        cluster
    });
    let done = work_together(&store, move || crashed.load(Ordering::SeqCst) >= 2).await;
    let _cluster = crashes.await.unwrap();
    super::until("health", || async { store.health().await.is_ok() }).await;
    assert_counts(&store, &done).await;
}
