//! From `#[minos::main]` to a process, and the dry run of its generated test.

use std::{error::Error as StdError, fmt, future::Future, process::ExitCode};

tokio::task_local! {
    /// Set while only the wiring is checked.
    static CHECK_ONLY: ();
}

/// Runs a future that is a dry run: `minos::run` checks the wiring and returns.
///
/// # Errors
/// The future's.
pub async fn check_only<T, E>(main: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    CHECK_ONLY.scope((), main).await
}

/// Whether only the wiring is to be checked.
pub(crate) fn is_check_only() -> bool {
    CHECK_ONLY.try_with(|()| ()).is_ok()
}

/// How a `main` ended, for people: what went wrong, and below it why.
pub struct Report(String);

impl Report {
    fn of(error: impl Into<Box<dyn StdError>>) -> Self {
        let error = error.into();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(e) = cause {
            let why = e.to_string();
            // A cause that the line above already told is told once.
            if !text.contains(&why) {
                text.push_str("\n  because ");
                text.push_str(&why);
            }
            cause = e.source();
        }
        Self(text)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn block_on<F, E>(main: F) -> ExitCode
where
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn StdError>>,
{
    match run(main) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("error: {report:?}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn wiring<F, E>(main: F) -> Result<(), Report>
where
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn StdError>>,
{
    run(check_only(main))
}

fn run<F, E>(main: F) -> Result<(), Report>
where
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn StdError>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Report::of)?;
    runtime.block_on(main).map_err(Report::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Failure, Kind};

    #[test]
    fn only_the_check_is_a_check() {
        let seen = run(async {
            let outside = is_check_only();
            let inside = check_only(async { Ok::<_, Error>(is_check_only()) }).await?;
            assert_eq!((outside, inside), (false, true));
            Ok::<_, Error>(())
        });
        assert!(seen.is_ok());
    }

    #[test]
    fn a_report_tells_the_causes_once() {
        let io = std::io::Error::other("connection refused");
        let failure = Failure::new(Kind::Unavailable, "the broker is away").because(io);
        let report = wiring(async { Err::<(), Error>(failure.into()) }).unwrap_err();
        assert_eq!(
            format!("{report:?}"),
            "the broker is away\n  because connection refused"
        );
        let other = Report::of(Error::<crate::error::Never>::other(std::io::Error::other(
            "x",
        )));
        assert_eq!(format!("{other:?}"), "x");
    }
}
