//! Views, and conditions on aggregates and views.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{
    Fixture,
    toy::{id, unit, write, writing},
};
use crate::{
    payload::Payload,
    store::{Condition, Find, Order, StreamId, UnitOfWork, ViewWrite},
};

fn row(view: &str, key: &str, row: Option<&Json>) -> ViewWrite {
    ViewWrite {
        view: view.to_owned(),
        key: key.to_owned(),
        row: row.map(|r| Payload::from_text(r.to_string())),
    }
}

fn views(writes: Vec<ViewWrite>) -> UnitOfWork {
    UnitOfWork {
        views: writes,
        ..unit()
    }
}

/// A row of a view is written, replaced, and removed; the last word of a unit counts.
pub async fn views_are_written_and_removed(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let (one, two) = (json!({"n": 1}), json!({"n": 2}));
    store
        .commit(views(vec![
            row("a", "x", Some(&one)),
            row("a", "y", Some(&one)),
            row("b", "x", Some(&two)),
        ]))
        .await
        .unwrap();
    let text = |v: &Json| Some(Payload::from_text(v.to_string()));
    assert_eq!(store.view("a", "x").await.unwrap(), text(&one));
    assert_eq!(store.view("a", "z").await.unwrap(), None);
    store
        .commit(views(vec![
            row("a", "x", Some(&two)),
            row("a", "y", None),
            row("a", "z", None),
            row("b", "x", None),
            row("b", "x", Some(&one)),
            row("c", "x", Some(&one)),
            row("c", "x", None),
        ]))
        .await
        .unwrap();
    assert_eq!(store.view("a", "x").await.unwrap(), text(&two));
    assert_eq!(store.view("a", "y").await.unwrap(), None);
    assert_eq!(store.view("b", "x").await.unwrap(), text(&one));
    assert_eq!(store.view("c", "x").await.unwrap(), None);
    let all = store.find_views(&Find::all("a")).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0, "x");
}

/// Any condition, order, and page finds what the reference finds.
pub async fn find_agrees_with_the_reference(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let seed = fastrand::u64(..);
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    let rows: Vec<(String, Json)> = (0..120)
        .map(|n| {
            (
                format!("{:03}{}", dice.below(1000), key_tail(n)),
                dice.row(),
            )
        })
        .collect();
    let mut unit = unit();
    let mut aggregates: Vec<(Uuid, Json)> = Vec::new();
    for (key, value) in &rows {
        unit.views.push(row("v", key, Some(value)));
        let stream = StreamId::new("Toy", id());
        let mut create = write(&stream, None, 1);
        create.state = Some(Payload::from_text(value.to_string()));
        unit.writes.push(create);
        aggregates.push((stream.id, value.clone()));
    }
    store.commit(unit).await.unwrap();

    for round in 0..400 {
        let find = dice.find(&rows);
        let context = || format!("seed {seed}, round {round}: {find:?}");
        let mut asked = find.clone();
        asked.of = "v".to_owned();
        let found = store.find_views(&asked).await;
        let found = found.unwrap_or_else(|e| panic!("{e:?} in {}", context()));
        let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, reference(&find, &rows), "{}", context());
        for (key, row) in &found {
            let own = rows.iter().rev().find(|(k, _)| k == key).map(|(_, r)| r);
            assert_eq!(own.map(Json::to_string).as_deref(), Some(row.as_str()));
        }
        asked.of = "Toy".to_owned();
        let found = store.find(&asked).await;
        let found = found.unwrap_or_else(|e| panic!("{e:?} in {}", context()));
        let ids: Vec<_> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, reference(&find, &aggregates), "{}", context());
    }
}

/// Keys that differ only beyond ASCII, so that ties are broken by code point.
fn key_tail(n: usize) -> char {
    ['a', 'Z', 'é', '\u{FFFD}', '\u{10000}'][n % 5]
}

/// What [`Find`] means.
fn reference<I: Ord + Clone>(find: &Find, rows: &[(I, Json)]) -> Vec<I> {
    let mut unique: std::collections::BTreeMap<I, &Json> = std::collections::BTreeMap::new();
    for (id, row) in rows {
        unique.insert(id.clone(), row);
    }
    let mut found: Vec<_> = unique
        .into_iter()
        .filter(|(_, row)| find.condition.holds(row))
        .collect();
    found.sort_by(|a, b| find.compare((&a.0, a.1), (&b.0, b.1)));
    found
        .into_iter()
        .map(|(id, _)| id)
        .skip(find.offset as usize)
        .take(find.limit as usize)
        .collect()
}

/// Field names that SQL and JSON paths might stumble over.
const FIELDS: [&str; 9] = ["a", "b", "it's", "a\"b", "a.b", "$", "[0]", "ä\\n", ""];

