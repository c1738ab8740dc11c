//! How SQLite runs what the store asks.

use sqlx::Row;

use super::File;
use crate::store::{Store as _, sqlite::Options};

#[tokio::test]
async fn every_statement_of_a_batch_uses_an_index() {
    let file = File::new();
    file.open(Options::default()).await.close().await;
    let mut stranger = file.stranger().await;
    for sql in [
        "SELECT t.version FROM (VALUES (1, 'a', x'00'), (2, 'b', x'01')) v CROSS JOIN minos_heads t \
         ON t.aggregate = v.column2 AND t.id = v.column3",
        "SELECT t.id FROM (VALUES ('a', x'00', 1, x'01'), ('b', x'01', 2, x'02')) v CROSS JOIN minos_events t \
         ON t.aggregate = v.column1 AND t.stream = v.column2 AND t.version = v.column3",
        "SELECT t.field FROM (VALUES (1, 'a', x'00'), (2, 'b', x'01')) v CROSS JOIN minos_claims t \
         ON t.aggregate = v.column2 AND t.id = v.column3",
        "DELETE FROM minos_views WHERE (view, key) IN (VALUES ('a', 'b'), ('c', 'd'))",
        "DELETE FROM minos_claims WHERE (aggregate, field, value) IN (VALUES ('a', 'b', 'c'), ('c', 'd', 'e'))",
        "DELETE FROM minos_timers WHERE id IN (VALUES (x'00'), (x'01'))",
        "DELETE FROM minos_units WHERE at < 5",
        "SELECT min(due_at) FROM minos_sagas WHERE due_at IS NOT NULL",
        "SELECT * FROM minos_sagas ORDER BY created_at DESC, id DESC LIMIT 5",
        "SELECT * FROM minos_sagas WHERE due_at IS NOT NULL AND due_at <= 5 ORDER BY due_at, id LIMIT 5",
        "SELECT * FROM minos_timers WHERE due_at <= 5 ORDER BY due_at, id LIMIT 5",
    ] {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let plan = sqlx::query(sqlx::AssertSqlSafe(explain));
        let plan: Vec<String> = plan
            .fetch_all(&mut stranger)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get("detail"))
            .collect();
        let table = sql.split("minos_").nth(1).unwrap();
        let table = table.split(' ').next().unwrap();
        let bad = |step: &String| {
            let scans = step.starts_with("SCAN") && !step.contains("INDEX");
            let scans = scans && (step.contains(table) || *step == "SCAN t");
            scans || step.contains("TEMP B-TREE")
        };
        assert!(!plan.iter().any(bad), "{sql}\n{plan:#?}");
    }
}
