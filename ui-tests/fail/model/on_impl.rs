// A model is a struct or an enum.
#![allow(unused)]
use minos::prelude::*;

struct Data;

#[model]
impl Data {}

fn main() {}
