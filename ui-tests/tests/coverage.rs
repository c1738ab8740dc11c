//! No error of the macros is unseen: each text in their source is found in some expected output.

#![allow(clippy::unwrap_used, reason = "its helpers are part of a test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Calls whose first literal is the text of an error.
const CALLS: [&str; 6] = [
    "diag.error(",
    "diag.error_on(",
    "diag.note(",
    "syn::Error::new(",
    "input.error(",
    "wrong(",
];

#[test]
fn every_error_has_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = texts(&root.join("fail"), "stderr").join("\n");
    let mut unseen = Vec::new();
    for file in files(&root.join("../minos-macros/src"), "rs") {
        // A bug of ours cannot be shown by a right macro.
        if file.ends_with("entry.rs") {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        // Tests below the code make up errors of their own.
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        for text in errors(source) {
            if !said.lines().any(|line| matches(line, &text)) {
                unseen.push(format!("{}: {text}", file.display()));
            }
        }
    }
    assert!(unseen.is_empty(), "no case for:\n{}", unseen.join("\n"));
}

#[test]
fn the_pages_quote_real_errors() {
    // serde's answer to an attribute above `#[model]` has more to it, which changes with its versions.
    const SERDES: &str = "cannot find attribute `serde` in this scope";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = texts(&root.join("fail"), "stderr").join("\n");
    let mut invented = Vec::new();
    for page in files(&root.join("../minos-macros/docs"), "md") {
        let text = fs::read_to_string(&page).unwrap();
        let (_, mistakes) = text.split_once("# Common mistakes").unwrap();
        for row in mistakes.lines().filter(|line| line.starts_with("| `")) {
            let quoted = row.trim_start_matches("| ").split(" | ").next().unwrap();
            let fence = if quoted.starts_with("`` ") { "``" } else { "`" };
            let error = quoted.trim_matches(' ').trim_start_matches(fence);
            let error = error.trim_end_matches(fence).trim();
            if !said.contains(error) && error != SERDES {
                invented.push(format!("{}: {error}", page.display()));
            }
        }
    }
    assert!(
        invented.is_empty(),
        "nothing says:\n{}",
        invented.join("\n")
    );
}

#[test]
fn every_case_says_its_rule_and_has_its_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in files(&root.join("fail"), "rs") {
        let source = fs::read_to_string(&file).unwrap();
        assert!(source.starts_with("// "), "{}", file.display());
        assert!(file.with_extension("stderr").exists(), "{}", file.display());
    }
    for file in files(&root.join("fail"), "stderr") {
        assert!(file.with_extension("rs").exists(), "{}", file.display());
    }
    for file in files(&root.join("pass"), "rs") {
        let source = fs::read_to_string(&file).unwrap();
        assert!(source.starts_with("// "), "{}", file.display());
    }
}

/// The first literal of each call, up to its first line break.
fn errors(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for call in CALLS {
        for (at, _) in source.match_indices(call) {
            let rest = &source[at + call.len()..];
            let end = rest.find(';').unwrap_or(rest.len());
            let Some(start) = rest[..end].find('"') else {
                continue;
            };
            let text = literal(&rest[start + 1..]);
            if text.chars().any(char::is_alphabetic) {
                found.push(text);
            }
        }
    }
    found
}

fn literal(rest: &str) -> String {
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') | None => break,
                Some(escaped) => text.push(escaped),
            },
            c => text.push(c),
        }
    }
    text
}

/// Whether a line has all fixed parts of a text with `{..}` in it, in their order.
fn matches(line: &str, text: &str) -> bool {
    let plain = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut rest = line;
    let mut parts = plain.split('{');
    let first = parts.next().unwrap_or_default();
    let fixed = parts.map(|part| part.split_once('}').map_or("", |(_, fixed)| fixed));
    for part in std::iter::once(first).chain(fixed) {
        let part = part.replace('\u{1}', "{").replace('\u{2}', "}");
        let Some(at) = rest.find(&part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

fn texts(folder: &Path, extension: &str) -> Vec<String> {
    let files = files(folder, extension).into_iter();
    files.map(|f| fs::read_to_string(f).unwrap()).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("src/tests") {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
