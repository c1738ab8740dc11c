//! Services that do not fit together.

use std::process::Command;

use examples_client::Result;
use minos::{Builder, config::Config, enroute::wiring_problems};

/// The two places of the command that both services handle.
const FIRST: &str = "foobar/src/command.rs:";
const SECOND: &str = "rival/src/lib.rs:";

#[test]
fn the_quickstart_fits_together() {
    assert_eq!(
        wiring_problems(&[foo::service(), foobar::service()]),
        [] as [&str; 0]
    );
}

#[tokio::test]
async fn one_service_passed_twice_is_refused() -> Result<()> {
    let problems = wiring_problems(&[foo::service(), foo::service()]);
    assert_eq!(
        problems,
        ["2 services are called `foo`: give each its own name"]
    );
    let refused = Builder::new([foo::service(), foo::service()])
        .config(Config::in_memory())
        .start()
        .await;
    assert!(refused.is_err());
    Ok(())
}

#[test]
fn a_command_handled_in_two_crates_is_refused_at_start_with_both_places() -> Result<()> {
    let rivals = Command::new(env!("CARGO_BIN_EXE_rivals")).output()?;
    let said = String::from_utf8(rivals.stderr)?;
    assert_eq!(rivals.status.code(), Some(1), "{said}");
    assert!(
        said.contains("broker::command `DeleteFooBar` is handled twice: by `foobar` at"),
        "{said}"
    );
    assert!(said.contains(FIRST) && said.contains(SECOND), "{said}");
    Ok(())
}

#[tokio::test]
async fn the_generated_wiring_test_says_the_same() {
    // What `#[minos::main]` generates runs the body of `main` like this.
    let body = async { minos::run([foobar::service(), minos_tests_rival::service()]).await };
    let said = minos::__private::check_only(body)
        .await
        .unwrap_err()
        .to_string();
    assert!(said.contains(FIRST) && said.contains(SECOND), "{said}");
}

#[test]
fn two_blocks_of_one_name_are_refused_with_both_places() {
    let problems = wiring_problems(&[minos_tests_rival::service()]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let twins = "two blocks of `rival` are called `Rival`: at tests/rival/src/lib.rs:";
    assert!(problems[0].starts_with(twins), "{problems:?}");
}
