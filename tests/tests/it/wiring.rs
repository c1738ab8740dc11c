//! Services that do not fit together.

use examples_client::Result;
use minos::{Builder, config::Config, enroute::wiring_problems};

mod other {
    //! Another crate's service with one handler that `foobar` has too, as its macros would write it.
}

#[tokio::test]
async fn one_service_passed_twice_is_refused() -> Result<()> {
    let problems = wiring_problems(&[foo::service(), foo::service()]);
    assert_eq!(problems, ["2 services are called `foo`: give each its own name"]);
    let refused = Builder::new([foo::service(), foo::service()]).config(Config::in_memory()).start().await;
    assert!(refused.is_err());
    Ok(())
}

#[test]
fn the_quickstart_fits_together() {
    assert_eq!(wiring_problems(&[foo::service(), foobar::service()]), [] as [&str; 0]);
}
