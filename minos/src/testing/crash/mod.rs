//! One saga, once per moment at which something becomes durable: killed there, started again, and compared.

mod effects;
mod fuse;
mod life;
mod moments;
mod witness;

use std::{fmt, io::Write as _, path::PathBuf, sync::Arc};

use self::{
    effects::Difference,
    life::{Ran, run},
    moments::at_each,
};
use crate::{
    config::Config,
    context::Context,
    enroute::{BoxFuture, Service},
    error::{Error, Kind, Result},
    message::Contract,
    payload::Payload,
    saga::Saga,
};

/// A saga to be killed at each of its moments. `#[minos::crash_test]` makes one from the saga that a function returns.
pub struct CrashTest<S> {
    make: Make<S>,
    signals: Vec<(&'static str, Payload)>,
    config: Configure,
    every: usize,
    twice: Option<usize>,
    at_once: usize,
}

/// Makes a saga in the unit of work that starts it.
type Make<S> = Arc<dyn for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<S>> + Send + Sync>;
type Configure = Arc<dyn Fn(&str) -> Result<Config> + Send + Sync>;

impl<S> fmt::Debug for CrashTest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashTest")
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}

impl<S: Saga> From<S> for CrashTest<S> {
    fn from(state: S) -> Self {
        Self::of(state)
    }
}

impl<S: Saga> CrashTest<S> {
    /// The saga that is run, on SQLite and the embedded broker.
    pub fn of(state: S) -> Self {
        Self::made(move |_| {
            let state = state.clone();
            Box::pin(async move { Ok(state) })
        })
    }

    /// A saga that is made in the unit of work that starts it, with what else it needs, such as aggregates.
    pub fn made(
        make: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<S>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Arc::new(make),
            signals: Vec::new(),
            config: Arc::new(embedded),
            every: 1,
            twice: None,
            at_once: 4,
        }
    }

    /// A signal that is there from the start.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn signal<C: Contract>(mut self, content: &C) -> Result<Self> {
        self.signals.push((C::NAME, Payload::encode(content)?));
        Ok(self)
    }

    /// Another configuration: it gets a name that no other run has, for its database and the prefix of its topics.
    #[must_use]
    pub fn config(
        mut self,
        config: impl Fn(&str) -> Result<Config> + Send + Sync + 'static,
    ) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Only every so many moments one crash: where a run takes long.
    #[must_use]
    pub fn every(mut self, moments: usize) -> Self {
        self.every = moments.max(1);
        self
    }

    /// Also runs with two crashes: one at every so many moments, and another one at every so many moments after the
    /// services were started again.
    #[must_use]
    pub fn twice(mut self, every: usize) -> Self {
        self.twice = Some(every.max(1));
        self
    }

    /// How many runs go on at once; 4 unless it is said. Most of a run is waiting.
    #[must_use]
    pub fn at_once(mut self, runs: usize) -> Self {
        self.at_once = runs.max(1);
        self
    }
}

/// Where a run keeps its files.
fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("minos-crash-{name}"))
}

fn embedded(name: &str) -> Result<Config> {
    let folder = folder(name);
    let folder = folder.display();
    Config::default()
        .set("http.bind", "127.0.0.1:0")?
        .set("database.url", &format!("sqlite://{folder}/{{service}}.db"))?
        .set("broker.url", &format!("local://{folder}/broker.db"))
}

/// What a crash test has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrashReport {
    /// At how many moments it was killed.
    pub points: usize,
    /// How often it was killed at one moment, and again at another one after it was started again.
    pub pairs: usize,
    /// How many effects the undisturbed run has: events, rows of views, dead letters, and ends of sagas.
    pub effects: u64,
    /// How many of them were missing, in all runs together.
    pub lost: u64,
    /// How many there were too many, in all runs together.
    pub doubled: u64,
    /// How many had another content, in all runs together.
    pub altered: u64,
}

/// Runs a saga undisturbed, then once per moment at which something becomes durable - a commit, a publication, a step of
/// a reader - killing all services there and starting them again, as new processes. All must end as the undisturbed run
/// did, with each effect once and with the same content. Prints what it saw.
///
/// The effects are the events of each aggregate, the rows of views, the dead letters, and the sagas with their ends and
/// states. They are compared when nothing has to be published, handled, or moved any more. Ids and times differ from run
/// to run: for an id counts what it belongs to, such as a `Payment`.
///
/// Time passes by itself as soon as nothing else happens: it jumps to what is due next, so a saga that takes days is
/// tested in seconds.
///
/// # Errors
/// A service that does not start, a saga that does not end, or an effect that is lost, doubled, or has another content;
/// it says at which moment the crash was.
pub fn crash_test<S, T>(
    name: &str,
    services: impl Fn() -> Vec<Service> + Sync,
    saga: impl Fn() -> T + Sync,
) -> Result<CrashReport>
where
    S: Saga,
    T: Into<CrashTest<S>>,
{
    let test: CrashTest<S> = saga().into();
    let one = |fuses: &[usize]| run(&services, &saga().into(), fuses);
    let calm = one(&[])?;
    let mut report = CrashReport {
        points: 0,
        pairs: 0,
        effects: calm.effects.count(),
        lost: 0,
        doubled: 0,
        altered: 0,
    };
    let mut problems = Vec::new();
    let mut compare = |runs: &[Ran]| {
        for ran in runs {
            let Difference {
                lost,
                doubled,
                altered,
                words,
            } = calm.effects.compare(&ran.effects);
            report.lost += lost;
            report.doubled += doubled;
            report.altered += altered;
            let at = ran.crashed.join(", then ");
            problems.extend(words.iter().map(|what| format!("killed {at}: {what}")));
        }
        runs.len()
    };
    let singles = at_each(&one, &[], test.every, test.at_once)?;
    let points = compare(&singles);
    let mut pairs = 0;
    if let Some(every) = test.twice {
        for first in (0..points * test.every).step_by(every) {
            pairs += compare(&at_each(&one, &[first], every, test.at_once)?);
        }
    }
    (report.points, report.pairs) = (points, pairs);
    let CrashReport {
        effects,
        lost,
        doubled,
        altered,
        ..
    } = report;
    // The harness keeps what tests print to itself unless they fail; this is to be seen. A closed pipe is no failure.
    let _ = writeln!(
        std::io::stdout(),
        "crash test {name} on {}: {points} crash points, {pairs} pairs of them, {effects} effects, lost {lost}, \
         doubled {doubled}, altered {altered}",
        calm.stack
    );
    if problems.is_empty() {
        return Ok(report);
    }
    let text = format!(
        "{name}: lost {lost}, doubled {doubled}, altered {altered}\n{}",
        problems.join("\n")
    );
    Err(Error::new(Kind::Internal, text))
}
