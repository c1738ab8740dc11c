//! Two services that do not fit together.

#[minos::main]
async fn main() -> minos::Result<()> {
    minos::run([foobar::service(), minos_tests_rival::service()]).await
}
