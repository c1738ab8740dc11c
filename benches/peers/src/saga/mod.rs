//! How many sagas per second two services get to their end, how long one takes at half of that, and how often they
//! ask their database.
//!
//! A saga has three steps, two of them at the other service over the broker, and each makes an event. It ends with
//! the commit that says so. Round trips are those of both services, of all that they do meanwhile: relay and looks for
//! what is due, too. They are counted in runs of their own, by who stands between the services and PostgreSQL.

mod ends;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use minos::{Builder, Running, config::Config, prelude::*, testing::ObservedStore};
use peers_orders::Order;
use tokio::task::JoinSet;

use self::{ends::Ends, wire::Wire};
use crate::{floor::database, note, rows::Table};

/// How many sagas are under way at once when as many as possible are wanted.
const IN_FLIGHT: usize = 256;
/// How long a figure is taken, and how long the services run before.
const LONG: Duration = Duration::from_secs(10);
const WARM: Duration = Duration::from_secs(3);
const STEPS: f64 = 3.0;

/// Two services in this process, and what is known of their sagas.
struct Shop {
    running: Running,
    ends: Arc<Ends>,
}

/// What came of a load.
struct Came {
    /// How long each took, in milliseconds and in order.
    took: Vec<f64>,
    rate: f64,
    /// Milliseconds of this process's processors per saga.
    work: f64,
}

pub(crate) async fn saga(server: &str, kafka: &str, wanted: &[String]) -> crate::Result<()> {
    let on = |stack: &str| {
        let named = wanted.iter().any(|w| w == "embedded" || w == "servers");
        !named || wanted.iter().any(|w| w == stack)
    };
    let mut table = Table::new(
        "sagas of three steps",
        &[
            "sagas/s",
            "work ms",
            "p50 ms at half",
            "p99 ms",
            "at sagas/s",
            "trips/step, busy",
            "trips/step, half",
        ],
    );
    if on("embedded") {
        let folder = std::env::temp_dir().join(format!("minos-sagas-{}", Uuid::now_v7().simple()));
        let at = folder.display();
        let config = Config::in_memory()
            .set("database.url", &format!("sqlite://{at}/{{service}}.db"))?
            .set("broker.url", &format!("local://{at}/broker.db"))?;
        let shop = Shop::open(config).await?;
        let mut row = shop.figures().await?;
        row.extend([f64::NAN; 2]);
        table.add("SQLite, embedded broker", row);
        shop.close().await?;
        std::fs::remove_dir_all(folder)?;
    }
    if on("servers") {
        let shop = Shop::open(servers(server, kafka, None).await?).await?;
        let mut row = shop.figures().await?;
        shop.close().await?;
        let half = row[4];
        row.extend(round_trips(server, kafka, half).await?);
        table.add("PostgreSQL, Kafka", row);
    }
    table.print();
    Ok(())
}

/// A new database for each service, and topics of their own.
async fn servers(server: &str, kafka: &str, wire: Option<&Wire>) -> crate::Result<Config> {
    let mut config = Config::in_memory()
        .set("broker.url", &format!("kafka://{kafka}"))?
        .set(
            "broker.prefix",
            &format!("peers{}.", Uuid::now_v7().simple()),
        )?;
    for service in ["orders", "depot"] {
        let url = database(server, &format!("peers_{service}")).await?;
        let url = wire.map_or(Ok(url.clone()), |wire| wire.url(&url))?;
        config = config.set_for(service, "database.url", &url)?;
    }
    Ok(config)
}

/// Round trips per step: as many sagas as possible, then at a rate.
async fn round_trips(server: &str, kafka: &str, rate: f64) -> crate::Result<Vec<f64>> {
    let (_, rest) = server.split_once('@').ok_or("no user in the URL")?;
    let (host, _) = rest.split_once('/').ok_or("no database in the URL")?;
    let wire = Wire::to(host.to_owned()).await?;
    let shop = Shop::open(servers(server, kafka, Some(&wire)).await?).await?;
    shop.busy(WARM).await?;
    let mut row = Vec::new();
    for busy in [true, false] {
        wire.take();
        let came = match busy {
            true => shop.busy(LONG).await?,
            false => shop.paced(LONG, rate).await?,
        };
        let trips = wire.take();
        let steps = came.took.len() as f64 * STEPS;
        row.push(trips.values().sum::<u64>() as f64 / steps);
        let mut trips: Vec<_> = trips.into_iter().collect();
        trips.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        println!("\nround trips per step at {:.0} sagas/s", came.rate);
        for (what, n) in trips.iter().take(12) {
            println!("{:>8.3}  {what}", *n as f64 / steps);
        }
    }
    shop.close().await?;
    Ok(row)
}

