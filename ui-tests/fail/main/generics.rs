// `main` has no generics.
#![allow(unused)]
use minos::prelude::*;

#[minos::main]
async fn main<T>() -> Result<()> {
    Ok(())
}
