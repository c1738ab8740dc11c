//! Faults of instances, servers, and networks under load: what each effect lost or doubled.

use examples_client::Result;

use crate::{
    child::Services,
    load::{Doors, Load},
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
        for n in 0..instances {
            let services = Services::running(&bank.stack, "accounts,audit").await?;
            bank.doors.open(n, &services);
            bank.instances.push(services);
        }
        Ok(bank)
    }

    /// Kills an instance and starts it again.
    async fn replace(&mut self, n: usize) -> Result<()> {
        self.doors.close(n);
        self.instances[n].signal("KILL").await?;
        self.instances[n].wait().await?;
        self.instances[n] = Services::running(&self.stack, "accounts,audit").await?;
        self.doors.open(n, &self.instances[n]);
        Ok(())
    }

    /// Counts, and counts again after an orderly stop.
    async fn end(mut self, load: Load, fault: &str) -> Result<()> {
        let done = load.finish().await?;
        done.count(&self.stack).await?.report(fault, &self.stack)?;
        for services in &mut self.instances {
            services.signal("TERM").await?;
            assert_eq!(services.wait().await?, Some(0));
        }
        done.count(&self.stack).await?.check()
    }
}

async fn killed_by_turns(stack: Stack) -> Result<()> {
    let mut bank = Bank::start(stack, 2).await?;
    let load = Load::start(&bank.doors).await?;
    for n in 0..4 {
        load.more(100).await?;
        bank.replace(n % 2).await?;
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
    crate::load::tell(&crate::load::heading());
    killed_by_turns(Stack::embedded()?).await?;
    repeated(Stack::embedded()?).await
}
