//! Both services of the quickstart in one process. They could as well run in two: nothing else would change.

#[minos::main]
async fn main() -> minos::Result<()> {
    minos::run([foo::service(), foobar::service()]).await
}
