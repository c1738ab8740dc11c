// A row has one key, of any type that is a text.
use minos::prelude::*;

#[read_model]
struct FooView {
    #[key]
    uuid: Uuid,
    bar: String,
}

/// A row of a count.
#[read_model]
#[derive(Default, Eq)]
#[serde(default)]
pub struct Count {
    pub of: u64,
    /// Of which.
    #[key]
    #[serde(rename = "type")]
    pub r#type: String,
}

fn main() {
    let view = FooView {
        uuid: Uuid::nil(),
        bar: "a".into(),
    };
    assert_eq!(
        (FooView::NAME, view.key()),
        ("FooView", Uuid::nil().to_string())
    );
    assert_eq!(
        Count {
            of: 1,
            r#type: "foo".into()
        }
        .key(),
        "foo"
    );
}
