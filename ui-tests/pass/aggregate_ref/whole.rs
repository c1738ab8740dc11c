// The fields of another service's aggregate that this crate cares about: no service is needed.
use minos::{
    aggregate::{Subject, Updated},
    prelude::*,
};

#[aggregate_ref]
pub struct FooBar {
    pub something: String,
    #[serde(default)]
    pub version: Option<u64>,
}

fn reads<A: Subject>(event: &Updated<A>) -> &A::Diff {
    &event.diff
}

fn main() {
    assert_eq!(FooBar::NAME, "FooBar");
    let diff = FooBarDiff {
        something: Some("x".into()),
        version: None,
    };
    assert_eq!(
        minos::Payload::encode(&diff).unwrap().as_str(),
        r#"{"something":"x"}"#
    );
    let _ = reads::<FooBar>;
}
