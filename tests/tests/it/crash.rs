//! The saga of the quickstart, killed at every moment at which something becomes durable.

use foo::{AddFooBar, Foo};
use minos::{prelude::*, saga::Saga, testing::CrashTest};
use minos_tests::{Again, Careless, Doubled, Otherwise};

#[minos::crash_test(foo::service(), foobar::service())]
fn a_foobar_is_added_once_whatever_dies() -> CrashTest<AddFooBar> {
    CrashTest::made(|cx| {
        Box::pin(async move {
            let foo = Foo {
                bar: "x".to_owned(),
                foobar: None,
            };
            let foo = Foo::create(cx, foo)?;
            Ok(AddFooBar {
                uuid: foo.uuid(),
                something: "hello".to_owned(),
                foobar: None,
            })
        })
    })
}

#[track_caller]
fn is_found<S: Saga>(saga: &S, counts: &str, what: &str) {
    let services = || vec![minos_tests::service()];
    let found = minos::testing::crash_test(S::NAME, services, || saga.clone());
    let found = found.map_err(|e| e.to_string());
    let fits = |e: &String| e.contains(counts) && e.contains(what);
    assert!(matches!(&found, Err(e) if fits(e)), "{found:?}");
}

#[test]
fn an_effect_that_is_doubled_is_found() {
    let what = "event CounterCreated 2 times, not 1";
    is_found(&Careless { times: 1 }, "lost 0, doubled", what);
}

#[test]
fn a_row_of_a_view_that_is_doubled_is_found() {
    is_found(&Doubled {}, "lost 0, doubled", "row of Ran 2 times, not 1");
}

#[test]
fn an_event_of_another_content_is_found() {
    let what = r#"event CounterCreated is Counter/<Counter> 1 {"name":null,"value":1}, not Counter/<Counter> 1 {"name":null,"value":0}"#;
    is_found(&Otherwise {}, "lost 0, doubled 0, altered", what);
}

#[test]
fn a_saga_of_another_state_is_found() {
    let what = r#"saga Again completed is {"again":true}, not {"again":false}"#;
    is_found(&Again { again: false }, "lost 0, doubled 0, altered", what);
}
