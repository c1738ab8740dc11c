//! Real processes that are killed: the test starts its own program again.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;

/// Tells the child which file to use; without it the children's tests do nothing.
const FOLDER: &str = "MINOS_TEST_BROKER_FOLDER";

/// Runs one of the tests below in a process of its own.
fn spawn(role: &str, folder: &tempfile::TempDir) -> Child {
    let name = format!("broker::local::tests::process::{role}");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads the numbers that the child says, kills it after `count`, and answers all it has said.
fn kill_after(count: usize, mut child: Child) -> Vec<u64> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines {
        // The test runner's own words may stand before it.
        let line = line.unwrap();
        let Some((_, n)) = line.rsplit_once("did ") else {
            continue;
        };
        let n = n.parse().unwrap();
        said.push(n);
        if said.len() == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(said.len() >= count, "the child ended early: {said:?}");
    said
}

async fn child() -> Option<Broker> {
    let folder = std::env::var_os(FOLDER)?;
    let path = Path::new(&folder).join("broker.db");
    let options = Options::default().lease(Duration::from_millis(500));
    let broker = Broker::open(path, options).await.unwrap();
    broker.ensure_topics(&topics()).await.unwrap();
    Some(broker)
}

#[tokio::test]
async fn child_that_publishes() {
    let Some(broker) = child().await else { return };
    for n in 0.. {
        broker.publish(&spread(5, n..n + 1)).await.unwrap();
        println!("did {n}");
    }
}

#[tokio::test]
async fn child_that_reads() {
    let Some(broker) = child().await else { return };
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    let mut before: Option<Delivery> = None;
    loop {
        // One message is always delivered and not committed.
        let got = member.next(1).await.unwrap().remove(0);
        if let Some(before) = before.replace(got) {
            // Said first: what is said and not committed comes again, what is committed was said.
            println!("did {}", number(&before));
            let done = std::slice::from_ref(&before.origin);
            member.commit(done).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_publisher_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open(&folder, Options::default()).await;
    broker.ensure_topics(&topics()).await.unwrap();
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    let killed = spawn("child_that_publishes", &folder);
    let killed = tokio::task::spawn_blocking(move || kill_after(50, killed));
    // Reads while the other process writes, and is killed.
    let mut seen = Vec::new();
    let mut count = 50;
    let mut killed = Some(killed);
    while seen.len() < count {
        for delivery in take(&mut *member, 1).await {
            let key = delivery.message.as_ref().unwrap().key.clone();
            seen.push((key, number(&delivery)));
        }
        if seen.len() >= count
            && let Some(killed) = killed.take()
        {
            count = within("the end of the child", killed).await.unwrap().len();
        }
    }
    check_order(&seen[..], 5, 0..seen.len() as u64);
    // The log works on.
    broker.publish(&[numbered("last", 0)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partitions_of_a_killed_member_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default().lease(Duration::from_millis(500));
    let broker = open(&folder, options).await;
    broker.ensure_topics(&topics()).await.unwrap();
    broker.publish(&spread(5, 0..200)).await.unwrap();
    let killed = spawn("child_that_reads", &folder);
    let killed = tokio::task::spawn_blocking(move || kill_after(10, killed));
    let done = within("the end of the child", killed).await.unwrap();
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    let mut seen: Vec<(String, u64)> = Vec::new();
    // What the child was done with may not come again, but all the rest must.
    let mut missing: std::collections::BTreeSet<_> = (0..200).collect();
    for n in &done {
        missing.remove(n);
    }
    while !missing.is_empty() {
        for delivery in take(&mut *member, 1).await {
            let key = delivery.message.as_ref().unwrap().key.clone();
            missing.remove(&number(&delivery));
            seen.push((key, number(&delivery)));
        }
    }
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for (key, n) in seen {
        let before = last.insert(key, n);
        assert!(before.is_none_or(|before| before < n), "each key in order");
    }
}
