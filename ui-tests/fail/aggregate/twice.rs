// One aggregate of a service has one name.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

mod one {
    use minos::prelude::*;

    #[aggregate]
    pub struct Foo {
        pub bar: String,
    }
}

mod two {
    use minos::prelude::*;

    #[aggregate]
    pub struct Foo {
        pub bar: String,
    }
}

fn main() {}
