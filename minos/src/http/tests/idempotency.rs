use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::toy::{Foo, Running, problem, settings, start, start_with};
use crate::store;

async fn send(toy: &Running, key: &str, body: &str) -> reqwest::Response {
    let request = toy.post("/foos", body).header("Idempotency-Key", key);
    request.send().await.unwrap()
}

fn replayed(response: &reqwest::Response) -> bool {
    response.headers().get("idempotency-replayed").is_some()
}

const FOO: &str = r#"{"text":"a","number":20}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_done_once_and_answered_twice() {
    let toy = start().await;
    let first = send(&toy, "k1", FOO).await;
    assert_eq!(first.status(), 201);
    assert!(!replayed(&first));
    let again = send(&toy, "\"k1\"", FOO).await;
    assert_eq!(again.status(), 201);
    assert!(replayed(&again));
    assert_ne!(
        first.headers()["x-request-id"],
        again.headers()["x-request-id"]
    );
    assert_eq!(first.text().await.unwrap(), again.text().await.unwrap());
    assert_eq!((toy.calls(), toy.events().await), (1, 1));

    let other = send(&toy, "k2", r#"{"text":"b","number":0}"#).await;
    assert!(!replayed(&other));
    assert_eq!((toy.calls(), toy.events().await), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_for_one_request() {
    let toy = start().await;
    send(&toy, "k1", FOO).await;
    let other = send(&toy, "k1", r#"{"text":"b","number":0}"#).await;
    problem(other, 422).await;
    // The same key at another route is another key.
    let elsewhere = toy
        .post("/foos/add-foobar", "")
        .header("Idempotency-Key", "k1");
    assert_eq!(elsewhere.send().await.unwrap().status(), 202);
    assert_eq!(toy.events().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_with_another_parameter_is_another_request() {
    let toy = start().await;
    let foo: Foo = send(&toy, "k", FOO).await.json().await.unwrap();
    let change = |id: Uuid| {
        let request = toy
            .post(&format!("/foos/{id}"), "")
            .header("Idempotency-Key", "k");
        request.send()
    };
    assert_eq!(change(foo.uuid).await.unwrap().status(), 200);
    problem(change(Uuid::from_u128(1)).await.unwrap(), 422).await;
    let again = change(foo.uuid).await.unwrap();
    assert!(replayed(&again));
    assert_eq!(again.json::<Foo>().await.unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_kept_and_failures_are_not() {
    let toy = start().await;
    let taken = r#"{"text":"taken","number":0}"#;
    let first = problem(send(&toy, "k1", taken).await, 409).await;
    let again = send(&toy, "k1", taken).await;
    assert!(replayed(&again));
    assert_eq!(again.status(), 409);
    assert_eq!(again.json::<serde_json::Value>().await.unwrap(), first);
    assert_eq!(toy.calls(), 1);

    for (text, status) in [("broken", 500), ("panic", 500), ("missing", 404)] {
        let body = format!(r#"{{"text":"{text}","number":0}}"#);
        for _ in 0..2 {
            let before = toy.calls();
            let answer = send(&toy, text, &body).await;
            assert!(!replayed(&answer));
            problem(answer, status).await;
            assert_eq!(toy.calls(), before + 1);
        }
    }
    problem(send(&toy, "k2", r#"{"text":1}"#).await, 400).await;
    assert_eq!(send(&toy, "k2", FOO).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_body_is_kept_too() {
    let toy = start().await;
    let url = toy.url(&format!("/foos/{}", Uuid::from_u128(1)));
    for again in [false, true] {
        let request = toy.client.delete(&url).header("idempotency-key", "k");
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), replayed(&answer)), (204, again));
    }
    assert_eq!(toy.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_runs() {
    let toy = start().await;
    let all = (0..16).map(|_| send(&toy, "k", FOO));
    let answers = futures_util::future::join_all(all).await;
    let fresh = answers.iter().filter(|a| !replayed(a)).count();
    assert_eq!((fresh, toy.calls(), toy.events().await), (1, 1, 1));
    let mut bodies = Vec::new();
    for answer in answers {
        assert_eq!(answer.status(), 201);
        bodies.push(answer.text().await.unwrap());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_at_another_instance_is_noticed_at_the_commit() {
    let toy = start().await;
    let first = send(&toy, "k", FOO).await.text().await.unwrap();
    // As if the first had committed after the second looked: the inbox decides, even over the unique value.
    toy.store.blind.store(1, Ordering::SeqCst);
    let second = send(&toy, "k", FOO).await;
    assert!(replayed(&second));
    assert_eq!(second.text().await.unwrap(), first);
    assert_eq!((toy.calls(), toy.events().await), (2, 1));

    toy.store.blind.store(1, Ordering::SeqCst);
    problem(send(&toy, "k", r#"{"text":"b","number":0}"#).await, 422).await;
    assert_eq!(toy.events().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_failed_because_the_twin_was_faster_gets_the_twins_answer() {
    let toy = start().await;
    let missing = r#"{"text":"missing","number":0}"#;
    // The record of a success for a request whose handler now fails.
    let key = crate::http::idempotency::Key::new(
        "k".to_owned(),
        ("POST", "/foos"),
        None,
        "/foos",
        missing.as_bytes(),
    );
    let reply = crate::http::reply::Reply::json(201, &"done", Uuid::nil());
    let mut unit = store::UnitOfWork::new(Uuid::from_u128(1), chrono::DateTime::UNIX_EPOCH);
    unit.inbox = Some(key.mark(crate::message::Status::Done, &reply).unwrap());
    store::Store::commit(&*toy.store, unit).await.unwrap();
    toy.store.blind.store(1, Ordering::SeqCst);
    let answer = send(&toy, "k", missing).await;
    assert_eq!((answer.status().as_u16(), replayed(&answer)), (201, true));
    assert_eq!(toy.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_found_out_with_the_same_key() {
    let toy = start().await;
    let unknown = || store::Error::OutcomeUnknown("gone".into());
    *toy.store.faults.lock().unwrap() = (0..3).map(|_| unknown()).collect();
    let problem = problem(send(&toy, "k", FOO).await, 503).await;
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("Idempotency-Key"),
        "{problem}"
    );
    let again = send(&toy, "k", FOO).await;
    assert_eq!(again.status(), 201);
    assert_eq!(toy.events().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_do_not_share_keys() {
    let mut trusting = settings();
    trusting.trust_identity_headers = true;
    let toy = start_with(trusting).await;
    for (user, text) in [(1, "a"), (2, "b")] {
        let body = format!(r#"{{"text":"{text}","number":0}}"#);
        let request = toy.post("/foos", &body).header("Idempotency-Key", "k");
        let answer = request.header("user", Uuid::from_u128(user).to_string());
        assert_eq!(answer.send().await.unwrap().status(), 201);
    }
    assert_eq!(toy.events().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused() {
    let toy = start().await;
    problem(send(&toy, "", FOO).await, 400).await;
    problem(send(&toy, &"x".repeat(256), FOO).await, 400).await;
    assert_eq!(toy.calls(), 0);
}
