//! Which SQL a user may run inside a transaction that is not his to end.

/// Words that end the transaction, or reach beyond it.
const REFUSED: [&str; 10] = [
    "BEGIN",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "ATTACH",
    "DETACH",
    "PRAGMA",
    "VACUUM",
];

/// Refuses SQL of which a statement begins with a word that ends the transaction or reaches beyond it.
///
/// The second line of defence is the connection's commit hook.
pub(crate) fn check_user_sql(sql: &str) -> Result<(), String> {
    if sql.contains('\0') {
        return Err("SQL must not contain a NUL character".to_owned());
    }
    let mut statement = Statement::default();
    for token in Tokens(sql) {
        match token {
            Token::Word(word) => {
                if statement.words == 0
                    && let Some(refused) = REFUSED.iter().find(|r| r.eq_ignore_ascii_case(word))
                {
                    return Err(format!(
                        "`{refused}` is not for user SQL: the transaction begins and ends with the unit of work, \
                         and stays in its own database"
                    ));
                }
                statement.word(word);
            }
            Token::Semicolon => statement.semicolon(),
            Token::Other => statement.other(),
        }
    }
    Ok(())
}

/// Where in a statement the text is. A trigger's body has semicolons of its own: it ends with `; END ;`.
#[derive(Default)]
struct Statement {
    words: usize,
    create: bool,
    trigger: bool,
    /// What came last in a trigger's body.
    body: Body,
}

#[derive(Default, PartialEq)]
enum Body {
    #[default]
    Inside,
    Semicolon,
    End,
}

impl Statement {
    fn word(&mut self, word: &str) {
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        match self.words {
            0 => self.create = is("CREATE"),
            1 | 2 if self.create && !self.trigger => {
                self.trigger = is("TRIGGER");
                self.create = is("TEMP") || is("TEMPORARY");
            }
            _ => {}
        }
        self.words += 1;
        self.body = if self.trigger && self.body == Body::Semicolon && is("END") {
            Body::End
        } else {
            Body::Inside
        };
    }

    fn other(&mut self) {
        self.words += 1;
        self.body = Body::Inside;
    }

    fn semicolon(&mut self) {
        if self.trigger && self.body != Body::End {
            self.body = Body::Semicolon;
        } else {
            *self = Self::default();
        }
    }
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
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let first = self.0.chars().next()?;
            match first {
                ' ' | '\t' | '\n' | '\x0c' | '\r' | '\u{feff}' => drop(self.cut(first.len_utf8())),
                '-' if self.0.starts_with("--") => self.cut_behind(0, "\n"),
                '/' if self.0.starts_with("/*") => self.cut_behind(2, "*/"),
                ';' => {
                    self.cut(1);
                    return Some(Token::Semicolon);
                }
                // A doubled quote ends one text and begins the next: the same.
                '\'' | '"' | '`' => {
                    self.cut_behind(1, &first.to_string());
                    return Some(Token::Other);
                }
                '[' => {
                    self.cut_behind(1, "]");
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
            " \n\t/* hello */ -- there\n COMMIT",
            "\u{feff}COMMIT",
            "INSERT INTO a VALUES (';'); COMMIT",
            "INSERT INTO a VALUES ('it''s'); commit transaction;",
            "SELECT 1;;; END",
            "SELECT \"a;\" FROM [b;]; ROLLBACK TO x",
            "SELECT `;`; SAVEPOINT x",
            "RELEASE x",
            "BEGIN",
            "ATTACH 'a' AS b",
            "DETACH b",
            "PRAGMA synchronous = OFF",
            "VACUUM INTO 'x'",
            "CREATE TABLE t (a); COMMIT",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; COMMIT",
            "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; END; COMMIT",
            "CREATE TABLE trigger_x (a); COMMIT",
            "SELECT 1 /* unterminated; */; COMMIT",
            "SELECT 1\0; COMMIT",
            "SELECT 1 -- ; \n; COMMIT",
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
            "INSERT INTO a (\"; COMMIT\") VALUES (1)",
            "SELECT begin, \"end\" FROM a; SELECT CASE 1 WHEN 1 THEN 2 END",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = 1; DELETE FROM d; END",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = 1; END; SELECT 1",
            "CREATE TEMPORARY TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END /* x */ ;",
            "WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x",
            "UPDATE a SET b = ?1 WHERE c = :d",
        ] {
            assert_eq!(check_user_sql(sql), Ok(()), "{sql}");
        }
    }
}
