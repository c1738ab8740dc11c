//! What is wrong with a configuration, all of it at once.

use crate::error::{Failure, Kind, Result};

/// Everything that is wrong, in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, text: impl Into<String>) {
        self.0.push(text.into());
    }

    /// One error with all of them, if there is any.
    pub(super) fn into_result(self) -> Result<()> {
        let text = match self.0.as_slice() {
            [] => return Ok(()),
            [one] => format!("the configuration is wrong: {one}"),
            many => {
                let lines: String = (1..)
                    .zip(many)
                    .map(|(n, problem)| format!("\n  ({n}) {problem}"))
                    .collect();
                format!("{} problems in the configuration:{lines}", many.len())
            }
        };
        Err(Failure::new(Kind::Config, text).into())
    }
}

/// What was probably meant: `; did you mean ..?`, or the short list of what there is, or nothing.
pub(super) fn suggest<'a>(found: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(found, known.clone()) {
        return format!("; did you mean `{near}`?");
    }
    let all: Vec<String> = known.map(|k| format!("`{k}`")).collect();
    match all.len() {
        0 => String::new(),
        n if n < 10 => format!("; there is {}", all.join(", ")),
        _ => String::new(),
    }
}

/// The known name within two edits, or one for a short name.
pub(super) fn nearest<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = if found.len() < 4 { 1 } else { 2 };
    known
        .map(|k| (distance(found, k), k))
        .filter(|(d, _)| *d <= most)
        .min()
        .map(|(_, k)| k)
}

/// Insertions, removals, and replacements from one name to the other; the letters' case is free.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits() {
        for (a, b, d) in [
            ("bind", "bind", 0),
            ("bnd", "bind", 1),
            ("Bind", "bind", 0),
            ("bindd", "bind", 1),
            ("", "bind", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn a_near_miss_is_suggested_and_else_what_there_is() {
        let known = ["bind", "workers"];
        assert_eq!(suggest("bnid", known.into_iter()), "; did you mean `bind`?");
        assert_eq!(
            suggest("address", known.into_iter()),
            "; there is `bind`, `workers`"
        );
    }
}
