// An async `main` with the result of minos.
/// Starts.
#[minos::main]
pub async fn main() -> minos::Result<()> {
    Ok(())
}
