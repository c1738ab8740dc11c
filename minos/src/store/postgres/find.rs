//! Conditions as SQL.
//!
//! The SQL answers what [`Condition::holds`] answers. Two things it cannot decide exactly: whether two structures
//! are equal, and where floats beyond 2^53 stand among whole numbers, because `jsonb` keeps decimals, not floats.
//! There the SQL answers a little too much, and the caller looks again at each row.

use serde_json::Value as Json;
use sqlx::{Encode, Postgres, Type, error::BoxDynError, postgres::PgArguments};

use crate::store::{Condition, Error, Find, Order, Result};

/// A condition as SQL on the column `doc`, of type `jsonb`.
pub(super) struct Compiled {
    /// An expression that is true or false, never null.
    pub(super) condition: String,
    /// What goes behind `ORDER BY` before the key, with a comma at its end.
    pub(super) order: String,
    pub(super) arguments: PgArguments,
    /// Whether the condition needs no second look.
    pub(super) exact: bool,
}

/// Compiles a search. `arguments` may hold parameters of the statement that come first.
pub(super) fn compile(find: &Find, arguments: PgArguments) -> Result<Compiled> {
    let mut compiler = Compiler {
        arguments,
        refused: None,
        exact: true,
    };
    let condition = compiler.condition(&find.condition, true);
    let order = find.order.iter().map(|key| compiler.key(key)).collect();
    if let Some(error) = compiler.refused {
        return Err(Error::Backend(error));
    }
    Ok(Compiled {
        condition,
        order,
        arguments: compiler.arguments,
        exact: compiler.exact,
    })
}

struct Compiler {
    arguments: PgArguments,
    refused: Option<BoxDynError>,
    exact: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Op {
    Eq,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    fn sql(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }
}

/// Below this every whole number is a float, and decimals order as the floats that they are read as.
const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53

impl Compiler {
    /// Binds a value and answers its name.
    fn bind<'t>(&mut self, value: impl Encode<'t, Postgres> + Type<Postgres>) -> String {
        use sqlx::Arguments;
        if let Err(e) = self.arguments.add(value) {
            self.refused.get_or_insert(e);
        }
        format!("${}", self.arguments.len())
    }

    /// The field; a name cannot become SQL.
    fn field(&mut self, name: &str) -> String {
        // No document has a name with a NUL.
        let name = self.bind(name.replace('\0', "\u{1}\u{FFFF}"));
        format!("(doc -> {name}::text)")
    }

    /// With `over` the SQL may answer too much where it is not exact, else too little: below a `Not` too little is
    /// what makes too much.
    fn condition(&mut self, condition: &Condition, over: bool) -> String {
        match condition {
            Condition::All => "true".to_owned(),
            Condition::Eq(f, v) => self.compare(f, Op::Eq, v, over),
            Condition::Ne(f, v) => format!("NOT {}", self.compare(f, Op::Eq, v, !over)),
            Condition::Lt(f, v) => self.compare(f, Op::Lt, v, over),
            Condition::Le(f, v) => self.compare(f, Op::Le, v, over),
            Condition::Gt(f, v) => self.compare(f, Op::Gt, v, over),
            Condition::Ge(f, v) => self.compare(f, Op::Ge, v, over),
            Condition::In(f, vs) => self.one_of(f, vs, over),
            Condition::And(all) => {
                let parts: Vec<_> = all.iter().map(|c| self.condition(c, over)).collect();
                balanced("AND", "true", &parts)
            }
            Condition::Or(any) => {
                let parts: Vec<_> = any.iter().map(|c| self.condition(c, over)).collect();
                balanced("OR", "false", &parts)
            }
            Condition::Not(c) => format!("NOT {}", self.condition(c, !over)),
        }
    }

    fn compare(&mut self, name: &str, op: Op, value: &Json, over: bool) -> String {
        let x = self.field(name);
        let kind = format!("coalesce(jsonb_typeof({x}), 'null')");
        match value {
            Json::Null if op == Op::Eq => format!("({kind} = 'null')"),
            Json::Bool(b) => format!(
                "(CASE WHEN {kind} = 'boolean' THEN {x}::boolean {} {b} ELSE false END)",
                op.sql()
            ),
            // A text with a NUL is in no row, but has its place in the order.
            Json::String(text) if text.contains('\0') => self.text_with_nul(&x, &kind, op, text),
            Json::String(text) => {
                let text = self.bind(text.clone());
                format!(
                    "(CASE WHEN {kind} = 'string' THEN ({x} #>> '{{}}') COLLATE \"C\" {} {text}::text ELSE false END)",
                    op.sql()
                )
            }
            Json::Number(n) => {
                let holds = self.number(&x, op, n, over);
                format!("(CASE WHEN {kind} = 'number' THEN {holds} ELSE false END)")
            }
            Json::Array(_) | Json::Object(_) if op == Op::Eq => {
                self.exact = false;
                let same = if value.is_array() { "array" } else { "object" };
                if over {
                    format!("({kind} = '{same}')")
                } else {
                    "false".to_owned()
                }
            }
            Json::Null | Json::Array(_) | Json::Object(_) => "false".to_owned(),
        }
    }

