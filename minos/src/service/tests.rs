//! Sagas of a service that runs, waited for.

use std::time::Duration;

use super::{Builder, Running};
use crate::{
    config::Config,
    error::{Error, Kind},
    saga::{
        SagaEntry, SagaId,
        toy::{Decided, House, Loan, Shout},
    },
    store::SagaFilter,
};

#[allow(unreachable_pub, reason = "the macro writes for a crate root")]
mod bank {
    use crate as minos;
    minos::service!("bank");
}

inventory::submit!(SagaEntry::of::<bank::__put_minos_service_in_lib_rs, Loan>());
inventory::submit!(SagaEntry::of::<bank::__put_minos_service_in_lib_rs, House>());
inventory::submit!(SagaEntry::of::<bank::__put_minos_service_in_lib_rs, Shout>());

const PATIENCE: Duration = Duration::from_secs(20);

async fn start() -> Running {
    let builder = Builder::new([bank::service()]).config(Config::in_memory());
    let running = builder.start().await.unwrap();
    running.ready(PATIENCE).await.unwrap();
    running
}

/// Decides about the first loan that there is.
async fn decide(running: &Running, text: &str) {
    let sagas = running.sagas("bank").unwrap();
    let store = running.store("bank").unwrap();
    let filter = SagaFilter {
        name: Some("Loan".to_owned()),
        limit: 1,
        ..SagaFilter::default()
    };
    let mut changes = store.changes();
    let found = async {
        loop {
            if let Some(row) = sagas.list(&filter).await.unwrap().pop() {
                return row.id;
            }
            changes.changed().await.unwrap();
        }
    };
    let loan = tokio::time::timeout(PATIENCE, found).await.unwrap();
    let text = text.to_owned();
    let loan = SagaId { saga: loan };
    running
        .signal("bank", loan, Decided { text })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_started_and_waited_for() {
    let running = start().await;
    let house = running.run(House::default(), PATIENCE);
    let (house, ()) = tokio::join!(house, decide(&running, "yes"));
    assert!(house.unwrap().loan.unwrap().noted);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_that_is_undone_says_why() {
    let running = start().await;
    let loan = running.run(Loan::default(), PATIENCE);
    let (loan, ()) = tokio::join!(loan, decide(&running, "no"));
    let Err(Error::Refused(undone)) = loan else {
        panic!("{loan:?}");
    };
    assert_eq!(
        (undone.step.as_str(), undone.kind.as_str()),
        ("decision", "refused")
    );
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_that_takes_too_long_says_what_it_waits_for_and_that_nobody_listens() {
    let running = start().await;
    let late = running.run(Shout {}, Duration::from_millis(50)).await;
    let error = late.unwrap_err();
    assert_eq!(error.kind(), Some(Kind::TimedOut));
    let text = error.to_string();
    for part in [
        "saga `Shout`",
        "`shout`",
        "`Listen`",
        "nobody in this process",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let late = running
        .run(Loan::default(), Duration::from_millis(50))
        .await;
    let text = late.unwrap_err().to_string();
    assert!(text.contains("the signal `Decided`"), "{text}");
    running.stop().await.unwrap();
}
