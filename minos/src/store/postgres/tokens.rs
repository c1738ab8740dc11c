//! Which SQL a user may run inside a transaction that is not his to end.

/// Words that end the transaction, change how it runs, or leave something behind on a connection that is only lent.
const REFUSED: [&str; 19] = [
    "BEGIN",
    "START",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
    "RELEASE",
    "PREPARE",
    "DEALLOCATE",
    "SET",
    "RESET",
    "DISCARD",
    "LISTEN",
    "UNLISTEN",
    "COPY",
    "VACUUM",
    "LOAD",
    "CHECKPOINT",
];

/// Refuses SQL of which a statement begins with such a word.
///
/// The second line of defence is a setting that lasts as long as the transaction.
pub(crate) fn check_user_sql(sql: &str) -> Result<(), String> {
    if sql.contains('\0') {
        return Err("SQL must not contain a NUL character".to_owned());
    }
    let mut first = true;
    for token in Tokens(sql) {
        match token {
            Token::Semicolon => first = true,
            Token::Word(word) if first => {
                first = false;
                if let Some(refused) = REFUSED.iter().find(|r| r.eq_ignore_ascii_case(word)) {
                    return Err(format!(
                        "`{refused}` is not for user SQL: the transaction begins and ends with the unit of work, and \
                         its connection goes to others then"
                    ));
                }
            }
            Token::Word(_) | Token::Other => first = false,
        }
    }
    Ok(())
}

enum Token<'s> {
    Word(&'s str),
    Semicolon,
    Other,
}

/// The tokens of SQL, without white space and comments.
struct Tokens<'s>(&'s str);

impl<'s> Tokens<'s> {
    /// Cuts off so many bytes; all of the rest if there are fewer.
    fn cut(&mut self, bytes: usize) -> &'s str {
        let (token, rest) = self.0.split_at_checked(bytes).unwrap_or((self.0, ""));
        self.0 = rest;
        token
    }

    /// Cuts off up to the end of `mark`; all of the rest if it does not come.
    fn cut_behind(&mut self, from: usize, mark: &str) {
        let end = self.0.get(from..).and_then(|rest| rest.find(mark));
        let end = end.map_or(self.0.len(), |at| from + at + mark.len());
        self.cut(end);
    }

    /// Comments nest.
    fn cut_comment(&mut self) {
        let mut depth = 0_usize;
        while !self.0.is_empty() {
            if self.0.starts_with("/*") {
                depth += 1;
                self.cut(2);
            } else if self.0.starts_with("*/") {
                depth -= 1;
                self.cut(2);
                if depth == 0 {
                    return;
                }
            } else {
                let first = self.0.chars().next().map_or(1, char::len_utf8);
                self.cut(first);
            }
        }
    }

    /// A text in which a backslash takes the next character along.
    fn cut_escaped(&mut self) {
        self.cut(1);
        while let Some(first) = self.0.chars().next() {
            self.cut(first.len_utf8());
            match first {
                '\\' => {
                    let next = self.0.chars().next().map_or(0, char::len_utf8);
                    self.cut(next);
                }
                '\'' => return,
                _ => {}
            }
        }
    }

    /// The mark of a text in dollars, such as `$$` or `$body$`, if one begins here.
    fn dollars(&self) -> Option<&'s str> {
        let end = self.0.get(1..)?.find('$')? + 1;
        let tag = self.0.get(1..end)?;
        let mut letters = tag.chars();
        let word = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
        let begins = letters
            .next()
            .is_none_or(|c| word(c) && !c.is_ascii_digit());
        (begins && letters.all(word)).then(|| self.0.get(..=end))?
    }
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let first = self.0.chars().next()?;
            match first {
                ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r' | '\u{feff}' => {
                    self.cut(first.len_utf8());
                }
                '-' if self.0.starts_with("--") => {
                    let end = self.0.find(['\n', '\r']).unwrap_or(self.0.len());
                    self.cut(end);
                }
                '/' if self.0.starts_with("/*") => self.cut_comment(),
                ';' => {
                    self.cut(1);
                    return Some(Token::Semicolon);
                }
                'e' | 'E' if self.0.get(1..2) == Some("'") => {
                    self.cut(1);
                    self.cut_escaped();
                    return Some(Token::Other);
                }
                // A doubled quote ends one text and begins the next: the same.
                '\'' | '"' => {
                    self.cut_behind(1, if first == '"' { "\"" } else { "'" });
                    return Some(Token::Other);
                }
                '$' => {
                    match self.dollars() {
                        Some(mark) => self.cut_behind(mark.len(), mark),
                        None => drop(self.cut(1)),
                    }
                    return Some(Token::Other);
                }
                _ => {
                    let is_word =
                        |c: char| c.is_ascii_alphanumeric() || "_$".contains(c) || !c.is_ascii();
                    let length = self.0.find(|c| !is_word(c)).unwrap_or(self.0.len());
                    if length == 0 {
                        self.cut(1);
                        return Some(Token::Other);
                    }
                    return Some(Token::Word(self.cut(length)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_end_the_transaction_are_refused() {
        for sql in [
            "COMMIT",
            "commit",
            " \n\t/* hello /* nested */ ; */ -- there\n COMMIT",
            "\u{feff}COMMIT",
            "INSERT INTO a VALUES (';'); COMMIT",
            "INSERT INTO a VALUES ('it''s'); commit work;",
            "INSERT INTO a VALUES (E'it\\'s'); COMMIT",
            "INSERT INTO a VALUES ('\\'); COMMIT",
            "SELECT 1;;; END",
            "SELECT \"a;\" FROM b; ROLLBACK TO x",
            "SELECT $$;$$; ABORT",
            "SELECT $a$ $b$ ; $a$; SAVEPOINT x",
            "SELECT $1; COMMIT",
            "DO $$ BEGIN NULL; END $$; COMMIT",
            "START TRANSACTION",
            "PREPARE TRANSACTION 'x'",
            "SET search_path = x",
            "reset all",
            "SELECT 1 /* unterminated; */; COMMIT",
            "SELECT 1\0; COMMIT",
            "SELECT 1 -- ; \r COMMIT;\n; COMMIT",
            "COPY a TO PROGRAM 'x'",
        ] {
            assert!(check_user_sql(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn other_statements_pass() {
        for sql in [
            "",
            ";",
            "SELECT 'COMMIT'",
            "SELECT 1; -- COMMIT",
            "SELECT 1; /* ; COMMIT",
            "INSERT INTO a VALUES ('; COMMIT;')",
            "INSERT INTO a (\"; COMMIT\") VALUES (E'\\'; COMMIT')",
            "UPDATE a SET b = $1 WHERE c = $2",
            "DO $$ BEGIN NULL; END $$",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT 1; COMMIT; $body$",
            "WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x",
            "SELECT set_config('a.b', 'c', true), commit FROM a",
        ] {
            assert_eq!(check_user_sql(sql), Ok(()), "{sql}");
        }
    }
}
