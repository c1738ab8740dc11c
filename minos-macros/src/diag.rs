//! What is wrong with an item: all of it, each at its smallest token.

use std::fmt::{self, Display};

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote_spanned};

/// The errors of one item, in the order they were found.
#[derive(Default)]
pub(crate) struct Diagnostics {
    found: Vec<Finding>,
}

/// One error: where, what, and what to write instead.
pub(crate) struct Finding {
    start: Span,
    end: Span,
    text: String,
}

impl Diagnostics {
    /// An error at one token.
    pub(crate) fn error(&mut self, span: Span, text: impl Display) -> &mut Finding {
        self.between((span, span), text)
    }

    /// An error that spans all of these tokens.
    pub(crate) fn error_on(&mut self, tokens: impl ToTokens, text: impl Display) -> &mut Finding {
        self.between(ends(tokens), text)
    }

    /// A second place of the error before, such as the other end of a conflict.
    pub(crate) fn note(&mut self, span: Span, text: impl Display) {
        self.error(span, format_args!("note: {text}"));
    }

    /// An error that `syn` found.
    pub(crate) fn syntax(&mut self, error: syn::Error) {
        for one in error {
            let place = (one.span(), one.span());
            self.between(place, &one);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many errors there are, so that dependent checks can see whether one was added.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// The errors as the code that makes rustc report them.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.found.iter().map(Finding::to_compile_error).collect()
    }

    /// The texts, for tests.
    #[cfg(test)]
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.found.iter().map(|f| f.text.as_str()).collect()
    }

    #[allow(clippy::indexing_slicing, reason = "an element was just pushed")]
    fn between(&mut self, (start, end): (Span, Span), text: impl Display) -> &mut Finding {
        let text = text.to_string();
        let last = self.found.len();
        self.found.push(Finding { start, end, text });
        &mut self.found[last]
    }
}

impl Finding {
    /// What to write instead; rustc aligns the line under the message.
    pub(crate) fn help(&mut self, text: impl Display) -> &mut Self {
        use fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(self.text, "\nhelp: {text}");
        self
    }

    fn to_compile_error(&self) -> TokenStream {
        let text = proc_macro2::Literal::string(&self.text);
        let mut body = Group::new(Delimiter::Brace, text.into_token_stream());
        body.set_span(self.end);
        let start = self.start;
        quote_spanned!(start=> ::core::compile_error! #body)
    }
}

fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut spans = tokens.into_token_stream().into_iter().map(|t| t.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    (start, spans.last().unwrap_or(start))
}

/// The name that was probably meant.
pub(crate) fn closest<'a>(got: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = if got.chars().count() <= 3 { 1 } else { 2 };
    known
        .into_iter()
        .map(|name| (distance(got, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// What to write for an unknown name: the near miss, or the whole short list.
pub(crate) fn instead(got: &str, known: &[&str]) -> String {
    match closest(got, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", one_of(known)),
    }
}

/// `` `a` ``, `` `a` or `b` ``, `` one of `a`, `b`, or `c` ``.
pub(crate) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} or {two}"),
        [most @ .., last] => format!("one of {}, or {last}", most.join(", ")),
    }
}

/// Optimal string alignment: insertions, deletions, replacements, and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_suggested_and_strangers_are_not() {
        let keys = ["on_success", "on_error", "retry"];
        assert_eq!(closest("on_sucess", keys), Some("on_success"));
        assert_eq!(closest("rerty", keys), Some("retry"));
        assert_eq!(closest("colour", keys), None);
        assert_eq!(closest("ab", ["xy"]), None);
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b"]), "`a` or `b`");
        assert_eq!(one_of(&["a", "b", "c"]), "one of `a`, `b`, or `c`");
    }

    #[test]
    fn help_stands_on_its_own_line() {
        let mut diag = Diagnostics::default();
        diag.error(Span::call_site(), "no").help("yes");
        assert_eq!(diag.texts(), ["no\nhelp: yes"]);
        assert!(diag.into_tokens().to_string().contains("compile_error"));
    }
}
