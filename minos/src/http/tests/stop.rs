//! Stopping under load: nothing that was acknowledged is lost, nothing is cut in the middle, and it is quick.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::io::AsyncWriteExt;

use super::toy::{Running, problem, read_all, read_one, start};
use crate::store::{Position, Store};

const GRACE: Duration = Duration::from_secs(3);

const SEEN: &[u8] = b"GET /seen HTTP/1.1\r\nhost: x\r\n\r\n";

fn nap(millis: u64) -> String {
    let body = format!("{{\"millis\":{millis}}}");
    let length = body.len();
    format!(
        "POST /naps HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn stop(toy: Running) -> (bool, Duration) {
    let started = Instant::now();
    let clean = toy.server.stop(GRACE).await;
    (clean, started.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_do_means_no_wait() {
    let (clean, took) = stop(start().await).await;
    assert!(clean);
    assert!(took < GRACE, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_hold_a_stop_up() {
    let toy = start().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut socket = toy.socket().await;
        socket.write_all(SEEN).await.unwrap();
        let answer = read_one(&mut socket).await;
        assert!(!answer.contains("connection: close"), "{answer}");
        idle.push(socket);
    }
    // And some that never asked anything.
    for _ in 0..5 {
        idle.push(toy.socket().await);
    }
    let (clean, took) = stop(toy).await;
    assert!(clean);
    assert!(took < GRACE, "{took:?}");
    for mut socket in idle {
        assert_eq!(read_all(&mut socket).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_work_are_answered_and_their_connections_closed() {
    let toy = start().await;
    let store = toy.store.clone();
    let address = toy.server.local_addr();
    let mut socket = toy.socket().await;
    socket.write_all(nap(700).as_bytes()).await.unwrap();
    while toy.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (clean, took) = stop(toy).await;
    assert!(clean);
    assert!(took < GRACE, "{took:?}");
    let answer = read_all(&mut socket).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("\"version\":1}"), "{answer}");
    assert_eq!(store.events(Position::START, 10).await.unwrap().len(), 1);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_on_its_way_is_read_to_its_end() {
    let toy = start().await;
    let request = nap(1);
    let (first, rest) = request.split_at(request.len() - 5);
    let mut socket = toy.socket().await;
    socket.write_all(first.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let shared = toy.server.shared.clone();
    let stopping = tokio::spawn(stop(toy));
    while !shared.closing.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    socket.write_all(rest.as_bytes()).await.unwrap();
    let answer = read_all(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (clean, took) = stopping.await.unwrap();
    assert!(clean);
    assert!(took < GRACE, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_cut_off_in_time_and_leaves_nothing() {
    let toy = start().await;
    let store = toy.store.clone();
    let mut socket = toy.socket().await;
    socket.write_all(nap(60_000).as_bytes()).await.unwrap();
    while toy.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = Instant::now();
    let clean = toy.server.stop(Duration::from_millis(600)).await;
    let took = started.elapsed();
    assert!(!clean);
    // What it cut off would have taken a minute.
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(store.events(Position::START, 10).await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_clients_see_that_it_stops() {
    let toy = start().await;
    let mut socket = toy.socket().await;
    socket.write_all(SEEN).await.unwrap();
    read_one(&mut socket).await;
    toy.server.shared.closing.store(true, Ordering::SeqCst);
    socket.write_all(SEEN).await.unwrap();
    let answer = read_all(&mut socket).await.to_ascii_lowercase();
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_it_is_closed_nothing_is_begun() {
    let toy = start().await;
    toy.server.shared.closed.store(true, Ordering::SeqCst);
    let answer = toy.post("/naps", "{\"millis\":1}").send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "1");
    problem(answer, 503).await;
    assert_eq!(toy.calls(), 0);
}

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    answered: AtomicUsize,
    /// The connection ended before the answer; nothing may have happened.
    unanswered: AtomicUsize,
    /// It came too late and was told so.
    turned_away: AtomicUsize,
    /// No connection was made.
    refused: AtomicUsize,
    /// An answer began and did not end.
    cut: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_no_acknowledged_request_is_lost_and_none_is_cut() {
    for round in 0..5 {
        let toy = start().await;
        let store = toy.store.clone();
        let (seen, over) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let mut clients = Vec::new();
        for _ in 0..16 {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let url = toy.url("/naps");
            let (seen, over) = (seen.clone(), over.clone());
            clients.push(tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let request = client.post(&url).header("content-type", "application/json");
                    let sent = request.body("{\"millis\":3}").send().await;
                    let count = match sent {
                        Ok(answer) if answer.status() == 200 => match answer.bytes().await {
                            Ok(_) => &seen.answered,
                            Err(_) => &seen.cut,
                        },
                        Ok(answer) if answer.status() == 503 => &seen.turned_away,
                        Ok(answer) => panic!("{}", answer.status()),
                        Err(e) if e.is_connect() => &seen.refused,
                        Err(_) => &seen.unanswered,
                    };
                    count.fetch_add(1, Ordering::SeqCst);
                    if std::ptr::eq(count, &seen.refused) {
                        break;
                    }
                }
            }));
        }
        let mut idle = Vec::new();
        for _ in 0..10 {
            let mut socket = toy.socket().await;
            socket.write_all(SEEN).await.unwrap();
            read_one(&mut socket).await;
            idle.push(socket);
        }
        let busy = async {
            while seen.answered.load(Ordering::SeqCst) < 64 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), busy)
            .await
            .unwrap();
        let (clean, took) = stop(toy).await;
        over.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        let done = store.events(Position::START, u32::MAX).await.unwrap().len();
        println!("round {round}: stopped in {took:?}, {done} done, {seen:?}");
        assert!(clean);
        assert!(took < GRACE, "{took:?}");
        let count = |n: &AtomicUsize| n.load(Ordering::SeqCst);
        assert!(count(&seen.answered) > 50);
        assert_eq!((count(&seen.cut), count(&seen.unanswered)), (0, 0));
        // Every effect was acknowledged, and every acknowledgement has its effect.
        assert_eq!(count(&seen.answered), done);
    }
}
