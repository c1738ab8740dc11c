use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::toy::{Running, problem, settings, start, start_with};
use crate::{
    config,
    message::{Headers, Kind, Message, Origin},
    payload::Payload,
    store::{DeadLetter, Reason, Store, Trial, UnitOfWork},
};

const TOKEN: &str = "0123456789abcdef-right";

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn letter(id: u128, consumer: &str, reason: Reason) -> DeadLetter {
    DeadLetter {
        id: Uuid::from_u128(id),
        consumer: consumer.to_owned(),
        key: format!("Foo/{id}"),
        message: Message {
            id: Uuid::from_u128(id + 100),
            kind: Kind::Event,
            topic: "Foo".to_owned(),
            name: "FooMoved".to_owned(),
            key: "k".to_owned(),
            at: at(1),
            headers: Headers::default(),
            payload: Payload::encode(&json!({ "n": id as u64 })).unwrap(),
        },
        reason,
        error: "it broke".to_owned(),
        attempts: 3,
        at: at(2),
        origin: Some(Origin {
            topic: "Foo".to_owned(),
            partition: 3,
            offset: 14,
        }),
        history: vec![Trial {
            at: at(1),
            error: "it broke".to_owned(),
        }],
        bytes: None,
    }
}

async fn with_letters() -> Running {
    let config = config::Config::in_memory();
    let config = config.set("http.operator_token", TOKEN).unwrap();
    let toy = start_with(config.for_service("toy", 0).http).await;
    let mut unit = UnitOfWork::new(Uuid::from_u128(9), at(0));
    unit.dead_letters = vec![
        letter(1, "Gone.moved", Reason::Failed),
        DeadLetter {
            bytes: Some(vec![0, 255, 10]),
            ..letter(2, "toy", Reason::Undecodable)
        },
        letter(3, "Gone.moved", Reason::Behind),
    ];
    toy.store.commit(unit).await.unwrap();
    toy
}

impl Running {
    async fn ask(&self, path: &str) -> reqwest::Response {
        let request = self
            .client
            .get(self.url(&format!("/system/dead-letters{path}")));
        request.bearer_auth(TOKEN).send().await.unwrap()
    }

