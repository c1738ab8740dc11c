//! Each saga's diagram is checked in next to it, so that a change of the flow is seen in a review.
//! `MINOS_DIAGRAMS=overwrite cargo test -p desk` writes them anew.

use std::{fs, io, path::Path};

use desk::{Delivery, Holiday, Loan, Order, Renewal, Trip};
use minos::saga::Saga;

fn check<S: Saga>(name: &str) -> io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{name}.mmd"));
    if std::env::var_os("MINOS_DIAGRAMS").is_some_and(|how| how == "overwrite") {
        fs::write(&path, S::DIAGRAM)?;
    }
    let known = fs::read_to_string(&path)?;
    assert_eq!(S::DIAGRAM, known, "{} is not what it was", path.display());
    Ok(())
}

#[test]
fn diagrams_are_what_they_were() -> io::Result<()> {
    check::<Order>("order")?;
    check::<Trip>("trip")?;
    check::<Loan>("loan")?;
    check::<Holiday>("holiday")?;
    check::<Delivery>("delivery")?;
    check::<Renewal>("renewal")
}
