//! Both services of the gallery in one process.

#[minos::main]
async fn main() -> minos::Result<()> {
    minos::run([desk::service(), shops::service()]).await
}
