//! Refusals in the user's words and failures of the machinery.

use std::{error::Error as StdError, fmt};

use crate::model::Model;

/// The refusal that cannot happen: the default of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

/// Either a refusal `E` in the user's words, or a failure of the machinery.
///
/// `?` takes both: an `#[error_model]` becomes [`Error::Refused`], an [`Error`] without refusals stays a failure.
/// Errors of other libraries go through [`Error::other`].
pub enum Error<E = Never> {
    /// The handler refuses; nothing is retried, the caller gets the typed error.
    Refused(E),
    /// Something else went wrong.
    Failed(Failure),
}

/// A result whose error is Minos's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error a handler refuses with. `#[error_model]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error model",
    label = "not an error model",
    note = "add `#[error_model]` to `{Self}`, or turn it into a failure with `.map_err(Error::other)?`"
)]
pub trait ErrorModel: StdError + Model {
    /// The HTTP status of this refusal.
    fn status(&self) -> u16;

    /// A short, stable name of the variant, such as `Exists`.
    fn code(&self) -> &'static str;
}

/// What kind of failure this is; callers act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The input does not fit; 400.
    Invalid,
    /// Who asks is not known; 401.
    Unauthenticated,
    /// Who asks may not; 403.
    Forbidden,
    /// There is no such thing; 404.
    NotFound,
    /// The verb does not fit the path; 405.
    MethodNotAllowed,
    /// Somebody else was faster, or the value is taken; 409.
    Conflict,
    /// The body is above the limit; 413.
    TooLarge,
    /// The body is not JSON by its media type; 415.
    UnsupportedMedia,
    /// The idempotency key was used with another body; 422.
    Unprocessable,
    /// A database or broker is away; try again; 503.
    Unavailable,
    /// The commit may or may not have happened; 503.
    OutcomeUnknown,
    /// It took too long; 504.
    TimedOut,
    /// What is stored cannot be read; 500.
    Corrupt,
    /// The services do not fit together; reported at start.
    Wiring,
    /// A configuration value is wrong; reported at start.
    Config,
    /// Anything else; 500.
    Internal,
}

impl Kind {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Kind::Invalid => 400,
            Kind::Unauthenticated => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::Conflict => 409,
            Kind::TooLarge => 413,
            Kind::UnsupportedMedia => 415,
            Kind::Unprocessable => 422,
            Kind::Unavailable | Kind::OutcomeUnknown => 503,
            Kind::TimedOut => 504,
            Kind::Corrupt | Kind::Wiring | Kind::Config | Kind::Internal => 500,
        }
    }

    /// Whether the same call may succeed later without being changed.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Kind::Conflict
                | Kind::Unavailable
                | Kind::OutcomeUnknown
                | Kind::TimedOut
                | Kind::Internal
        )
    }

    /// Whether the text was written for the caller; the others stay in the log.
    #[must_use]
    pub fn is_public(self) -> bool {
        !matches!(
            self,
            Kind::Corrupt | Kind::Wiring | Kind::Config | Kind::Internal
        )
    }
}

/// A failure of the machinery: what, where, and the cause.
pub struct Failure(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    pointer: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure without a cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            pointer: None,
            source: None,
        }))
    }

    /// Names the place in the input, as a JSON pointer.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What went wrong, without the causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What everybody may read of it; the rest is for the log.
    #[must_use]
    pub fn public(&self) -> String {
        if self.kind().is_public() {
            self.to_string()
        } else {
            "internal error".to_owned()
        }
    }

    /// The place in the input, as a JSON pointer.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(at) = &self.0.pointer {
            write!(f, " (at `{at}`)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut cause = StdError::source(self);
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

impl<E> Error<E> {
    /// Turns an error of another library into a failure; its text stays in the log.
    pub fn other(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        Error::Failed(Failure::new(Kind::Internal, source.to_string()).because(source))
    }

    /// A failure of this kind with this text.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error::Failed(Failure::new(kind, message))
    }

    /// The failure, if this is not a refusal.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Failed(f) => Some(f),
            Error::Refused(_) => None,
        }
    }

    /// The kind of failure; [`None`] for a refusal.
    pub fn kind(&self) -> Option<Kind> {
        self.failure().map(Failure::kind)
    }
}

impl Error {
    /// The failure: without refusals there is nothing else.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Error::Failed(f) => f,
            Error::Refused(never) => match never {},
        }
    }
}

impl<E: ErrorModel> From<E> for Error<E> {
    fn from(refusal: E) -> Self {
        Error::Refused(refusal)
    }
}

impl<E: ErrorModel> From<Error> for Error<E> {
    fn from(error: Error) -> Self {
        Error::Failed(error.into_failure())
    }
}

impl<E> From<Failure> for Error<E> {
    fn from(failure: Failure) -> Self {
        Error::Failed(failure)
    }
}

impl<E: fmt::Debug> fmt::Debug for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(e) => write!(f, "refused: {e:?}"),
            Error::Failed(e) => write!(f, "{e:?}"),
        }
    }
}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(e) => write!(f, "{e}"),
            Error::Failed(e) => write!(f, "{e}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure().and_then(|f| f.source())
    }
}
