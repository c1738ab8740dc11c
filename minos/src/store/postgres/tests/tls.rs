//! A server that lets nobody in without TLS.

use std::time::Duration;

use super::{Options, Store, adding, cluster::Cluster, patient, stream};
use crate::store::{Position, Store as _};

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(3),
        ..patient()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_says_how_far_the_server_is_trusted() {
    let (server, authority) = Cluster::with_tls();
    let url = |options: &str| format!("{}?{options}", server.url("postgres"));
    for mode in [
        "sslmode=require".to_owned(),
        format!("sslmode=verify-full&sslrootcert={authority}"),
    ] {
        let store = Store::open(&url(&mode), options()).await;
        let store = store.unwrap_or_else(|e| panic!("{mode}: {e:?}"));
        store.commit(adding(&stream(), None)).await.unwrap();
        assert!(!store.events(Position::START, 10).await.unwrap().is_empty());
        store.close().await;
    }
    for mode in ["sslmode=disable", "sslmode=verify-full"] {
        let refused = Store::open(&url(mode), options()).await;
        let why = refused.map(drop).unwrap_err().to_string();
        assert!(!why.contains("pw"), "{mode}: {why}");
    }
}