    async fn decide(&self, path: &str, body: &Value) -> reqwest::Response {
        let path = format!("/system/dead-letters{path}");
        let request = self.post(&path, &body.to_string());
        request.bearer_auth(TOKEN).send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_everything_is_forbidden_even_what_is_not_there() {
    let (without, with) = (start_with(settings()).await, with_letters().await);
    let id = Uuid::from_u128(1);
    let paths =
        ["", "/nope", "/a/b/c", &format!("/{id}")].map(|p| format!("/system/dead-letters{p}"));
    for (toy, tokens) in [
        (&without, ["", TOKEN, "Bearer "]),
        (&with, ["", "0123456789abcdef-wrong", "0123456789abcdef"]),
    ] {
        for token in tokens {
            for path in &paths {
                let get = toy.client.get(toy.url(path)).bearer_auth(token);
                let told = problem(get.send().await.unwrap(), 403).await;
                assert!(!told.to_string().contains("0123456789abcdef"), "{told}");
            }
            for path in [
                "replay",
                "discard",
                &format!("{id}/replay"),
                &format!("{id}/discard"),
            ] {
                let post = toy.post(&format!("/system/dead-letters/{path}"), "{}");
                problem(post.bearer_auth(token).send().await.unwrap(), 403).await;
            }
        }
        problem(toy.get("/system/dead-letters").await, 403).await;
        let basic = toy.client.get(toy.url("/system/dead-letters"));
        let basic = basic.header("authorization", format!("Basic {TOKEN}"));
        problem(basic.send().await.unwrap(), 403).await;
    }
    assert_eq!(with.ask("").await.status(), 200);
    // The rest of `/system` needs none.
    assert_eq!(start().await.get("/system/health/live").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_by_filter_and_page() {
    let toy = with_letters().await;
    for (query, ids) in [
        ("", vec![1, 2, 3]),
        ("?consumer=Gone.moved", vec![1, 3]),
        ("?reason=behind&topic=Foo&kind=event", vec![3]),
        ("?key=Foo/2", vec![2]),
        ("?name=Other", vec![]),
        ("?since=1970-01-01T00:00:03Z", vec![]),
        ("?until=1970-01-01T00:00:03Z&limit=2", vec![1, 2]),
    ] {
        let answer = toy.ask(query).await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let list: Value = answer.json().await.unwrap();
        let listed = list["dead_letters"].as_array().unwrap();
        let listed: Vec<_> = listed.iter().map(|l| l["id"].clone()).collect();
        let wanted: Vec<_> = ids.iter().map(|id| json!(Uuid::from_u128(*id))).collect();
        assert_eq!(listed, wanted, "{query}");
    }
    let first: Value = toy.ask("?limit=2").await.json().await.unwrap();
    assert_eq!(first["counts"], json!({ "Gone.moved": 2, "toy": 1 }));
    let next = first["next"].as_str().unwrap();
    let second: Value = toy
        .ask(&format!("?limit=2&after={next}"))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(second["dead_letters"][0]["id"], json!(Uuid::from_u128(3)));
    assert_eq!(second["next"], Value::Null);
    for (query, pointer) in [
        ("kind=nope", "/kind"),
        ("reason=nope", "/reason"),
        ("since=today", "/since"),
        ("after=x", "/after"),
        ("limit=0", "/limit"),
        ("service=toy", "/service"),
    ] {
        let answer = toy.ask(&format!("?{query}")).await;
        assert_eq!(problem(answer, 400).await["pointer"], pointer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_shown_with_its_origin_its_history_and_its_bytes() {
    let toy = with_letters().await;
    let path = format!("/{}", Uuid::from_u128(2));
    let shown: Value = toy.ask(&path).await.json().await.unwrap();
    assert_eq!(
        shown["origin"],
        json!({ "topic": "Foo", "partition": 3, "offset": 14 })
    );
    assert_eq!(shown["history"][0]["error"], "it broke");
    assert_eq!(shown["payload"], json!({ "n": 2 }));
    assert_eq!(shown["bytes"], "AP8K");
    assert_eq!(
        (&shown["reason"], &shown["attempts"], &shown["parked_at"]),
        (
            &json!("undecodable"),
            &json!(3),
            &json!("1970-01-01T00:00:02.000000Z")
        )
    );
    problem(toy.ask(&format!("/{}", Uuid::from_u128(8))).await, 404).await;
    problem(toy.ask("/nope").await, 400).await;
    problem(toy.ask("/a/b/c").await, 404).await;
    let verb = toy.decide("", &json!({})).await;
    assert_eq!(verb.headers()["allow"], "GET, HEAD");
    problem(verb, 405).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_say_who_and_why_and_are_kept() {
    let toy = with_letters().await;
    let path = format!("/{}/discard", Uuid::from_u128(1));
    for (body, pointer) in [
        (json!({}), "/by"),
        (json!({ "by": " ", "reason": "x" }), "/by"),
        (json!({ "by": "bob" }), "/reason"),
        (
            json!({ "by": "bob", "reason": "x", "forced": true }),
            "/forced",
        ),
    ] {
        let told = problem(toy.decide(&path, &body).await, 400).await;
        let told = (told["pointer"].as_str(), &told["detail"]);
        assert!(
            told.0 == Some(pointer) || told.1.to_string().contains(&pointer[1..]),
            "{told:?}"
        );
    }
    let all = json!({ "by": "bob", "reason": "clean" });
    problem(toy.decide("/discard", &all).await, 400).await;
    let forced = json!({ "by": "bob", "reason": "clean", "force": true });
    for path in ["/replay", "/replay?limit=3&after=1"] {
        problem(toy.decide(path, &forced).await, 400).await;
    }

    // Nobody here handles it any more.
    let replay = toy
        .decide(&format!("/{}/replay", Uuid::from_u128(1)), &all)
        .await;
    problem(replay, 409).await;
    let done: Value = toy.decide(&path, &all).await.json().await.unwrap();
    assert_eq!(done["done"], json!([Uuid::from_u128(1)]));
    problem(toy.decide(&path, &all).await, 404).await;

    let report: Value = toy
        .decide("/discard?consumer=Gone.moved", &all)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(report["done"], json!([Uuid::from_u128(3)]));
    // It is tried, is still no message, and remembers who tried.
    let report: Value = toy
        .decide("/replay?reason=undecodable", &all)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(report["failed"][0]["letter"], json!(Uuid::from_u128(2)));
    let path = format!("/{}", Uuid::from_u128(2));
    let shown: Value = toy.ask(&path).await.json().await.unwrap();
    let told = &shown["decisions"][0];
    assert_eq!(
        (&told["what"], &told["by"], &told["why"]),
        (&json!("replay_failed"), &json!("bob"), &json!("clean"))
    );
    assert_eq!(shown["attempts"], 4);
}
