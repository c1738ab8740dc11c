//! What `minos_commit` answered, unit by unit.

use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{batch::Batch, fault, rows};
use crate::store::{Error, Result, UnitOfWork};

/// How it went with one unit, or with a chain of them.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is decided.
    Decided(Result<()>),
    /// Something came in between; the same unit may be committed by another transaction.
    Again(Error),
}

/// The transaction, and the verdict on each unit.
pub(super) struct Answer {
    pub(super) xid: i64,
    pub(super) verdicts: Vec<Verdict>,
    /// Whether anything was written, by unit.
    pub(super) written: Vec<bool>,
}

/// Reads the one row that the function answers.
pub(super) fn read(row: &PgRow, batch: &Batch<'_>, groups: &[&[&UnitOfWork]]) -> Result<Answer> {
    let codes: Vec<i32> = rows::get(row, 1)?;
    let columns = Columns {
        place: rows::get(row, 2)?,
        stands: rows::get(row, 3)?,
        holder: rows::get(row, 4)?,
        words: rows::get(row, 5)?,
        more: rows::get(row, 6)?,
    };
    if codes.len() != groups.len() {
        let text = format!("{} answers to {} units", codes.len(), groups.len());
        return Err(Error::Corrupt(text));
    }
    // Only a unit by itself is told why; a chain is taken apart.
    let units = groups.iter().map(|group| group.first().copied());
    let verdicts = codes.iter().zip(units).enumerate();
    Ok(Answer {
        xid: rows::get(row, 0)?,
        written: codes.iter().map(|code| *code == 0).collect(),
        verdicts: verdicts
            .map(|(u, (code, unit))| columns.verdict(u, *code, unit, batch))
            .collect(),
    })
}

/// The columns of the answer behind the codes.
struct Columns {
    place: Vec<Option<i32>>,
    stands: Vec<Option<i64>>,
    holder: Vec<Option<Uuid>>,
    words: Vec<Option<String>>,
    more: Vec<Option<String>>,
}

impl Columns {
    fn verdict(
        &self,
        u: usize,
        code: i32,
        unit: Option<&UnitOfWork>,
        batch: &Batch<'_>,
    ) -> Verdict {
        let place = self.place.get(u).copied().flatten().unwrap_or_default();
        let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
        let stands = self.stands.get(u).copied().flatten().unwrap_or_default();
        let version = u64::try_from(stands).unwrap_or_default();
        let holder = self.holder.get(u).copied().flatten().unwrap_or_default();
        let text = |column: &[Option<String>]| column.get(u).cloned().flatten();
        let moved = |what| Error::Moved { what, id: holder };
        let unreadable = || Error::Corrupt(format!("an answer with code {code} says nothing"));
        let error = match code {
            0 | 1 => return Verdict::Decided(Ok(())),
            2 => match unit.and_then(|u| u.inbox.as_ref()) {
                Some(inbox) => {
                    let (status, payload) = (text(&self.words), text(&self.more));
                    match rows::outcome(status.as_deref(), payload.as_deref()) {
                        Ok(outcome) => Error::Duplicate {
                            consumer: inbox.consumer.clone(),
                            message: inbox.message,
                            outcome,
                        },
                        Err(e) => e,
                    }
                }
                None => unreadable(),
            },
            3 => match batch.marked.get(place) {
                Some((consumer, stream)) => Error::OutOfOrder {
                    consumer: (*consumer).to_owned(),
                    stream: (*stream).clone(),
                    version,
                },
                None => unreadable(),
            },
            4 | 9 => match batch.guarded.get(place) {
                Some((stream, expected)) => {
                    let conflict = Error::Conflict {
                        stream: (*stream).clone(),
                        expected: expected.map_or(0, |g| g.version),
                        actual: version,
                    };
                    if code == 9 {
                        return Verdict::Again(conflict);
                    }
                    conflict
                }
                None if code == 9 => return Verdict::Again(unreadable()),
                None => unreadable(),
            },
            5 => match batch.claimed.get(place) {
                Some((stream, field)) => Error::Claimed {
                    aggregate: stream.aggregate.clone(),
                    field: (*field).to_owned(),
                    holder,
                },
                None => unreadable(),
            },
            6 => moved("saga"),
            7 => moved("timer"),
            8 => moved("dead letter"),
            10 => {
                let code = text(&self.words).unwrap_or_default();
                let error = fault::raised(&code, &text(&self.more).unwrap_or_default());
                return Verdict::Again(error);
            }
            _ => unreadable(),
        };
        Verdict::Decided(Err(error))
    }
}
