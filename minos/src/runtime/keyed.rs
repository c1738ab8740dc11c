//! Concurrency across keys, sequence within one; offsets are committed up to the lowest unfinished.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::Future,
};

use tokio::task::JoinSet;

use crate::{broker::Origin, error::Result};

/// Runs one piece of work per key at a time, several keys at once.
#[derive(Debug)]
pub(crate) struct Keyed<T> {
    // A key is here while one of its pieces runs; the queue holds the others.
    waiting: HashMap<String, VecDeque<T>>,
    // Pieces that may start as soon as there is room.
    ready: VecDeque<(String, T)>,
    running: JoinSet<(String, Result<()>)>,
    concurrency: usize,
}

impl<T: Send + 'static> Keyed<T> {
    pub(crate) fn new(concurrency: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            ready: VecDeque::new(),
            running: JoinSet::new(),
            concurrency,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.ready.is_empty()
    }

    /// Whether a piece runs.
    pub(crate) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// How many pieces are not finished.
    pub(crate) fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum::<usize>()
            + self.ready.len()
            + self.running.len()
    }

    pub(crate) fn push(&mut self, key: String, work: T) {
        match self.waiting.get_mut(&key) {
            Some(queue) => queue.push_back(work),
            None => {
                self.waiting.insert(key.clone(), VecDeque::new());
                self.ready.push_back((key, work));
            }
        }
    }

    /// Starts what may run.
    pub(crate) fn start<F, Fut>(&mut self, mut run: F)
    where
        F: FnMut(T) -> Fut,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        while self.running.len() < self.concurrency {
            let Some((key, work)) = self.ready.pop_front() else {
                return;
            };
            let future = run(work);
            self.running.spawn(async move { (key, future.await) });
        }
    }

    /// Waits until a piece is finished; the next one of its key may start. Pends while nothing runs.
    ///
    /// # Errors
    /// The piece's own error, or its panic.
    pub(crate) async fn finished(&mut self) -> Result<()> {
        let (key, outcome) = match self.running.join_next().await {
            Some(Ok(finished)) => finished,
            Some(Err(e)) => return Err(crate::error::Error::other(e)),
            None => std::future::pending().await,
        };
        if let Some(queue) = self.waiting.get_mut(&key) {
            match queue.pop_front() {
                Some(next) => self.ready.push_back((key, next)),
                None => {
                    self.waiting.remove(&key);
                }
            }
        }
        outcome
    }
}

/// Which offsets are done, per partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    partitions: BTreeMap<(String, u32), Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    /// In delivery order; `true` once done.
    deliveries: VecDeque<(i64, bool)>,
}

impl Offsets {
    pub(crate) fn delivered(&mut self, origin: &Origin) {
        let partition = self
            .partitions
            .entry((origin.topic.clone(), origin.partition))
            .or_default();
        // A redelivery after a rebalance starts the partition anew.
        if partition
            .deliveries
            .back()
            .is_some_and(|(last, _)| *last >= origin.offset)
        {
            partition.deliveries.clear();
        }
        partition.deliveries.push_back((origin.offset, false));
    }

    pub(crate) fn done(&mut self, origin: &Origin) {
        if let Some(partition) = self
            .partitions
            .get_mut(&(origin.topic.clone(), origin.partition))
            && let Ok(i) = partition
                .deliveries
                .binary_search_by_key(&origin.offset, |d| d.0)
        {
            partition.deliveries[i].1 = true;
        }
    }

    /// Takes what may be committed: in each partition the last offset before the lowest unfinished one.
    pub(crate) fn take_committable(&mut self) -> Vec<Origin> {
        let mut committable = Vec::new();
        for ((topic, number), partition) in &mut self.partitions {
            let mut last = None;
            while let Some((offset, true)) = partition.deliveries.front().copied() {
                last = Some(offset);
                partition.deliveries.pop_front();
            }
            if let Some(offset) = last {
                committable.push(Origin {
                    topic: topic.clone(),
                    partition: *number,
                    offset,
                });
            }
        }
        committable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Origin {
        Origin {
            topic: "t".to_owned(),
            partition: 0,
            offset,
        }
    }

    #[test]
    fn nothing_past_unfinished_work_is_committed() {
        let mut offsets = Offsets::default();
        for offset in [1, 2, 5, 9] {
            offsets.delivered(&at(offset));
        }
        offsets.done(&at(2));
        offsets.done(&at(9));
        assert!(offsets.take_committable().is_empty());
        offsets.done(&at(1));
        assert_eq!(offsets.take_committable(), vec![at(2)]);
        offsets.done(&at(5));
        assert_eq!(offsets.take_committable(), vec![at(9)]);
        assert!(offsets.take_committable().is_empty());
    }

    #[tokio::test]
    async fn one_key_runs_in_order_and_others_beside_it() {
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        let mut keyed = Keyed::new(4);
        let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        for (key, n) in [("a", 1), ("a", 2), ("b", 3)] {
            keyed.push(key.to_owned(), (key, n));
        }
        let run = |(key, n): (&'static str, i32)| {
            let (tx, gate) = (tx.clone(), gate.clone());
            async move {
                if key == "a" {
                    gate.acquire().await.unwrap().forget();
                }
                tx.send(n).unwrap();
                Ok(())
            }
        };
        keyed.start(run);
        keyed.finished().await.unwrap();
        assert_eq!(rx.recv().await, Some(3));
        gate.add_permits(2);
        while !keyed.is_idle() {
            keyed.start(run);
            keyed.finished().await.unwrap();
        }
        assert_eq!((rx.recv().await, rx.recv().await), (Some(1), Some(2)));
        assert_eq!(keyed.len(), 0);
    }
}