struct Dice(fastrand::Rng);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    fn value(&mut self) -> Json {
        let numbers = [
            json!(0),
            json!(-0.0),
            json!(1),
            json!(1.0),
            json!(1.5),
            json!(-1),
            json!(2),
            json!(10),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992.0),
            json!(9.223_372_036_854_776e18),
            json!(5e-324),
            json!(f64::MAX),
            json!(0.1),
            json!(0.300_000_000_000_000_04),
            json!(0.3),
            json!(1e300),
            json!(-4.366508223114724e-137),
            json!(1e-7),
        ];
        let texts = [
            "",
            "a",
            "A",
            "b",
            "ab",
            "ä",
            "z",
            "\u{FFFD}",
            "\u{10000}",
            "1",
            "1.0",
            "true",
            "null",
            "it's",
            "a\"b",
            "[]",
            "{}",
            " a",
            "%",
            "_",
        ];
        match self.below(20) {
            0 | 1 => Json::Null,
            2 => json!(true),
            3 => json!(false),
            4..=10 => numbers[self.below(numbers.len())].clone(),
            11..=16 => json!(texts[self.below(texts.len())]),
            17 => json!([1, "a"]),
            18 => json!({"x": 1, "b": [null]}),
            _ => [json!([]), json!({}), json!([1.0, "a"])][self.below(3)].clone(),
        }
    }

    fn field(&mut self) -> String {
        // The first two often, so that conditions meet.
        let n = self.below(FIELDS.len() * 2);
        FIELDS[if n < FIELDS.len() { n } else { n % 2 }].to_owned()
    }

    fn row(&mut self) -> Json {
        match self.below(30) {
            0 => json!([1, 2]),
            1 => json!("text"),
            _ => {
                let fields = (0..FIELDS.len())
                    .filter(|_| self.0.bool())
                    .collect::<Vec<_>>();
                let row = fields
                    .into_iter()
                    .map(|n| (FIELDS[n].to_owned(), self.value()));
                Json::Object(row.collect())
            }
        }
    }

    /// A value that the rows may have.
    fn known(&mut self, rows: &[(String, Json)], field: &str) -> Json {
        let n = self.below(rows.len());
        match rows[n].1.get(field) {
            Some(value) if self.0.bool() => value.clone(),
            _ => self.value(),
        }
    }

    fn condition(&mut self, rows: &[(String, Json)], depth: usize) -> Condition {
        let kinds = if depth == 0 { 8 } else { 12 };
        let field = self.field();
        match self.below(kinds) {
            0 => Condition::All,
            1 => Condition::Eq(field.clone(), self.known(rows, &field)),
            2 => Condition::Ne(field.clone(), self.known(rows, &field)),
            3 => Condition::Lt(field.clone(), self.known(rows, &field)),
            4 => Condition::Le(field.clone(), self.known(rows, &field)),
            5 => Condition::Gt(field.clone(), self.known(rows, &field)),
            6 => Condition::Ge(field.clone(), self.known(rows, &field)),
            7 => {
                let n = self.below(5);
                Condition::In(
                    field.clone(),
                    (0..n).map(|_| self.known(rows, &field)).collect(),
                )
            }
            8 => Condition::Not(Box::new(self.condition(rows, depth - 1))),
            n => {
                let of = (0..self.below(4)).map(|_| depth - 1).collect::<Vec<_>>();
                let inner = of.into_iter().map(|d| self.condition(rows, d)).collect();
                if n == 9 {
                    Condition::And(inner)
                } else {
                    Condition::Or(inner)
                }
            }
        }
    }

    fn find(&mut self, rows: &[(String, Json)]) -> Find {
        let keys = self.below(3);
        Find {
            of: String::new(),
            condition: self.condition(rows, 3),
            order: (0..keys)
                .map(|_| Order {
                    field: self.field(),
                    descending: self.0.bool(),
                })
                .collect(),
            limit: if self.0.bool() {
                1000
            } else {
                self.below(20) as u32
            },
            offset: if self.0.bool() {
                0
            } else {
                self.below(20) as u32
            },
        }
    }
}

/// The order is total, so that pages neither overlap nor leave gaps.
pub async fn find_orders_and_pages(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let values = [
        json!({"n": 2, "t": "b"}),
        json!({"n": 1, "t": "b"}),
        json!({"n": null, "t": "a"}),
        json!({"t": "c"}),
        json!({"n": "x"}),
        json!({"n": false}),
        json!({"n": [1]}),
        json!({"n": 1.5, "t": "b"}),
    ];
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let writes = keys.iter().zip(&values);
    let writes = writes
        .map(|(key, value)| row("v", key, Some(value)))
        .collect();
    store.commit(views(writes)).await.unwrap();
    let by = |descending, field: &str| Order {
        field: field.to_owned(),
        descending,
    };
    let page = |order: Vec<Order>, limit, offset| {
        let find = Find {
            order,
            limit,
            offset,
            ..Find::all("v")
        };
        let store = store.clone();
        async move {
            let found = store.find_views(&find).await.unwrap();
            found.into_iter().map(|(key, _)| key).collect::<String>()
        }
    };
    assert_eq!(page(vec![], 100, 0).await, "abcdefgh");
    assert_eq!(page(vec![by(false, "n")], 100, 0).await, "cdfbhaeg");
    assert_eq!(page(vec![by(true, "n")], 100, 0).await, "geahbfcd");
    let order = || vec![by(false, "t"), by(true, "n")];
    assert_eq!(page(order(), 100, 0).await, "gefcahbd");
    assert_eq!(page(order(), 3, 0).await, "gef");
    assert_eq!(page(order(), 3, 3).await, "cah");
    assert_eq!(page(order(), 3, 6).await, "bd");
    assert_eq!(page(order(), 0, 0).await, "");
}

/// Deleted aggregates are not found; those of other kinds are not either.
pub async fn find_sees_only_the_living(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let create = |kind: &str| {
        let stream = StreamId::new(kind, id());
        let unit = writing(write(&stream, None, 1));
        let guard = unit.writes[0].reached();
        (stream, unit, guard)
    };
    let (a, create_a, _) = create("Toy");
    let (b, create_b, at_b) = create("Toy");
    let (_, create_c, _) = create("Doll");
    for unit in [create_a, create_b, create_c] {
        store.commit(unit).await.unwrap();
    }
    let mut delete = write(&b, at_b, 1);
    delete.state = None;
    store.commit(writing(delete)).await.unwrap();
    let found = store.find(&Find::all("Toy")).await.unwrap();
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [a.id]);
    let stands = super::toy::head(&*store, &a).await;
    assert_eq!(Some(&found[0].1), stands.as_ref());
}
