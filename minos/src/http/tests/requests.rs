use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use uuid::Uuid;

use super::toy::{Foo, problem, settings, start, start_with};
use crate::{error::Kind, http::bind, store};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_a_unit_of_work() {
    let toy = start().await;
    let made = toy
        .post("/foos", r#"{"text":"a","number":0}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    assert_eq!(made.headers()["content-type"], "application/json");
    assert_eq!(made.headers()["x-content-type-options"], "nosniff");
    assert!(made.headers().get("server").is_none());
    let request: Uuid = made.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let foo: Foo = made.json().await.unwrap();

    let start = store::Position::START;
    let events = store::Store::events(&*toy.store, start, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].headers.correlation, Some(request));

    let got: Foo = toy
        .get(&format!("/foos/{}", foo.uuid))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!((got.uuid, got.version), (foo.uuid, 1));
    let path = format!("/foos/{}", foo.uuid);
    let changed = toy.post(&path, "").send().await.unwrap();
    assert_eq!(changed.json::<Foo>().await.unwrap().version, 2);

    let gone = toy.client.delete(toy.url(&path)).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    assert!(gone.headers().get("content-type").is_none());
    assert_eq!(gone.text().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_more_specific_route_wins() {
    let toy = start().await;
    let added = toy.post("/foos/add-foobar", "").send().await.unwrap();
    assert_eq!(added.status(), 202);
    assert_eq!(added.json::<Foo>().await.unwrap().version, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_shows_nothing_inside() {
    let toy = start().await;
    let long = format!(r#"{{"text":"{}","number":0}}"#, "x".repeat(1024));
    for (path, body, status, pointer) in [
        ("/foos", r#"{"text":"a","number":"#, 400, None),
        ("/foos", "nope", 400, None),
        ("/foos", "", 400, None),
        ("/foos", r#"{"text":"a"}"#, 400, Some("")),
        ("/foos", r#"{"text":1,"number":0}"#, 400, Some("/text")),
        (
            "/foos",
            r#"{"text":"a","number":"0"}"#,
            400,
            Some("/number"),
        ),
        (
            "/foos",
            r#"{"text":"a","number":99999999999}"#,
            400,
            Some("/number"),
        ),
        ("/foos/nope", "", 400, Some("/uuid")),
        (
            "/foos/00000000-0000-0000-0000-000000000000?limit=x",
            "",
            400,
            Some("/limit"),
        ),
        ("/foos/%zz", "", 400, None),
        ("/foos/%ff", "", 400, None),
        ("/foos/add-foobar?a=%", "", 400, None),
        ("/foos/nope?uuid=x", "", 400, Some("/uuid")),
        ("/nothing", "", 404, None),
        ("/foos/", "", 404, None),
        ("/foos", &long, 413, None),
    ] {
        let answer = toy.post(path, body).send().await.unwrap();
        let problem = problem(answer, status).await;
        if let Some(pointer) = pointer.filter(|p| !p.is_empty()) {
            assert_eq!(problem["pointer"], pointer, "{problem}");
        }
    }
    assert_eq!(toy.events().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_field_is_named() {
    let toy = start().await;
    let answer = toy.post("/foos", r#"{"text":"a"}"#).send().await.unwrap();
    let problem = problem(answer, 400).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("`number`"),
        "{problem}"
    );
    assert_eq!(problem["type"], "urn:minos:failure:invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_verb_is_told_which_ones_there_are() {
    let toy = start().await;
    let put = toy
        .client
        .put(toy.url("/foos/add-foobar"))
        .send()
        .await
        .unwrap();
    assert_eq!(put.headers()["allow"], "DELETE, GET, HEAD, POST");
    problem(put, 405).await;
    let get = toy.get("/foos").await;
    assert_eq!(get.headers()["allow"], "POST");
    problem(get, 405).await;
    let options = toy
        .client
        .request(reqwest::Method::OPTIONS, toy.url("/foos"));
    problem(options.send().await.unwrap(), 405).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_the_body() {
    let toy = start().await;
    let head = toy.client.head(toy.url("/seen")).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-type"], "application/json");
    assert_eq!(head.text().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_json_is_taken() {
    let toy = start().await;
    let body = r#"{"text":"a","number":0}"#;
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
    ] {
        let answer = toy
            .client
            .post(toy.url("/foos"))
            .header("content-type", media)
            .body(body);
        problem(answer.send().await.unwrap(), 415).await;
    }
    let untyped = toy
        .client
        .post(toy.url("/foos"))
        .body(body)
        .send()
        .await
        .unwrap();
    problem(untyped, 415).await;
    let latin = toy
        .client
        .post(toy.url("/foos"))
        .header("content-type", "application/json");
    problem(
        latin
            .body(b"{\"text\":\"\xe9\"}".to_vec())
            .send()
            .await
            .unwrap(),
        400,
    )
    .await;
    let merge = toy
        .client
        .post(toy.url("/foos"))
        .header("content-type", "application/merge-patch+json");
    assert_eq!(merge.body(body).send().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_has_the_same_limit() {
    let toy = start().await;
    let mut request = "POST /foos HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        .to_owned();
    for _ in 0..8 {
        request += &format!("100\r\n{}\r\n", " ".repeat(256));
    }
    let answer = toy.raw(&(request + "0\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_problem_with_the_typed_error() {
    let toy = start().await;
    let answer = toy
        .post("/foos", r#"{"text":"taken","number":0}"#)
        .send()
        .await
        .unwrap();
    let problem = problem(answer, 409).await;
    assert_eq!(problem["type"], "urn:minos:refusal:Exists");
    assert_eq!(problem["title"], "Exists");
    assert_eq!(problem["detail"], "a foo saying \"taken\" exists already");
    assert_eq!(problem["error"], json!({"Exists": {"text": "taken"}}));
    assert_eq!(toy.events().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_panics_stay_inside() {
    let toy = start().await;
    for text in ["broken", "panic"] {
        let body = format!(r#"{{"text":"{text}","number":0}}"#);
        let answer = toy.post("/foos", &body).send().await.unwrap();
        let problem = problem(answer, 500).await;
        assert_eq!(problem["type"], "urn:minos:failure:internal");
    }
    let missing = toy
        .post("/foos", r#"{"text":"missing","number":0}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(problem(missing, 404).await["detail"], "no such text");
    assert_eq!(toy.get("/seen").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_cannot_do_has_its_status() {
    let toy = start().await;
    let sql = || "sqlx: SELECT panicked at /srv/db.rs".into();
    let conflict = || store::Error::Conflict {
        stream: store::StreamId::new("Foo", Uuid::nil()),
        expected: 1,
        actual: 2,
    };
    let cases: Vec<(Vec<store::Error>, u16)> = vec![
        (vec![store::Error::Unavailable(sql())], 503),
        // The first submission and both repetitions.
        (
            (0..3)
                .map(|_| store::Error::OutcomeUnknown(sql()))
                .collect(),
            503,
        ),
        (vec![store::Error::Backend(sql())], 500),
        (vec![store::Error::Corrupt("/srv/db.rs".to_owned())], 500),
        ((0..4).map(|_| conflict()).collect(), 409),
    ];
    for (faults, status) in cases {
        *toy.store.faults.lock().unwrap() = faults;
        let answer = toy
            .post("/foos", r#"{"text":"a","number":0}"#)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers().get("retry-after").is_some(), status == 503);
        problem(answer, status).await;
    }
    assert_eq!(toy.events().await, 0);
    // One less than gives up: the handler runs again on what is there now.
    *toy.store.faults.lock().unwrap() = (0..3).map(|_| conflict()).collect();
    let answer = toy
        .post("/foos", r#"{"text":"a","number":0}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_unique_value_is_a_conflict_that_names_the_field() {
    let toy = start().await;
    let body = r#"{"text":"once","number":0}"#;
    assert_eq!(toy.post("/foos", body).send().await.unwrap().status(), 201);
    let problem = problem(toy.post("/foos", body).send().await.unwrap(), 409).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("`text`"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_come_decoded_path_first() {
    let toy = start().await;
    let answer = toy.get("/names/a%20b%2Fc?z=1+2&y=%C3%A9").await;
    let params: Value = answer.json().await.unwrap();
    assert_eq!(params, json!([["name", "a b/c"], ["z", "1 2"], ["y", "é"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_from_outside_says_who_they_are() {
    let toy = start().await;
    let id = Uuid::from_u128(1);
    let request = format!(
        "GET /seen HTTP/1.1\r\nHost: x\r\nUser: {id}\r\nuser: {id}\r\nUSER:{id}\r\nX-User: {id}\r\nSaga: {id}\r\n\
         transactions: {id}\r\nRelated_Services: {id}\r\nrelated-services: {id}\r\nAccept: x\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = toy.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains(&id.to_string()), "{answer}");
    assert!(answer.contains("\"accept\":\"x\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_gateway_says_who_asks() {
    let mut trusting = settings();
    trusting.trust_identity_headers = true;
    let toy = start_with(trusting).await;
    let id = Uuid::from_u128(1).to_string();
    let seen = |user: &str| {
        toy.client
            .get(toy.url("/seen"))
            .header("User", user.to_owned())
            .send()
    };
    let answer: Value = seen(&id).await.unwrap().json().await.unwrap();
    assert_eq!((&answer["user"], &answer["cx"]), (&json!(id), &json!(id)));
    assert!(answer["headers"].get("user").is_none());
    problem(seen("me").await.unwrap(), 400).await;
    let twice = toy
        .client
        .get(toy.url("/seen"))
        .header("user", &id)
        .header("user", &id);
    problem(twice.send().await.unwrap(), 400).await;
    let answer: Value = toy.get("/seen").await.json().await.unwrap();
    assert_eq!(answer["user"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_http_is_refused_without_a_word_from_inside() {
    let toy = start().await;
    for broken in [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = toy.raw(broken).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("content-length: 0"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_explained() {
    let first = start().await;
    let mut settings = settings();
    settings.bind.port = first.server.local_addr().port();
    let (app, _) = super::toy::app(&first.store, settings.clone());
    let error = bind(app).await.unwrap_err();
    assert_eq!(error.kind(), Some(Kind::Config));
    let said = format!("`http.bind` = \"{}\": the port is in use", settings.bind);
    assert!(error.to_string().contains(&said), "{error}");

    for (host, said) in [
        ("192.0.2.1", "no such address"),
        ("no.such.invalid", "does not know the host"),
    ] {
        settings.bind.host = host.to_owned();
        let (app, _) = super::toy::app(&first.store, settings.clone());
        let error = bind(app).await.unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Config));
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_nothing_with_it() {
    use tokio::io::AsyncWriteExt;
    let toy = start().await;
    let mut socket = toy.socket().await;
    let head = "POST /foos HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(b"{\"text\":").await.unwrap();
    drop(socket);
    assert_eq!(toy.get("/seen").await.status(), 200);
    assert_eq!(toy.toy.calls.load(Ordering::SeqCst), 1);
}
