// A contract is a struct or an enum.
#![allow(unused)]
use minos::prelude::*;

struct CreateFoo;

#[contract]
impl CreateFoo {}

fn main() {}
