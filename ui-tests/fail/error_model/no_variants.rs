// An error model without variants refuses nothing.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {}

fn main() {}
