//! Conditions as SQL.
//!
//! The SQL answers what [`Condition::holds`] answers. Two things it cannot decide exactly: whether two structures
//! are equal, and where floats with extreme exponents stand, because SQLite reads those from JSON with an error in
//! the last place. There the SQL answers a little too much, and the caller looks again at each row.

use serde_json::Value as Json;
use sqlx::{Encode, Sqlite, Type, error::BoxDynError, sqlite::SqliteArguments};

use crate::store::{Condition, Error, Find, Order, Result};

/// A condition as SQL on one column of JSON.
pub(super) struct Compiled {
    /// An expression that is 0 or 1.
    pub(super) condition: String,
    /// What goes behind `ORDER BY` before the key, with a comma at its end.
    pub(super) order: String,
    pub(super) arguments: SqliteArguments,
    /// Whether the condition needs no second look.
    pub(super) exact: bool,
}

/// Compiles for a column. `arguments` may hold parameters of the statement that come first.
pub(super) fn compile(
    find: &Find,
    column: &'static str,
    arguments: SqliteArguments,
) -> Result<Compiled> {
    let mut compiler = Compiler {
        column,
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
    column: &'static str,
    arguments: SqliteArguments,
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

/// One field: the expressions of its type and its value.
struct Field {
    kind: String,
    value: String,
}

impl Compiler {
    /// Binds a value and answers its name.
    fn bind<'t>(&mut self, value: impl Encode<'t, Sqlite> + Type<Sqlite>) -> String {
        use sqlx::Arguments;
        if let Err(e) = self.arguments.add(value) {
            self.refused.get_or_insert(e);
        }
        format!("?{}", self.arguments.len())
    }

    /// The path is bound, too: a name cannot become SQL.
    fn field(&mut self, name: &str) -> Field {
        let path = self.bind(format!("$.{}", Json::from(name)));
        let column = self.column;
        Field {
            kind: format!("coalesce(json_type({column}, {path}), 'null')"),
            value: format!("json_extract({column}, {path})"),
        }
    }

    /// With `over` the SQL may answer too much where it is not exact, else too little: below a `Not` too little is
    /// what makes too much.
    fn condition(&mut self, condition: &Condition, over: bool) -> String {
        match condition {
            Condition::All => "1".to_owned(),
            Condition::Eq(f, v) => self.compare(f, Op::Eq, v, over),
            Condition::Ne(f, v) => format!("NOT {}", self.compare(f, Op::Eq, v, !over)),
            Condition::Lt(f, v) => self.compare(f, Op::Lt, v, over),
            Condition::Le(f, v) => self.compare(f, Op::Le, v, over),
            Condition::Gt(f, v) => self.compare(f, Op::Gt, v, over),
            Condition::Ge(f, v) => self.compare(f, Op::Ge, v, over),
            Condition::In(f, vs) => self.one_of(f, vs, over),
            Condition::And(all) => self.join("AND", "1", all, over),
            Condition::Or(any) => self.join("OR", "0", any, over),
            Condition::Not(inner) => format!("NOT {}", self.condition(inner, !over)),
        }
    }

    fn join(&mut self, word: &str, none: &str, of: &[Condition], over: bool) -> String {
        let parts: Vec<_> = of.iter().map(|c| self.condition(c, over)).collect();
        balanced(word, none, &parts)
    }

    fn compare(&mut self, name: &str, op: Op, value: &Json, over: bool) -> String {
        let field = self.field(name);
        let Field { kind, value: x } = &field;
        match value {
            Json::Null if op == Op::Eq => format!("({kind} = 'null')"),
            Json::Bool(b) if op == Op::Eq => format!("({kind} = '{b}')"),
            Json::Bool(b) => {
                let b = i32::from(*b);
                format!("({kind} IN ('true', 'false') AND {x} {} {b})", op.sql())
            }
            Json::String(text) => {
                let text = self.bind(text.clone());
                format!("({kind} = 'text' AND {x} {} {text})", op.sql())
            }
            Json::Number(n) => {
                let holds = match (n.as_i64(), n.as_f64()) {
                    (Some(n), _) => format!("{x} {} {}", op.sql(), self.bind(n)),
                    (None, Some(n)) => self.float(x, op, n, over),
                    (None, None) => "0".to_owned(),
                };
                format!("({kind} IN ('integer', 'real') AND {holds})")
            }
            Json::Array(_) | Json::Object(_) if op == Op::Eq => {
                self.exact = false;
                let same = if value.is_array() { "array" } else { "object" };
                if over {
                    format!("({kind} = '{same}')")
                } else {
                    "0".to_owned()
                }
            }
            Json::Null | Json::Array(_) | Json::Object(_) => "0".to_owned(),
        }
    }

    /// SQLite reads a float from JSON exactly unless its exponent is extreme; there it may be a few places off.
    fn float(&mut self, x: &str, op: Op, n: f64, over: bool) -> String {
        let ordinary = 1e-50..=1e50;
        if n == 0.0 || ordinary.contains(&n.abs()) {
            return format!("{x} {} {}", op.sql(), self.bind(n));
        }
        self.exact = false;
        let (mut low, mut high) = (n, n);
        for _ in 0..16 {
            (low, high) = (low.next_down(), high.next_up());
        }
        match (op, over) {
            (Op::Eq, true) => {
                let (low, high) = (self.bind(low), self.bind(high));
                format!("{x} BETWEEN {low} AND {high}")
            }
            (Op::Eq, false) => "0".to_owned(),
            (Op::Lt | Op::Le, true) => format!("{x} <= {}", self.bind(high)),
            (Op::Lt | Op::Le, false) => format!("{x} < {}", self.bind(low)),
            (Op::Gt | Op::Ge, true) => format!("{x} >= {}", self.bind(low)),
            (Op::Gt | Op::Ge, false) => format!("{x} > {}", self.bind(high)),
        }
    }

    /// Texts and whole numbers, which may be many, go in as one parameter each.
    fn one_of(&mut self, name: &str, values: &[Json], over: bool) -> String {
        let (mut texts, mut whole, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            match value {
                // A text with a NUL is in no row.
                Json::String(text) if !text.contains('\0') => texts.push(text.as_str()),
                Json::String(_) => {}
                Json::Number(n) if n.is_i64() => whole.push(n.as_i64()),
                other => parts.push(self.compare(name, Op::Eq, other, over)),
            }
        }
        let lists = [
            (texts.is_empty(), Json::from(texts), "'text'"),
            (whole.is_empty(), Json::from(whole), "'integer', 'real'"),
        ];
        for (is_empty, list, kinds) in lists {
            if !is_empty {
                let Field { kind, value: x } = self.field(name);
                let list = self.bind(list.to_string());
                parts.push(format!(
                    "({kind} IN ({kinds}) AND {x} IN (SELECT value FROM json_each({list})))"
                ));
            }
        }
        balanced("OR", "0", &parts)
    }

    fn key(&mut self, key: &Order) -> String {
        let Field { kind, value } = self.field(&key.field);
        let way = if key.descending { " DESC" } else { "" };
        format!(
            "CASE {kind} WHEN 'null' THEN 0 WHEN 'true' THEN 1 WHEN 'false' THEN 1 WHEN 'integer' THEN 2 \
             WHEN 'real' THEN 2 WHEN 'text' THEN 3 ELSE 4 END{way}, \
             CASE WHEN {kind} NOT IN ('array', 'object') THEN {value} END{way}, "
        )
    }
}

/// Joins as a tree of little depth: SQLite refuses expressions deeper than 1000.
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
