use serde_json::{Value, json};
use uuid::Uuid;

use super::toy::{Running, problem, settings, start_with};
use crate::{
    clock::{Clock, SystemClock},
    config,
    message::Headers,
    payload::Payload,
    saga::{
        machine::{Env, start},
        toy,
    },
    store::{Store, UnitOfWork},
};

const TOKEN: &str = "0123456789abcdef-right";

/// One `Loan` that waits for its decision.
async fn with_loan(operated: bool) -> Running {
    let config = config::Config::in_memory();
    let config = config.set("http.operator_token", TOKEN).unwrap();
    let settings = match operated {
        true => config.for_service("toy", 0).http,
        false => settings(),
    };
    let toy = start_with(settings).await;
    let (sagas, clock) = (toy::sagas(), SystemClock);
    let env = Env {
        now: clock.now(),
        clock: &clock,
        headers: Headers {
            source: "toy".to_owned(),
            ..Headers::default()
        },
        owner: Uuid::nil(),
        sagas: &sagas,
    };
    let state = Payload::encode(&toy::Loan::default()).unwrap();
    let moved = start(&*sagas["Loan"], Uuid::from_u128(1), state, &env).unwrap();
    let mut unit = UnitOfWork::new(Uuid::from_u128(9), env.now);
    unit.sagas = vec![(moved.row, moved.history)];
    toy.store.commit(unit).await.unwrap();
    toy
}

impl Running {
    async fn order(&self, path: &str, body: &Value) -> reqwest::Response {
        let path = format!("/system/sagas/{}/{path}", Uuid::from_u128(1));
        let request = self.post(&path, &body.to_string());
        request.bearer_auth(TOKEN).send().await.unwrap()
    }

    async fn loan(&self) -> Value {
        let path = format!("/system/sagas/{}", Uuid::from_u128(1));
        self.get(&path).await.json().await.unwrap()
    }
}

fn alice() -> Value {
    json!({ "by": "alice", "reason": "a test" })
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_are_moved_by_operators_only() {
    for operated in [true, false] {
        let toy = with_loan(operated).await;
        for path in ["retry", "skip", "cancel", "signals/Decided"] {
            let path = format!("/system/sagas/{}/{path}", Uuid::from_u128(1));
            let request = toy.post(&path, &alice().to_string());
            let request = request.bearer_auth("0123456789abcdef-wrong");
            problem(request.send().await.unwrap(), 403).await;
            problem(toy.get(&path).await, 405).await;
        }
        if !operated {
            problem(toy.order("cancel", &alice()).await, 403).await;
        }
        assert_eq!(toy.loan().await["version"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_shows_what_it_waits_for_and_is_signalled() {
    let toy = with_loan(true).await;
    let loan = toy.loan().await;
    let wait = &loan["timeline"]["waits"][0];
    assert_eq!(
        (&wait["step"], &wait["waits_for"], &wait["of"]),
        (&json!("decision"), &json!("signal"), &json!("Decided"))
    );
    assert_eq!(loan["timeline"]["steps"][0]["status"], "running");
    assert_eq!(loan["history_cut"], false);
    let mut body = alice();
    body["content"] = json!({ "text": "yes" });
    problem(toy.order("signals/Other", &body).await, 409).await;
    let answer = toy.order("signals/Decided", &body).await;
    assert_eq!(answer.status(), 200);
    let loan = toy.loan().await;
    assert_eq!(loan["state"]["decision"], "yes");
    let waits = &loan["timeline"]["waits"][0]["waits_for"];
    assert_eq!(waits, "local");
    let history = loan["history"].to_string();
    assert!(
        history.contains("alice") && history.contains("a test"),
        "{history}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_cancelled_once_and_what_does_not_apply_is_a_conflict() {
    let toy = with_loan(true).await;
    problem(toy.order("retry", &alice()).await, 409).await;
    let wrong = toy.order("cancel", &json!({ "by": "alice" })).await;
    assert_eq!(problem(wrong, 400).await["pointer"], "/reason");
    let wrong = toy.order("cancel", &json!({ "reason": "so" })).await;
    problem(wrong, 400).await;
    let answer = toy.order("cancel", &alice()).await;
    assert_eq!(
        answer.json::<Value>().await.unwrap()["status"],
        "compensated"
    );
    problem(toy.order("cancel", &alice()).await, 409).await;
    problem(toy.order("skip", &alice()).await, 409).await;
    let nobody = format!("/system/sagas/{}/cancel", Uuid::from_u128(2));
    let request = toy.post(&nobody, &alice().to_string()).bearer_auth(TOKEN);
    problem(request.send().await.unwrap(), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_skipped_by_name() {
    let toy = with_loan(true).await;
    let mut body = alice();
    body["step"] = json!("note");
    problem(toy.order("skip", &body).await, 409).await;
    body["step"] = json!("decision");
    assert_eq!(toy.order("skip", &body).await.status(), 200);
    assert_eq!(toy.loan().await["timeline"]["steps"][0]["status"], "done");
    problem(toy.order("cancel", &body).await, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_whose_content_cannot_be_read_is_refused_with_the_place() {
    let toy = with_loan(true).await;
    for (content, pointer) in [
        (json!({ "text": 5 }), "/content/text"),
        (json!({}), "/content"),
        (Value::Null, "/content"),
    ] {
        let mut body = alice();
        body["content"] = content;
        let problem = problem(toy.order("signals/Decided", &body).await, 400).await;
        assert_eq!(problem["pointer"], pointer, "{problem}");
        assert!(problem.to_string().contains("`Decided`"), "{problem}");
    }
    let loan = toy.loan().await;
    assert_eq!(
        (&loan["version"], &loan["status"]),
        (&json!(1), &json!("running"))
    );
}