impl Shop {
    async fn open(config: Config) -> crate::Result<Arc<Self>> {
        let ends = Arc::<Ends>::default();
        let eyes = ends.clone();
        let running = Builder::new([peers_orders::service(), peers_depot::service()])
            .config(config)
            .wrap_store(move |service, store| match service {
                "orders" => Arc::new(ObservedStore::new(store, eyes.clone())),
                _ => store,
            })
            .start()
            .await?;
        running.ready(Duration::from_secs(30)).await?;
        Ok(Arc::new(Self { running, ends }))
    }

    async fn close(self: Arc<Self>) -> crate::Result<()> {
        let shop = Arc::into_inner(self).ok_or("sagas are still under way")?;
        Ok(shop.running.stop().await?)
    }

    /// As many sagas as possible, then half of that.
    async fn figures(self: &Arc<Self>) -> crate::Result<Vec<f64>> {
        self.busy(WARM).await?;
        let most = self.busy(LONG).await?;
        let half = self.paced(LONG, most.rate / 2.0).await?;
        let (p50, p99) = (half.share(50), half.share(99));
        Ok(vec![most.rate, most.work, p50, p99, half.rate])
    }

    /// Always so many at once.
    async fn busy(self: &Arc<Self>, long: Duration) -> crate::Result<Came> {
        let (began, worked) = (Instant::now(), worked()?);
        let mut clients: JoinSet<crate::Result<Vec<(Instant, Instant)>>> = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let shop = self.clone();
            clients.spawn(async move {
                let mut ends = Vec::new();
                while began.elapsed() < long {
                    let started = Instant::now();
                    ends.push((started, shop.one().await?));
                }
                Ok(ends)
            });
        }
        let mut ends = Vec::new();
        while let Some(of) = clients.join_next().await {
            ends.extend(of??);
        }
        Came::of(ends, began, long, worked)
    }

    /// So many per second, whether or not those before have ended; each takes its time from when it was to start.
    async fn paced(self: &Arc<Self>, long: Duration, rate: f64) -> crate::Result<Came> {
        let (began, worked) = (Instant::now(), worked()?);
        let mut sagas = JoinSet::new();
        for n in 0..(long.as_secs_f64() * rate) as u32 {
            let at = began + Duration::from_secs_f64(f64::from(n) / rate);
            tokio::time::sleep_until(at.into()).await;
            let shop = self.clone();
            sagas.spawn(async move { shop.one().await.map(|end| (at, end)) });
        }
        let mut ends = Vec::new();
        while let Some(end) = sagas.join_next().await {
            ends.push(end??);
        }
        Came::of(ends, began, long, worked)
    }

    /// One saga; answers when it ended.
    async fn one(&self) -> crate::Result<Instant> {
        let start = |cx: &Context| {
            cx.start(Order {
                order: cx.new_uuid(),
                note: note(),
                reservation: None,
                parcel: None,
            })
        };
        let started = self
            .running
            .unit("orders", move |cx| Box::pin(async move { start(cx) }));
        let id = started.await?.0.saga;
        let (status, at) = self.ends.of(id).await?;
        match status.as_str() {
            "completed" => Ok(at),
            _ => Err(format!("saga {id} is {status}").into()),
        }
    }
}

impl Came {
    fn of(
        ends: Vec<(Instant, Instant)>,
        began: Instant,
        long: Duration,
        before: f64,
    ) -> crate::Result<Self> {
        let took = |(from, to): &(Instant, Instant)| {
            to.saturating_duration_since(*from).as_secs_f64() * 1000.0
        };
        let within = ends.iter().filter(|(_, end)| *end <= began + long).count();
        let mut all: Vec<f64> = ends.iter().map(took).collect();
        all.sort_by(f64::total_cmp);
        Ok(Self {
            rate: within as f64 / long.as_secs_f64(),
            work: (worked()? - before) / all.len() as f64,
            took: all,
        })
    }

    fn share(&self, percent: usize) -> f64 {
        let place = self.took.len() * percent / 100;
        self.took.get(place).copied().unwrap_or(f64::NAN)
    }
}

/// How long processors worked for this process, in milliseconds.
fn worked() -> crate::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may have spaces.
    let (_, rest) = text.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields
        .get(11..13)
        .ok_or("no times")?
        .iter()
        .filter_map(|t| t.parse::<f64>().ok())
        .sum();
    // Linux tells user space hundredths of a second.
    Ok(ticks * 10.0)
}
