// The macros work on what other macros write.
use minos::prelude::*;

minos::service!("ui");

pub type Text = String;

macro_rules! domain {
    ($aggregate:ident, $field:ident: $ty:ty, $contract:ident, $service:ident, $saga:ident, $topic:literal) => {
        #[aggregate]
        pub struct $aggregate {
            pub $field: $ty,
            pub own: $crate::Text,
        }

        #[contract(reply = $ty)]
        pub struct $contract {
            pub $field: $ty,
        }

        #[error_model]
        pub enum Refused {
            #[error("{text}")]
            No { text: $crate::Text },
        }

        #[derive(Default)]
        pub struct $service;

        #[command_service]
        impl $service {
            #[enroute::broker::command($contract)]
            #[enroute::broker::command($topic)]
            async fn handle(&self, cx: &Context, request: Request<$contract>) -> Result<$ty> {
                let _ = cx;
                Ok(request.into_content().$field)
            }
        }

        #[model]
        pub struct $saga {
            $field: $ty,
        }

        #[saga]
        impl $saga {
            #[step(on_success = done)]
            fn send(&self) -> $contract {
                $contract {
                    $field: self.$field.clone(),
                }
            }

            fn done(&mut self, reply: $ty) {
                self.$field = reply;
            }
        }
    };
}

domain!(Foo, bar: Vec<Option<u8>>, CreateFoo, Foos, Order, "Other");

fn main() {
    assert_eq!(service().routes().len(), 2);
    let (a, b) = (
        Foo {
            bar: vec![],
            own: "a".into(),
        },
        Foo {
            bar: vec![None],
            own: "a".into(),
        },
    );
    assert_eq!(a.diff(&b).unwrap().bar, Some(vec![None]));
    assert_eq!(Refused::No { text: "no".into() }.to_string(), "no");
}
