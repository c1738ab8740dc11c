//! The saga of the quickstart, killed at every moment at which something becomes durable.

use foo::{AddFooBar, Foo};
use minos::{prelude::*, testing::CrashTest};
use minos_tests::Careless;

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

#[test]
fn what_depends_on_how_often_it_ran_is_found() {
    let services = || vec![minos_tests::service()];
    let careless = || Careless { times: 1 };
    let found = minos::testing::crash_test("careless", services, careless);
    let found = found.map_err(|e| e.to_string());
    assert!(
        matches!(&found, Err(e) if e.contains("event CounterCreated 2 times, not 1")),
        "{found:?}"
    );
}
