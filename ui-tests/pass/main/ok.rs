// An async `main` that ends well; its error may be any that is an error.
use minos::prelude::*;

mod other {
    #[allow(dead_code)]
    pub type Boxed = Box<dyn std::error::Error>;
}

#[minos::main]
async fn main() -> Result<(), other::Boxed> {
    let spawned = async { 1 };
    assert_eq!(spawned.await, 1);
    let _: Uuid = Uuid::nil();
    Ok(())
}
