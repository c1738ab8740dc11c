// A command has one handler in a service, wherever it stands.
#![allow(unused)]

minos::service!("ui");

mod one {
    use minos::prelude::*;

    #[derive(Default)]
    pub struct One;

    #[command_service]
    impl One {
        #[enroute::broker::command("CreateFoo")]
        async fn create(&self) -> Result<()> {
            Ok(())
        }
    }
}

mod two {
    use minos::prelude::*;

    #[derive(Default)]
    pub struct Two;

    #[command_service]
    impl Two {
        #[enroute::broker::command("CreateFoo")]
        async fn create(&self) -> Result<()> {
            Ok(())
        }
    }
}

fn main() {}
