// A refusal has a status, a code, and a text that shows its fields.
use minos::{error::ErrorModel, prelude::*};

#[error_model]
enum Refused {
    #[error(status = 409, "{text:?} is taken, {{really}}")]
    Taken { text: String },
    #[error("{0} is not {1:>4}")]
    Odd(u32, u32),
    #[error("gone", status = 410)]
    Gone,
    #[error(r#"no "{type}" in {f}"#)]
    Missing { r#type: String, f: u8, unused: bool },
}

#[error_model]
#[derive(Eq)]
#[serde(tag = "kind")]
enum Tagged {
    #[error(status = 599, "five")]
    Five {},
}

fn main() {
    let taken = Refused::Taken { text: "x".into() };
    assert_eq!(taken.to_string(), "\"x\" is taken, {really}");
    assert_eq!((taken.status(), taken.code()), (409, "Taken"));
    assert_eq!(Refused::Odd(3, 4).to_string(), "3 is not    4");
    assert_eq!(
        (Refused::Odd(3, 4).status(), Refused::Odd(3, 4).code()),
        (400, "Odd")
    );
    assert_eq!(
        (Refused::Gone.status(), Refused::Gone.to_string()),
        (410, "gone".into())
    );
    let missing = Refused::Missing {
        r#type: "a".into(),
        f: 1,
        unused: true,
    };
    assert_eq!(missing.to_string(), "no \"a\" in 1");
    assert_eq!(Tagged::Five {}.status(), 599);
    let error: Error<Refused> = taken.into();
    assert!(matches!(error, Error::Refused(Refused::Taken { .. })));
}
