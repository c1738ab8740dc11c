use std::sync::atomic::Ordering;

use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

use super::toy::{Running, problem, start};
use crate::{
    payload::Payload,
    store::{SagaRow, Store, UnitOfWork},
};

async fn health(toy: &Running) -> (u16, Value) {
    let answer = toy.get("/system/health").await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_what_is_in_the_way() {
    let toy = start().await;
    toy.health.starting("broker");
    let (status, body) = health(&toy).await;
    assert_eq!((status, &body["status"]), (503, &json!("starting")));

    toy.health.up("broker");
    let (status, body) = health(&toy).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({
            "status": "ready", "live": true, "ready": true,
            "dependencies": {"broker": {"status": "up"}, "store": {"status": "up"}},
        })
    );

    toy.health.down("broker", "the broker is not available");
    let (status, body) = health(&toy).await;
    assert_eq!(
        (status, &body["status"], &body["ready"]),
        (503, &json!("down"), &json!(false))
    );
    assert_eq!(
        body["dependencies"]["broker"]["reason"],
        "the broker is not available"
    );
    toy.health.up("broker");

    toy.store.away.store(true, Ordering::SeqCst);
    let (status, body) = health(&toy).await;
    assert_eq!(status, 503);
    assert_eq!(
        body["dependencies"]["store"],
        json!({"status": "down", "reason": "the store is not available"})
    );
    toy.store.away.store(false, Ordering::SeqCst);

    toy.health.stop();
    let (status, body) = health(&toy).await;
    assert_eq!((status, &body["status"]), (503, &json!("stopping")));
    let live = toy.get("/system/health/live").await;
    assert_eq!(live.status(), 200);
    assert_eq!(live.json::<Value>().await.unwrap()["live"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_does_not_hold_the_health_up() {
    let toy = start().await;
    toy.store.hangs.store(true, Ordering::SeqCst);
    let started = std::time::Instant::now();
    let (status, body) = health(&toy).await;
    assert_eq!(status, 503);
    assert_eq!(
        body["dependencies"]["store"]["reason"],
        "the store does not answer"
    );
    assert!(started.elapsed().as_secs() < 2);
}

fn saga(id: u128, name: &str, status: &str) -> SagaRow {
    let body = json!({"state": {"text": "a"}, "steps": [], "definition": "", "status": "hidden"});
    SagaRow {
        id: Uuid::from_u128(id),
        name: name.to_owned(),
        version: 1,
        status: status.to_owned(),
        due_at: None,
        created_at: DateTime::from_timestamp(i64::try_from(id).unwrap(), 0).unwrap(),
        updated_at: DateTime::from_timestamp(10, 0).unwrap(),
        body: Payload::encode(&body).unwrap(),
    }
}

async fn with_sagas() -> Running {
    let toy = start().await;
    let mut unit = UnitOfWork::new(Uuid::from_u128(9), DateTime::UNIX_EPOCH);
    let line = Payload::encode(&json!({"what": "started"})).unwrap();
    unit.sagas = vec![
        (saga(1, "AddFooBar", "running"), vec![line]),
        (saga(2, "AddFooBar", "stuck"), Vec::new()),
        (saga(3, "Other", "running"), Vec::new()),
    ];
    toy.store.commit(unit).await.unwrap();
    toy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_shown_with_its_state_and_history() {
    let toy = with_sagas().await;
    let one = toy
        .get(&format!("/system/sagas/{}", Uuid::from_u128(1)))
        .await;
    assert_eq!(one.status(), 200);
    assert_eq!(
        one.json::<Value>().await.unwrap(),
        json!({
            "id": Uuid::from_u128(1), "name": "AddFooBar", "version": 1, "status": "running",
            "due_at": null, "created_at": "1970-01-01T00:00:01.000000Z",
            "updated_at": "1970-01-01T00:00:10.000000Z",
            "state": {"text": "a"}, "steps": [], "definition": "",
            "timeline": {"steps": [], "waits": []},
            "history": [{"what": "started"}], "history_cut": false,
        })
    );
    problem(
        toy.get(&format!("/system/sagas/{}", Uuid::from_u128(8)))
            .await,
        404,
    )
    .await;
    problem(toy.get("/system/sagas/nope").await, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_saga_is_shown_by_kind_and_name_and_not_listed() {
    let toy = start().await;
    let mut row = saga(1, "AddFooBar", "stuck");
    let body = json!({
        "state": null, "steps": [], "definition": "", "left_out": 7,
        "latest": [{"what": "the last"}],
        "mail": [{
            "id": Uuid::from_u128(5), "kind": "signal", "topic": "toy.replies", "name": "Decided", "key": "k",
            "at": "2026-01-01T00:00:00Z", "headers": {"source": "toy"}, "payload": {"secret": "a"},
        }],
    });
    row.body = Payload::encode(&body).unwrap();
    let mut unit = UnitOfWork::new(Uuid::from_u128(9), DateTime::UNIX_EPOCH);
    unit.sagas = vec![(row, Vec::new())];
    toy.store.commit(unit).await.unwrap();
    let path = format!("/system/sagas/{}", Uuid::from_u128(1));
    let one: Value = toy.get(&path).await.json().await.unwrap();
    assert_eq!(one["mail"], json!([{"kind": "signal", "name": "Decided"}]));
    let history = json!([{"what": "left out", "lines": 7}, {"what": "the last"}]);
    assert_eq!((&one["history"], one.get("latest")), (&history, None));
    assert_eq!(one["timeline"]["left_out"], 7);
    let list: Value = toy.get("/system/sagas").await.json().await.unwrap();
    let listed = list["sagas"][0].as_object().unwrap();
    assert_eq!((listed.get("mail"), listed.get("latest")), (None, None));
    assert_eq!(listed["left_out"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_are_listed_by_status_and_name() {
    let toy = with_sagas().await;
    for (query, count) in [
        ("", 3),
        ("?status=running", 2),
        ("?name=AddFooBar", 2),
        ("?name=AddFooBar&status=stuck", 1),
        ("?limit=2", 2),
        ("?name=Nobody", 0),
    ] {
        let list: Value = toy
            .get(&format!("/system/sagas{query}"))
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(list["sagas"].as_array().unwrap().len(), count, "{query}");
    }
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=x", "/limit"),
        ("state=a", "/state"),
    ] {
        let answer = toy.get(&format!("/system/sagas?{query}")).await;
        assert_eq!(problem(answer, 400).await["pointer"], pointer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn system_paths_have_their_verbs_too() {
    let toy = start().await;
    let post = toy.post("/system/health", "").send().await.unwrap();
    assert_eq!(post.headers()["allow"], "GET, HEAD");
    problem(post, 405).await;
    problem(toy.get("/system/nothing").await, 404).await;
    problem(toy.get("/system").await, 404).await;
}
