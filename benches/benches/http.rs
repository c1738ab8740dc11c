//! Creates over HTTP, beside a bare actix-web handler that stores nothing.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::{net::TcpListener, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, web};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use minos::{Builder, config::Config};
use minos_benches::owner;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet};

const TASKS: [usize; 3] = [1, 8, 64];
const N: usize = 256;

/// Sends `N` requests over `tasks` connections.
async fn post(client: reqwest::Client, url: String, tasks: usize) {
    let body = json!({ "owner": owner() });
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (client, url, body) = (client.clone(), url.clone(), body.clone());
        running.spawn(async move {
            for _ in 0..N / tasks {
                let answer = client.post(&url).json(&body).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

fn bare() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/accounts", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let answer = |body: web::Json<Value>| async move {
                assert!(body.get("owner").is_some());
                HttpResponse::Ok().json(json!({ "uuid": minos::Uuid::now_v7() }))
            };
            let app = move || App::new().route("/accounts", web::post().to(answer));
            HttpServer::new(app)
                .listen(listener)
                .unwrap()
                .run()
                .await
                .unwrap();
        });
    });
    url
}

fn creates(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let config = Config::in_memory()
        .set("database.url", &format!("sqlite://{at}/{{service}}.db"))
        .unwrap();
    let running = runtime
        .block_on(
            Builder::new([minos_benches::service()])
                .config(config)
                .start(),
        )
        .unwrap();
    let doors = [
        (
            "minos, durable",
            format!("{}/accounts", running.url("bench").unwrap()),
        ),
        ("bare actix-web", bare()),
    ];
    let client = reqwest::Client::new();
    let mut group = c.benchmark_group("HTTP create");
    group.throughput(Throughput::Elements(N as u64));
    for tasks in TASKS {
        for (name, url) in &doors {
            group.bench_function(BenchmarkId::new(*name, tasks), |b| {
                b.to_async(&runtime)
                    .iter(|| post(client.clone(), url.clone(), tasks));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = creates
}
criterion_main!(benches);
