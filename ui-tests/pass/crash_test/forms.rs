// A saga, and a crash test of one.

use minos::{prelude::*, testing::CrashTest};

minos::service!("counting");

#[aggregate]
pub struct Counter {
    pub value: u32,
}

#[model]
pub struct Count {}

#[saga]
impl Count {
    #[step]
    async fn count(&mut self, cx: &Context) -> Result<()> {
        Counter::create(cx, Counter { value: 1 }).map(drop)
    }
}

/// Documented.
#[minos::crash_test(service())]
fn a_saga() -> Count {
    Count {}
}

#[minos::crash_test(service(),)]
pub fn a_test_of_one() -> CrashTest<Count> {
    CrashTest::made(|_| Box::pin(async { Ok(Count {}) }))
}

fn main() {}
