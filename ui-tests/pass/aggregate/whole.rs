// Fields of any model type and visibility, unique or not, under old names, and references, to itself as well; what
// changed is told, a change to nothing too.
use minos::{aggregate::Subject, prelude::*};

minos::service!("ui");

mod inner {
    use std::collections::BTreeMap;

    use minos::prelude::*;

    #[model]
    pub struct Line {
        pub text: String,
        pub of: Ref<Order>,
    }

    /// An order.
    #[aggregate]
    #[derive(Default)]
    pub struct Order {
        /// Its number.
        #[unique]
        pub number: String,
        #[unique]
        pub(crate) slot: Option<u32>,
        #[serde(default, alias = "old_lines", alias = "older_lines")]
        pub lines: Vec<Line>,
        pub after: Option<Ref<Order>>,
        pub r#type: BTreeMap<String, i64>,
        total: f64,
    }

    impl Order {
        pub fn raise(&mut self) {
            self.total += 1.0;
        }
    }
}

use inner::{Order, OrderDiff};

fn main() {
    assert_eq!(Order::NAME, "Order");
    assert_eq!(Order::UNIQUE, ["number", "slot"]);
    assert_eq!(
        Order::FIELDS,
        ["number", "slot", "lines", "after", "type", "total"]
    );

    let mut old = Order::default();
    old.slot = Some(1);
    assert_eq!(old.diff(&old), None);

    let mut new = old.clone();
    new.slot = None;
    new.number = "7".into();
    new.raise();
    let diff = old.diff(&new).unwrap();
    assert_eq!(diff.slot, Some(None));
    assert_eq!(diff.lines, None);
    let text = minos::Payload::encode(&diff).unwrap();
    assert_eq!(text.as_str(), r#"{"number":"7","slot":null,"total":1.0}"#);
    let read: OrderDiff = text.decode().unwrap();
    assert_eq!(read, diff);
    let mut merged = old.clone();
    merged.merge(&read);
    assert_eq!(merged, new);

    let old_name: OrderDiff = minos::Payload::from_text(r#"{"older_lines":[],"gone":1}"#)
        .decode()
        .unwrap();
    let mut lines = OrderDiff::default();
    lines.lines = Some(vec![]);
    assert_eq!(old_name, lines);
    let wrong = minos::Payload::from_text(r#"{"slot":"x"}"#)
        .decode::<OrderDiff>()
        .unwrap_err();
    assert_eq!(wrong.failure().unwrap().pointer(), Some("/slot"));

    let filter = Order::fields()
        .number
        .eq("7")
        .and(Order::fields().slot.is_in([None]));
    let _ = (filter, Order::fields().number.desc());
}
