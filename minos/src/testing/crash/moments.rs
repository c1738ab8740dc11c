//! Runs for all the moments that there are: nobody knows how many before one is not reached any more.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::life::Ran;
use crate::error::{Error, Result};

/// One run for each moment, or every so many, after those of crashes before. Some go on at once.
pub(super) fn at_each(
    run: &(impl Fn(&[usize]) -> Result<Ran> + Sync),
    before: &[usize],
    every: usize,
    at_once: usize,
) -> Result<Vec<Ran>> {
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut runs = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let point = next.fetch_add(every, Ordering::Relaxed);
            let fuses = [before, &[point]].concat();
            let ran = run(&fuses);
            if !matches!(&ran, Ok(ran) if ran.crashed.len() == fuses.len()) {
                over.store(true, Ordering::Relaxed);
            }
            runs.push((point, ran?));
        }
        Ok(runs)
    };
    let mut runs = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let mut runs = Vec::new();
        for worker in workers {
            let of: Result<Vec<_>> = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            runs.extend(of?);
        }
        Ok::<_, Error>(runs)
    })?;
    runs.sort_by_key(|(point, _)| *point);
    let crashed = runs.into_iter().map(|(_, ran)| ran);
    Ok(crashed
        .filter(|ran| ran.crashed.len() > before.len())
        .collect())
}
