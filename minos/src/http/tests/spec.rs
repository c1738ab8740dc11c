use std::{collections::BTreeMap, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    store::Fickle,
    toy::{app_with, problem, settings, start_app},
};
use crate::{
    enroute::At,
    error::Never,
    model::Model,
    payload::Payload,
    saga::{
        Action, Outgoing, Saga, Step, StepTarget, Target, TargetKind, Verdict,
        flow::{self, StepEnd},
    },
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Order {}

impl Model for Order {}

impl StepTarget for Order {
    const KIND: TargetKind = TargetKind::Saga;
    const NAME: &'static str = "Order";
    type Reply = Self;
    type Error = Never;
}

const PAY: Target = Target {
    kind: TargetKind::Command,
    name: "Pay",
};

fn pay(_: &Order) -> crate::error::Result<Outgoing> {
    Ok(Outgoing {
        kind: PAY.kind,
        name: PAY.name,
        payload: Payload::encode(&())?,
    })
}

impl Saga for Order {
    const STEPS: &'static [Step<Self>] = &[
        Step::new(
            "pay",
            At::new("pay", "order.rs", 5),
            Action::Remote(PAY, pay),
        )
        .compensate(Action::Local(|_, _| Box::pin(async { StepEnd::Done })))
        .timeout(500)
        .retry(2)
        .parallel("all"),
        Step::new(
            "wait",
            At::new("wait", "order.rs", 7),
            Action::Wait("Approve", |_, _| Ok(Verdict::Continue)),
        )
        .when("is_big", |_| true)
        .pivot(),
    ];
    const DEADLINE: Option<Duration> = Some(Duration::from_secs(600));
    const DIAGRAM: &'static str = "flowchart TD\n";
    const AT: At = At::new("Order", "order.rs", 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_are_described_with_a_picture() {
    let sagas = BTreeMap::from([("Order", flow::of::<Order>())]);
    let store = Arc::new(Fickle::default());
    let (app, toy) = app_with(&store, settings(), sagas);
    let running = start_app(store, app, toy).await;
    let answer = running.get("/spec/sagas").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({"sagas": [{
            "name": "Order", "at": "order.rs:3", "deadline_ms": 600_000,
            "steps": [
                {
                    "name": "pay", "does": "command", "target": "Pay", "compensated": true,
                    "pivot": false, "timeout_ms": 500, "retry": 2, "parallel": "all",
                },
                {
                    "name": "wait", "does": "wait", "target": "Approve", "compensated": false,
                    "pivot": true, "retry": 0, "when": "is_big",
                },
            ],
            "diagram": "flowchart TD\n",
        }]})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_below_spec() {
    let store = Arc::new(Fickle::default());
    let (app, toy) = app_with(&store, settings(), BTreeMap::new());
    let toy = start_app(store, app, toy).await;
    let none = toy.get("/spec/sagas").await.json::<Value>().await.unwrap();
    assert_eq!(none, json!({"sagas": []}));
    problem(toy.get("/spec").await, 404).await;
    problem(toy.get("/spec/sagas/Order").await, 404).await;
    let post = toy.post("/spec/sagas", "").send().await.unwrap();
    assert_eq!(post.status(), 405);
}
