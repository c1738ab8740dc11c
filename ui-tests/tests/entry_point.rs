//! `#[minos::main]`: the wiring test that it writes, which runs here as `minos_wiring`.

use minos::prelude::*;

minos::service!("entry");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

#[minos::main]
async fn main() -> minos::Result<()> {
    minos::run([service()]).await
}

#[test]
fn what_does_not_fit_fails_the_test_with_all_its_words() {
    let report = minos::__private::wiring(minos::run([service(), service()])).unwrap_err();
    assert!(
        format!("{report:?}").contains("2 services are called `entry`"),
        "{report:?}"
    );
}

#[test]
fn an_error_is_an_exit_code() {
    let failed: Result<()> = Err(Error::new(minos::error::Kind::Config, "no such file"));
    let failed = minos::__private::block_on(async { failed });
    let done: Result<()> = Ok(());
    let done = minos::__private::block_on(async { done });
    assert_ne!(format!("{failed:?}"), format!("{done:?}"));
}
