// What the user calls like our words, or like those of the standard library, is left alone.
#![allow(dead_code, non_camel_case_types, unused_macros)]
#![forbid(unsafe_code)]
#![deny(warnings)]

minos::service!("ui");

mod shadowed {
    pub struct Option;
    pub struct Result;
    pub struct String;
    pub struct Vec;
    pub struct Box;
    pub struct Some;
    pub struct None;
    pub struct Ok;
    pub struct Err;
    pub struct Route;
    pub struct Context;
    pub struct Payload;
    pub struct Step;
    pub struct m {}
    pub struct S {}
    pub trait Clone {}
    pub trait Debug {}
    pub trait Default {}
    pub trait ToString {}
    pub trait PartialEq {}
    pub trait Serialize {}
    pub trait Deserialize {}
    pub trait JsonSchema {}
    pub trait Model {}
    pub trait From {}
    pub trait Into {}
    pub mod std {}
    pub mod core {}
    pub mod serde {}
    pub mod schemars {}
    pub mod inventory {}
    pub mod minos {}
    pub mod alloc {}
    macro_rules! write {
        () => {};
    }
    macro_rules! file {
        () => {};
    }
    macro_rules! concat {
        () => {};
    }

    type Text = ::std::string::String;
    use ::minos::enroute;

    #[::minos::model]
    pub struct Data {
        pub text: Text,
        pub more: ::core::option::Option<Text>,
    }

    #[::minos::contract(reply = Data, error = Refused)]
    pub struct CreateFoo {
        pub text: Text,
    }

    #[::minos::contract(query, reply = Data)]
    pub struct GetFoo {
        pub text: Text,
    }

    #[::minos::contract(event)]
    pub struct Happened {
        pub text: Text,
    }

    #[::minos::error_model]
    pub enum Refused {
        #[error(status = 409, "{text} {f}")]
        Taken { text: Text, f: i8 },
        #[error("{0}")]
        Odd(i8),
    }

    #[::minos::aggregate]
    pub struct Foo {
        #[unique]
        pub text: Text,
        pub more: ::core::option::Option<Data>,
        pub owner: ::minos::aggregate::Ref<Bar>,
    }

    #[::minos::aggregate_ref]
    pub struct Bar {
        pub text: Text,
    }

    #[::minos::read_model]
    pub struct FooView {
        #[key]
        pub id: ::minos::Uuid,
        pub text: Text,
    }

    pub struct Foos;

    #[::minos::command_service]
    impl Foos {
        #[::minos::construct]
        async fn new(resources: &::minos::Resources) -> ::minos::Result<Self> {
            let _ = resources;
            ::core::result::Result::Ok(Self)
        }

        #[enroute::broker::command(CreateFoo)]
        #[enroute::rest::command("/foos/{id}", "POST")]
        async fn create(
            &self,
            m: &::minos::Context,
            s: ::minos::Request<CreateFoo>,
        ) -> ::minos::Result<Data, ::minos::Error<Refused>> {
            let _ = (m, s);
            ::core::result::Result::Err(::minos::Error::Refused(Refused::Odd(1)))
        }

        #[enroute::broker::event("BarUpdated.text")]
        async fn updated(
            raw: ::minos::Request<::minos::aggregate::Updated<Bar>>,
        ) -> ::minos::Result<()> {
            let _ = raw;
            ::core::result::Result::Ok(())
        }

        #[enroute::broker::event(Happened)]
        async fn happened(_: ::minos::Request<Happened>) -> ::minos::Result<()> {
            ::core::result::Result::Ok(())
        }
    }

    #[derive(::core::default::Default)]
    pub struct Gets;

    #[::minos::query_service]
    impl Gets {
        #[enroute::broker::query(GetFoo)]
        async fn get(&self) -> ::minos::Result<Data> {
            ::core::result::Result::Ok(Data {
                text: ::core::default::Default::default(),
                more: ::core::option::Option::None,
            })
        }
    }

    #[::minos::model]
    pub struct Order {
        pub text: Text,
    }

    #[::minos::saga(deadline = "1m")]
    impl Order {
        #[step(on_success = made, on_error = refused, compensate = undo, timeout = "1s", retry = 1)]
        fn make(&self) -> CreateFoo {
            CreateFoo {
                text: ::core::clone::Clone::clone(&self.text),
            }
        }

        fn made(&mut self, reply: Data) {
            self.text = reply.text;
        }

        fn refused(&mut self, _: Refused) -> ::minos::saga::Verdict {
            ::minos::saga::Verdict::Compensate
        }

        async fn undo(&mut self, cx: &::minos::Context) {
            let _ = cx;
        }

        #[step]
        fn end(&self, cx: &::minos::Context) -> ::minos::Result<()> {
            let _ = cx;
            ::core::result::Result::Ok(())
        }
    }
}

#[minos::main]
async fn main() -> minos::Result<()> {
    assert_eq!(service().routes().len(), 5);
    assert_eq!(
        shadowed::Refused::Taken {
            text: "a".into(),
            f: 1
        }
        .to_string(),
        "a 1"
    );
    Ok(())
}
