//! Conditions on the fields of aggregates and views, understood by every backend.

use std::cmp::Ordering;

use serde_json::Value as Json;

/// A value to compare with.
pub type Value = Json;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Find {
    /// The aggregate's or view's name.
    pub of: String,
    /// What must hold.
    pub condition: Condition,
    /// The order, most important first; ties are broken by id.
    pub order: Vec<Order>,
    /// At most so many.
    pub limit: u32,
    /// Leave out so many.
    pub offset: u32,
}

/// One key of the order.
#[derive(Debug, Clone)]
pub struct Order {
    /// The field.
    pub field: String,
    /// From the largest down.
    pub descending: bool,
}

/// What must hold of the fields.
///
/// A field that is absent or `null` equals only `null` and is neither less nor greater than anything.
/// Booleans, numbers and texts compare with their own kind only; `false` is less than `true`, texts compare by
/// code point.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Always.
    All,
    /// The field equals the value.
    Eq(String, Value),
    /// It does not.
    Ne(String, Value),
    /// It is less.
    Lt(String, Value),
    /// It is less or equal.
    Le(String, Value),
    /// It is greater.
    Gt(String, Value),
    /// It is greater or equal.
    Ge(String, Value),
    /// It equals one of them.
    In(String, Vec<Value>),
    /// All of them hold.
    And(Vec<Condition>),
    /// One of them holds.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

impl Condition {
    /// Whether it holds of this row. The reference for what backends do in SQL.
    #[must_use]
    pub fn holds(&self, row: &Json) -> bool {
        let field = |name: &str| row.get(name).unwrap_or(&Json::Null);
        let order = |name: &str, v: &Value| compare(field(name), v);
        match self {
            Condition::All => true,
            Condition::Eq(f, v) => equal(field(f), v),
            Condition::Ne(f, v) => !equal(field(f), v),
            Condition::Lt(f, v) => order(f, v).is_some_and(Ordering::is_lt),
            Condition::Le(f, v) => order(f, v).is_some_and(Ordering::is_le),
            Condition::Gt(f, v) => order(f, v).is_some_and(Ordering::is_gt),
            Condition::Ge(f, v) => order(f, v).is_some_and(Ordering::is_ge),
            Condition::In(f, vs) => vs.iter().any(|v| equal(field(f), v)),
            Condition::And(all) => all.iter().all(|c| c.holds(row)),
            Condition::Or(any) => any.iter().any(|c| c.holds(row)),
            Condition::Not(c) => !c.holds(row),
        }
    }
}

/// Equality of values; structures are equal if their JSON is.
fn equal(a: &Json, b: &Json) -> bool {
    match (a.is_number(), b.is_number()) {
        (true, true) => compare(a, b) == Some(Ordering::Equal),
        _ => a == b,
    }
}

/// The order of two values of one kind.
fn compare(a: &Json, b: &Json) -> Option<Ordering> {
    match (a, b) {
        (Json::Bool(a), Json::Bool(b)) => Some(a.cmp(b)),
        (Json::String(a), Json::String(b)) => Some(a.cmp(b)),
        (Json::Number(a), Json::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            (Some(a), None) => compare_mixed(a, b.as_f64()?),
            (None, Some(b)) => compare_mixed(b, a.as_f64()?).map(Ordering::reverse),
            (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        _ => None,
    }
}

/// The order of a whole number and any other, by what they are worth: rounding the whole number to a float would
/// make two neighbours equal to one float, and sorting needs an order.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
#[allow(
    clippy::cast_precision_loss,
    reason = "equal whole parts below 2^53, or nothing behind the point"
)]
fn compare_mixed(a: i64, b: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if b.is_nan() {
        None
    } else if b >= BEYOND {
        Some(Ordering::Less)
    } else if b < -BEYOND {
        Some(Ordering::Greater)
    } else {
        let whole = b as i64;
        match a.cmp(&whole) {
            Ordering::Equal => 0.0.partial_cmp(&b.fract()),
            order => Some(order),
        }
    }
}

impl Find {
    /// Everything of one kind, by id, up to a thousand.
    pub fn all(of: impl Into<String>) -> Self {
        Self {
            of: of.into(),
            condition: Condition::All,
            order: Vec::new(),
            limit: 1000,
            offset: 0,
        }
    }

    /// The order of two rows: by the keys of the order, then by id. `null` comes first, then booleans, numbers,
    /// texts, and structures.
    pub fn compare<I: Ord>(&self, (id_a, a): (&I, &Json), (id_b, b): (&I, &Json)) -> Ordering {
        let rank = |v: &Json| match v {
            Json::Null => 0,
            Json::Bool(_) => 1,
            Json::Number(_) => 2,
            Json::String(_) => 3,
            Json::Array(_) | Json::Object(_) => 4,
        };
        for key in &self.order {
            let (x, y) = (
                a.get(&key.field).unwrap_or(&Json::Null),
                b.get(&key.field).unwrap_or(&Json::Null),
            );
            let order = rank(x)
                .cmp(&rank(y))
                .then(compare(x, y).unwrap_or(Ordering::Equal));
            let order = if key.descending {
                order.reverse()
            } else {
                order
            };
            if order.is_ne() {
                return order;
            }
        }
        id_a.cmp(id_b)
    }
}
