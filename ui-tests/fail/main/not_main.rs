// `minos::main` goes on `main`.
#![allow(unused)]
use minos::prelude::*;

#[minos::main]
async fn start() -> Result<()> {
    Ok(())
}

fn main() {}
