// A model is a struct or an enum.
#![allow(unused)]
use minos::prelude::*;

#[model]
fn not_data() {}

fn main() {}
