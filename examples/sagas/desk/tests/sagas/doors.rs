//! Over HTTP: a loan that a person decides about, and an order that is made once.

use examples_client::{Client, Result};
use minos::{Builder, Running, config::Config};
use serde_json::json;

async fn start() -> Result<(Running, Client)> {
    let running = Builder::new([desk::service(), shops::service()])
        .config(Config::in_memory())
        .start()
        .await?;
    let client = Client::new(running.url("desk").ok_or("no door")?);
    Ok((running, client))
}

#[tokio::test]
async fn a_person_decides_about_a_loan() -> Result<()> {
    let (running, desk) = start().await?;
    let loan = json!({ "customer": "Ada", "amount": 1000 });
    let loan = desk.post("/loans", &loan).await?;
    assert_eq!(loan.status, 202, "{loan}");
    let id = loan.text("saga");
    let decision = json!({ "yes": true, "by": "Grace" });
    let told = desk
        .post(&format!("/loans/{id}/decision"), &decision)
        .await?;
    assert_eq!(told.status, 204, "{told}");
    let path = format!("/system/sagas/{id}");
    let ended = desk
        .until(&path, |a| a.text("status") == "completed")
        .await?;
    assert_eq!(ended.body["state"]["decided_by"], "Grace", "{ended}");
    running.stop().await?;
    Ok(())
}

#[tokio::test]
async fn who_orders_twice_with_one_number_has_ordered_once() -> Result<()> {
    let (running, desk) = start().await?;
    let order = json!({ "number": "4711", "article": "tea", "amount": 7 });
    let first = desk.post("/orders", &order).await?;
    assert_eq!(first.status, 202, "{first}");
    let second = desk.post("/orders", &order).await?;
    assert_eq!(first.body, second.body);
    let path = format!("/system/sagas/{}", first.text("saga"));
    desk.until(&path, |a| a.text("status") == "completed")
        .await?;
    running.stop().await?;
    Ok(())
}
