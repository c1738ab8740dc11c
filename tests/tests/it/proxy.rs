//! A network that fails: a proxy that delays, cuts, and goes silent.

use std::{net::Ipv4Addr, time::Duration};

use examples_client::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// It works.
    Works,
    /// Each piece of data waits this long.
    Slow(Duration),
    /// It cuts every connection, the new ones too.
    Cut,
    /// It takes connections and data, and delivers nothing: the other side is half-open. What stood open before is
    /// lost when it works again.
    Silent,
}

/// A proxy between services and one server.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    task: Option<JoinHandle<()>>,
    listener: Option<TcpListener>,
}

impl Proxy {
    /// Takes a port; connections wait until the target is known.
    pub(crate) async fn bind() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self {
            port: listener.local_addr()?.port(),
            network: watch::Sender::new(Network::Works),
            task: None,
            listener: Some(listener),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Forwards to this `host:port`.
    pub(crate) fn forward(&mut self, target: &str) {
        let (target, network) = (target.to_owned(), self.network.clone());
        self.task = self.listener.take().map(|listener| {
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    if *network.borrow() != Network::Cut {
                        tokio::spawn(connection(client, target.clone(), network.subscribe()));
                    }
                }
            })
        });
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn connection(client: TcpStream, target: String, mut network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        _ = pump(from_client, to_server, network.clone()) => {}
        _ = pump(from_server, to_client, network.clone()) => {}
        _ = network.wait_for(|n| *n == Network::Cut) => {}
    }
}

/// Carries data one way until somebody closes.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        let now = *network.borrow();
        match now {
            Network::Works => {}
            Network::Slow(by) => tokio::time::sleep(by).await,
            Network::Cut => return Ok(()),
            Network::Silent => {
                // What was swallowed is missing from the stream: it ends with the silence.
                network.wait_for(|n| *n != Network::Silent).await.ok();
                return Ok(());
            }
        }
        to.write_all(&buffer[..n]).await?;
    }
}
