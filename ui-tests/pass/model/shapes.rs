// Structs and enums of any shape; derives and serde attributes below; types of other crates that serde and schemars
// know; a type that contains itself.
use std::collections::HashMap;

use minos::prelude::*;

#[model]
struct Named {
    text: String,
    number: Option<i64>,
    at: DateTime<Utc>,
}

#[model]
struct Tuple(String, u32);

#[model]
struct Unit;

#[model]
enum Choice {
    Plain,
    Tuple(u8, Vec<Named>),
    Named { id: Uuid, other: Box<Choice> },
}

#[model]
#[derive(Eq, Hash, Clone, PartialEq, Debug, Default, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Derived {
    some_text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other_text: Option<String>,
}

#[model]
struct Foreign {
    map: HashMap<String, usize>,
    bytes: [u8; 4],
    pause: std::time::Duration,
}

#[model]
struct Tree {
    children: Vec<Tree>,
    r#type: String,
}

/// A type that serde does not know by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cents(u32);

#[model]
struct Price {
    #[serde(with = "cents")]
    #[schemars(with = "u32")]
    cents: Cents,
}

mod cents {
    use super::Cents;

    type Serde<S> = Result<<S as Serializer>::Ok, <S as Serializer>::Error>;
    use minos::__private::serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(cents: &Cents, s: S) -> Serde<S> {
        s.serialize_u32(cents.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Cents, D::Error> {
        u32::deserialize(d).map(Cents)
    }
}

fn same<T: minos::model::Model>(value: &T) {
    let text = minos::Payload::encode(value).unwrap();
    assert_eq!(&text.decode::<T>().unwrap(), value, "{}", text.as_str());
}

fn main() {
    let named = Named {
        text: "a".into(),
        number: None,
        at: DateTime::default(),
    };
    same(&named);
    same(&Tuple("a".into(), 1));
    same(&Unit);
    same(&Choice::Plain);
    same(&Choice::Named {
        id: Uuid::nil(),
        other: Box::new(Choice::Tuple(1, vec![named])),
    });
    same(&Foreign {
        map: HashMap::new(),
        bytes: [1; 4],
        pause: std::time::Duration::from_secs(1),
    });
    same(&Tree {
        children: vec![Tree {
            children: vec![],
            r#type: "leaf".into(),
        }],
        r#type: "root".into(),
    });
    same(&Price { cents: Cents(5) });
    let derived = Derived {
        some_text: "a".into(),
        other_text: None,
    };
    same(&derived);
    assert_eq!(
        minos::Payload::encode(&derived).unwrap().as_str(),
        r#"{"someText":"a"}"#
    );
}
