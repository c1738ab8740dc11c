// A service attribute goes on the impl block.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[query_service]
async fn get() -> Result<()> {
    Ok(())
}

fn main() {}
