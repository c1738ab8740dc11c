//! The guide's table of sagas beside others names tests: they are there.

use std::path::Path;

#[test]
fn each_of_our_cells_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("minos/docs/guide/11-compared.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.contains("| yes: "))
        .collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let cell = row.rsplit("| yes: ").next().unwrap();
        let mut names = cell.split('`').skip(1).step_by(2);
        let file = root.join(names.next().unwrap());
        let source = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(!source.is_empty(), "{row}");
        if let Some(test) = names.next() {
            assert!(source.contains(&format!("fn {test}(")), "{row}");
        }
    }
}
