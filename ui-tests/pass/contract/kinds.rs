// A contract is a command, a query, or an event; it is called like its type or by a name of its own.
use minos::{
    message::{Contract, ContractKind},
    prelude::*,
    saga::{StepTarget, TargetKind},
};

#[contract(reply = FooCreated, error = FooError)]
struct CreateFoo {
    text: String,
}

#[contract("foo.delete-now_2")]
struct DeleteFoo {
    id: Uuid,
}

#[contract("foo.get", query, reply = Vec<FooCreated>)]
struct GetFoo {
    id: Uuid,
}

#[contract(event)]
enum OrderPaid {
    Cash,
    Card { number: String },
}

#[contract]
struct Ping;

#[model]
struct FooCreated {
    id: Uuid,
}

#[error_model]
enum FooError {
    #[error("taken")]
    Taken,
}

fn promises<C: Contract<Reply = R, Error = E>, R, E>(name: &str, kind: ContractKind) {
    assert_eq!((C::NAME, C::KIND), (name, kind));
}

fn main() {
    promises::<CreateFoo, FooCreated, FooError>("CreateFoo", ContractKind::Command);
    promises::<DeleteFoo, (), minos::error::Never>("foo.delete-now_2", ContractKind::Command);
    promises::<GetFoo, Vec<FooCreated>, minos::error::Never>("foo.get", ContractKind::Query);
    promises::<OrderPaid, (), minos::error::Never>("OrderPaid", ContractKind::Event);
    promises::<Ping, (), minos::error::Never>("Ping", ContractKind::Command);
    assert_eq!(<GetFoo as StepTarget>::KIND, TargetKind::Query);
    assert_eq!(<CreateFoo as StepTarget>::NAME, "CreateFoo");
}
