//! Faults of instances, servers, and networks under load: what each effect lost or doubled.

use std::time::Duration;

use examples_client::Result;

use crate::{
    child::Services,
    load::{Done, Doors, Load, heading, tell},
    proxy::Network,
    servers::Servers,
    stack::Stack,
};

/// Instances of the bank on one stack.
struct Bank {
    stack: Stack,
    doors: Doors,
    instances: Vec<Services>,
}

impl Bank {
    async fn start(stack: Stack, instances: usize) -> Result<Self> {
        let mut bank = Self {
            stack,
            doors: Doors::default(),
            instances: Vec::new(),
        };
        for _ in 0..instances {
            bank.add("accounts,audit").await?;
        }
        Ok(bank)
    }

    /// One more instance of these services.
    async fn add(&mut self, names: &str) -> Result<()> {
        let services = Services::running(&self.stack, names).await?;
        self.doors.open(self.instances.len(), &services);
        self.instances.push(services);
        Ok(())
    }

    /// Ends an instance by a signal and starts it again.
    async fn replace(&mut self, n: usize, signal: &str) -> Result<()> {
        self.doors.close(n);
        self.instances[n].signal(signal).await?;
        self.instances[n].wait().await?;
        self.instances[n] = Services::running(&self.stack, "accounts,audit").await?;
        self.doors.open(n, &self.instances[n]);
        Ok(())
    }

    /// Counts, and counts again after an orderly stop.
    async fn end(mut self, load: Load, fault: &str) -> Result<()> {
        let done: Done = load.finish().await?;
        let (effects, waited) = done.count(&self.stack).await?;
        effects.report(fault, &self.stack, waited)?;
        for services in &mut self.instances {
            services.signal("TERM").await?;
            assert_eq!(services.wait().await?, Some(0), "{fault}");
        }
        done.count(&self.stack).await?.0.check()
    }
}

async fn killed_by_turns(stack: Stack) -> Result<()> {
    let mut bank = Bank::start(stack, 2).await?;
    let load = Load::start(&bank.doors).await?;
    for n in 0..4 {
        load.more(100).await?;
        bank.replace(n % 2, "KILL").await?;
    }
    load.more(100).await?;
    bank.end(load, "one of two instances killed, by turns")
        .await
}

