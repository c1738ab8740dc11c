//! Sagas with effects that depend on what no unit of work knows: a crash test must find each of them.

use std::sync::atomic::{AtomicU32, Ordering};

use minos::prelude::*;

use crate::Counter;

/// Makes more counters when its step runs again.
#[model]
pub struct Careless {
    /// How many counters it is to make.
    pub times: u32,
}

#[saga]
impl Careless {
    /// Makes them.
    #[step]
    async fn count(&mut self, cx: &Context) -> Result<()> {
        static RAN: AtomicU32 = AtomicU32::new(0);
        for value in 0..self.times + again(&RAN) {
            Counter::create(cx, counter(value))?;
        }
        Ok(())
    }
}

/// Makes one counter, another one when its step runs again.
#[model]
pub struct Otherwise {}

#[saga]
impl Otherwise {
    /// Makes it.
    #[step]
    async fn count(&mut self, cx: &Context) -> Result<()> {
        static RAN: AtomicU32 = AtomicU32::new(0);
        Counter::create(cx, counter(again(&RAN))).map(drop)
    }
}

/// That a step ran.
#[read_model]
pub struct Ran {
    /// Which time.
    #[key]
    pub time: u32,
}

/// Writes one row more of a view when its step runs again.
#[model]
pub struct Doubled {}

#[saga]
impl Doubled {
    /// Writes them.
    #[step]
    async fn note(&mut self, cx: &Context) -> Result<()> {
        static RAN: AtomicU32 = AtomicU32::new(0);
        (0..=again(&RAN)).try_for_each(|time| Ran::upsert(cx, &Ran { time }))
    }
}

/// Keeps in its state whether its step ran again.
#[model]
pub struct Again {
    /// Whether it did.
    pub again: bool,
}

#[saga]
impl Again {
    /// Notes it.
    #[step]
    async fn note(&mut self, _cx: &Context) -> Result<()> {
        static RAN: AtomicU32 = AtomicU32::new(0);
        self.again = again(&RAN) > 0;
        Ok(())
    }
}

/// One if it was asked before.
fn again(ran: &AtomicU32) -> u32 {
    u32::from(ran.fetch_add(1, Ordering::Relaxed) > 0)
}

fn counter(value: u32) -> Counter {
    Counter {
        value: value.into(),
        name: None,
    }
}
