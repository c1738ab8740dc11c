//! What travels is part of the agreement: other services, also older ones, read it.

use foobar_api::{CreateFooBar, DeleteFooBar, FooBarError};
use minos::{
    error::ErrorModel,
    message::{Contract, ContractKind},
};
use serde_json::json;

#[test]
fn contracts_are_named_like_their_types() {
    assert_eq!(CreateFooBar::NAME, "CreateFooBar");
    assert_eq!(DeleteFooBar::NAME, "DeleteFooBar");
    assert_eq!(CreateFooBar::KIND, ContractKind::Command);
}

#[test]
fn commands_travel_as_plain_json() {
    let command = CreateFooBar {
        number: 56,
        text: "hello".to_owned(),
    };
    let sent = json!({ "number": 56, "text": "hello" });
    assert_eq!(serde_json::to_value(&command).unwrap(), sent);
    assert_eq!(
        serde_json::from_value::<CreateFooBar>(sent).unwrap(),
        command
    );
}

#[test]
fn refusals_say_why() {
    let taken = FooBarError::Exists {
        text: "hello".to_owned(),
    };
    assert_eq!(
        taken.to_string(),
        r#"a foobar saying "hello" exists already"#
    );
    assert_eq!((taken.status(), taken.code()), (409, "Exists"));
    assert_eq!(
        FooBarError::Empty.to_string(),
        "a foobar must say something"
    );
}