async fn repeated(stack: Stack) -> Result<()> {
    let bank = Bank::start(stack.with("TRIAL_REPEAT", "1"), 2).await?;
    let load = Load::start(&bank.doors).await?;
    load.more(400).await?;
    bank.end(load, "everything published twice, out of order")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_stack_loses_and_doubles_nothing() -> Result<()> {
    tell(&heading());
    killed_by_turns(Stack::embedded()?).await?;
    asleep(Stack::embedded()?, Duration::from_secs(1)).await?;
    repeated(Stack::embedded()?).await
}

async fn rebalanced(stack: Stack) -> Result<()> {
    let mut bank = Bank::start(stack, 2).await?;
    bank.add("accounts,audit").await?;
    let load = Load::start(&bank.doors).await?;
    for _ in 0..4 {
        load.more(60).await?;
        bank.replace(2, "TERM").await?;
    }
    bank.end(load, "a third instance comes and goes").await
}

async fn bank(servers: &Servers) -> Result<Stack> {
    Stack::behind(servers, &["accounts", "audit"]).await
}

/// An instance sleeps longer than its leases and its sessions, and wakes up.
async fn asleep(stack: Stack, long: Duration) -> Result<()> {
    let bank = Bank::start(stack, 2).await?;
    let load = Load::start(&bank.doors).await?;
    for n in 0..2 {
        load.more(60).await?;
        bank.doors.close(n);
        bank.instances[n].signal("STOP").await?;
        // How long it sleeps is the fault. Asleep with the lock of an SQLite file it holds up the other one, too.
        tokio::time::sleep(long).await;
        bank.instances[n].signal("CONT").await?;
        bank.doors.open(n, &bank.instances[n]);
    }
    load.more(60).await?;
    bank.end(load, "an instance asleep (SIGSTOP) and awake")
        .await
}

/// A server that stops and starts again, so many times, while the load goes on.
async fn server(
    servers: &Servers,
    times: usize,
    fault: &str,
    stop: &[&str],
    start: &[&str],
) -> Result<()> {
    let bank = Bank::start(bank(servers).await?, 2).await?;
    let load = Load::start(&bank.doors).await?;
    for _ in 0..times {
        load.more(60).await?;
        servers.run(stop).await?;
        servers.run(start).await?;
    }
    load.more(60).await?;
    bank.end(load, fault).await
}

/// Kafka is away for this long; what is asked for meanwhile is answered.
async fn kafka_away(servers: &Servers, long: Duration) -> Result<()> {
    let bank = Bank::start(bank(servers).await?, 2).await?;
    let load = Load::start(&bank.doors).await?;
    load.more(60).await?;
    servers.run(&["stop", "kafka"]).await?;
    let back = tokio::time::sleep(long);
    load.more(200).await?;
    back.await;
    servers.run(&["start", "kafka"]).await?;
    load.more(60).await?;
    let fault = format!("Kafka away for {} s", long.as_secs());
    bank.end(load, &fault).await
}

/// The services start before Kafka does.
async fn kafka_late(servers: &Servers) -> Result<()> {
    let stack = bank(servers).await?;
    servers.run(&["stop", "kafka"]).await?;
    let starting = tokio::spawn(Bank::start(stack, 2));
    servers.run(&["start", "kafka"]).await?;
    let bank = starting.await??;
    let load = Load::start(&bank.doors).await?;
    load.more(100).await?;
    bank.end(load, "Kafka started after the services").await
}

#[derive(Clone, Copy)]
enum Server {
    Postgres,
    Kafka,
}

/// The network to a server fails for a while, twice.
async fn network(servers: &Servers, to: Server, fault: &str, how: Network) -> Result<()> {
    let proxy = match to {
        Server::Postgres => &servers.postgres,
        Server::Kafka => &servers.kafka,
    };
    let bank = Bank::start(bank(servers).await?, 2).await?;
    let load = Load::start(&bank.doors).await?;
    for _ in 0..2 {
        load.more(40).await?;
        proxy.set(how);
        // How long it lasts is part of the fault.
        tokio::time::sleep(Duration::from_secs(2)).await;
        proxy.set(Network::Works);
    }
    load.more(60).await?;
    bank.end(load, fault).await
}

/// One service on each machine, with nothing in common but Kafka.
async fn two_machines(servers: &Servers) -> Result<()> {
    let stack = bank(servers).await?;
    let mut bank = Bank::start(stack, 0).await?;
    bank.add("accounts").await?;
    bank.add("audit").await?;
    let load = Load::start(&bank.doors).await?;
    load.more(200).await?;
    bank.end(load, "none; a process and a database for each service")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_kafka_lose_and_double_nothing() -> Result<()> {
    let servers = Servers::start().await?;
    tell(&heading());
    two_machines(&servers).await?;
    killed_by_turns(bank(&servers).await?).await?;
    asleep(bank(&servers).await?, Duration::from_secs(6)).await?;
    rebalanced(bank(&servers).await?).await?;
    repeated(bank(&servers).await?).await?;
    let (stop, kill, start) = (
        ["restart", "postgres"],
        ["kill", "postgres"],
        ["start", "postgres"],
    );
    server(&servers, 3, "PostgreSQL restarted", &stop, &start).await?;
    server(&servers, 3, "PostgreSQL killed", &kill, &start).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_kafka_lose_and_double_nothing() -> Result<()> {
    let servers = Servers::start().await?;
    tell(&heading());
    let (stop, kill, start) = (["restart", "kafka"], ["kill", "kafka"], ["start", "kafka"]);
    server(&servers, 1, "Kafka restarted", &stop, &start).await?;
    server(&servers, 1, "Kafka killed", &kill, &start).await?;
    kafka_away(&servers, Duration::from_secs(30)).await?;
    kafka_late(&servers).await
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_networks_lose_and_double_nothing() -> Result<()> {
    use Network::{Cut, Silent, Slow};
    let servers = Servers::start().await?;
    let (near, far) = (Duration::from_millis(20), Duration::from_millis(50));
    tell(&heading());
    for (to, fault, how) in [
        (Server::Postgres, "connections to PostgreSQL cut", Cut),
        (Server::Postgres, "PostgreSQL silent (half-open)", Silent),
        (Server::Postgres, "PostgreSQL 20 ms away", Slow(near)),
        (Server::Kafka, "connections to Kafka cut", Cut),
        (Server::Kafka, "Kafka silent (half-open)", Silent),
        (Server::Kafka, "Kafka 50 ms away", Slow(far)),
    ] {
        network(&servers, to, fault, how).await?;
    }
    Ok(())
}

/// Ten minutes (or `MINOS_SOAK` seconds): a kill every 20 s, constant load. `scripts/soak` runs it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes: scripts/soak"]
async fn a_soak_ends_with_every_account_balanced() -> Result<()> {
    let seconds = std::env::var("MINOS_SOAK")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(600);
    let servers = Servers::start().await?;
    tell(&heading());
    let mut bank = Bank::start(bank(&servers).await?, 2).await?;
    let load = Load::start(&bank.doors).await?;
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut kills = 0;
    let mut every = tokio::time::interval(Duration::from_secs(20));
    every.tick().await;
    while tokio::time::Instant::now() < end {
        every.tick().await;
        bank.replace(kills % 2, "KILL").await?;
        load.more(1).await?;
        kills += 1;
    }
    bank.end(load, &format!("soak of {seconds} s, {kills} kills"))
        .await
}