    /// What stands before the NUL is less; what is greater than that, and does not go on with a NUL, is greater.
    fn text_with_nul(&mut self, x: &str, kind: &str, op: Op, text: &str) -> String {
        let op = match op {
            Op::Eq => return "false".to_owned(),
            Op::Lt | Op::Le => "<=",
            Op::Gt | Op::Ge => ">",
        };
        let head = text.split('\0').next().unwrap_or_default().to_owned();
        let head = self.bind(head);
        format!(
            "(CASE WHEN {kind} = 'string' THEN ({x} #>> '{{}}') COLLATE \"C\" {op} {head}::text ELSE false END)"
        )
    }

    fn number(&mut self, x: &str, op: Op, n: &serde_json::Number, over: bool) -> String {
        let Some(worth) = n.as_f64() else {
            return "false".to_owned();
        };
        if worth.abs() < EXACT {
            let n = self.bind(n.to_string());
            return format!("{x}::numeric {} {n}::numeric", op.sql());
        }
        self.exact = false;
        let (mut low, mut high) = (worth, worth);
        for _ in 0..2 {
            (low, high) = (low.next_down().max(f64::MIN), high.next_up().min(f64::MAX));
        }
        let mut bound = |n: f64| {
            let n = self.bind(format!("{n:e}"));
            format!("{n}::numeric")
        };
        match (op, over) {
            (Op::Eq, true) => {
                let (low, high) = (bound(low), bound(high));
                format!("{x}::numeric BETWEEN {low} AND {high}")
            }
            (Op::Eq, false) => "false".to_owned(),
            (Op::Lt | Op::Le, true) => format!("{x}::numeric <= {}", bound(high)),
            (Op::Lt | Op::Le, false) => format!("{x}::numeric < {}", bound(low)),
            (Op::Gt | Op::Ge, true) => format!("{x}::numeric >= {}", bound(low)),
            (Op::Gt | Op::Ge, false) => format!("{x}::numeric > {}", bound(high)),
        }
    }

    /// Texts, which may be many, go in as one parameter.
    fn one_of(&mut self, name: &str, values: &[Json], over: bool) -> String {
        let (mut texts, mut whole, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            match value {
                Json::String(text) if !text.contains('\0') => texts.push(text.clone()),
                Json::String(_) => {}
                Json::Number(n) if n.as_f64().is_some_and(|n| n.abs() < EXACT) => {
                    whole.push(n.to_string());
                }
                other => parts.push(self.compare(name, Op::Eq, other, over)),
            }
        }
        if !texts.is_empty() {
            let (x, texts) = (self.field(name), self.bind(texts));
            parts.push(format!(
                "(CASE WHEN coalesce(jsonb_typeof({x}), 'null') = 'string' THEN \
                 ({x} #>> '{{}}') COLLATE \"C\" = ANY({texts}::text[]) ELSE false END)"
            ));
        }
        if !whole.is_empty() {
            let (x, whole) = (self.field(name), self.bind(whole));
            parts.push(format!(
                "(CASE WHEN coalesce(jsonb_typeof({x}), 'null') = 'number' THEN \
                 {x}::numeric = ANY({whole}::text[]::numeric[]) ELSE false END)"
            ));
        }
        balanced("OR", "false", &parts)
    }

    fn key(&mut self, key: &Order) -> String {
        let x = self.field(&key.field);
        let kind = format!("coalesce(jsonb_typeof({x}), 'null')");
        let way = if key.descending {
            " DESC NULLS LAST"
        } else {
            " NULLS FIRST"
        };
        format!(
            "CASE {kind} WHEN 'null' THEN 0 WHEN 'boolean' THEN 1 WHEN 'number' THEN 2 WHEN 'string' THEN 3 ELSE 4 \
             END{way}, \
             CASE WHEN {kind} = 'boolean' THEN {x}::boolean END{way}, \
             CASE WHEN {kind} = 'number' THEN {x}::numeric END{way}, \
             CASE WHEN {kind} = 'string' THEN {x} #>> '{{}}' END COLLATE \"C\"{way}, "
        )
    }
}

/// Joins as a tree of little depth: the parser's stack is bounded.
fn balanced(word: &str, none: &str, parts: &[String]) -> String {
    match parts {
        [] => none.to_owned(),
        [one] => one.clone(),
        _ => {
            let (a, b) = parts.split_at(parts.len() / 2);
            let (a, b) = (balanced(word, none, a), balanced(word, none, b));
            format!("({a} {word} {b})")
        }
    }
}
