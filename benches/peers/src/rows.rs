//! Tables for people.

/// Rows of figures.
pub(crate) struct Table {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&'static str]) -> Self {
        Self {
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &'static str, row: Vec<f64>) {
        self.rows.push((name, row));
    }

    pub(crate) fn print(&self) {
        self.write(|_, figure| {
            if figure.is_nan() {
                "-".to_owned()
            } else if figure < 100.0 {
                format!("{figure:.2}")
            } else {
                format!("{figure:.0}")
            }
        });
    }

    /// Each figure with its ratio to the first row's.
    pub(crate) fn print_with_ratios(&self) {
        let floor = self
            .rows
            .first()
            .map(|(_, row)| row.clone())
            .unwrap_or_default();
        self.write(|column, figure| {
            format!(
                "{figure:.0} ({:.2}x)",
                figure / floor.get(column).copied().unwrap_or(f64::NAN)
            )
        });
    }

    fn write(&self, figure: impl Fn(usize, f64) -> String) {
        println!(
            "\n{:<24}{}",
            self.title,
            self.columns
                .iter()
                .map(|c| format!("{c:>24}"))
                .collect::<String>()
        );
        for (name, row) in &self.rows {
            let figures: String = row
                .iter()
                .enumerate()
                .map(|(n, f)| format!("{:>24}", figure(n, *f)))
                .collect();
            println!("{name:<24}{figures}");
        }
    }
}
