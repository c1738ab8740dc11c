//! What goes over the wire to PostgreSQL: round trips, counted where they are made.
//!
//! A client of PostgreSQL ends each request by `Sync` (or sends a `Query`) and waits for the answer: each is a round
//! trip. They are counted by what was bound before them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A way to a server on which round trips are counted.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    port: u16,
    trips: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// `SSLRequest`, which comes before everything else and is one message of eight bytes.
const TLS: u32 = 80_877_103;

impl Wire {
    /// Opens a way to this `host:port`; it ends with the process.
    pub(super) async fn to(server: String) -> crate::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let wire = Self {
            port: listener.local_addr()?.port(),
            trips: Arc::default(),
        };
        let counts = wire.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (counts, server) = (counts.clone(), server.clone());
                // Whoever talks through it sees that it is gone.
                tokio::spawn(async move { counts.carry(client, &server).await.ok() });
            }
        });
        Ok(wire)
    }

    /// The same URL by this way.
    pub(super) fn url(&self, url: &str) -> crate::Result<String> {
        let (user, rest) = url.split_once('@').ok_or("no user in the URL")?;
        let (_, database) = rest.split_once('/').ok_or("no database in the URL")?;
        Ok(format!("{user}@127.0.0.1:{}/{database}", self.port))
    }

    /// The round trips since this was asked last.
    pub(super) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.trips())
    }

    fn trips(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.trips.lock().unwrap_or_else(|e| e.into_inner())
    }

    async fn carry(&self, client: TcpStream, server: &str) -> crate::Result<()> {
        let server = TcpStream::connect(server).await?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let (from, mut back) = client.into_split();
        let (mut answers, to) = server.into_split();
        tokio::select! {
            ended = self.listen(from, to) => ended,
            ended = copy(&mut answers, &mut back) => Ok(ended.map(drop)?),
        }
    }

    /// Passes on what a client says, and counts.
    async fn listen(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> crate::Result<()> {
        let mut said: Vec<u8> = Vec::new();
        let mut begun = false;
        let mut statements: HashMap<Vec<u8>, String> = HashMap::new();
        let mut what = String::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let n = from.read(&mut chunk).await?;
            if n == 0 {
                return Ok(());
            }
            to.write_all(&chunk[..n]).await?;
            said.extend_from_slice(&chunk[..n]);
            // The first messages have no type.
            while let Some((kind, body)) = message(&said, begun) {
                let whole = body.end;
                let body = &said[body.start..body.end];
                match kind {
                    None => begun = body.get(..4) != Some(&TLS.to_be_bytes()),
                    Some(b'P') => {
                        let (name, sql) = split(body);
                        what = brief(split(sql).0);
                        statements.insert(name.to_vec(), what.clone());
                    }
                    Some(b'B') => {
                        let (_portal, rest) = split(body);
                        let name = split(rest).0;
                        what = statements.get(name).cloned().unwrap_or_default();
                    }
                    Some(b'Q') => *self.trips().entry(brief(split(body).0)).or_default() += 1,
                    Some(b'S') => *self.trips().entry(what.clone()).or_default() += 1,
                    _ => {}
                }
                said.drain(..whole);
            }
        }
    }
}

/// The type of the first message that came whole, and where its body is.
fn message(said: &[u8], typed: bool) -> Option<(Option<u8>, std::ops::Range<usize>)> {
    let skip = usize::from(typed);
    let length: [u8; 4] = said.get(skip..skip + 4)?.try_into().ok()?;
    let end = skip + u32::from_be_bytes(length) as usize;
    (said.len() >= end).then(|| (typed.then(|| said[0]), skip + 4..end))
}

/// A text up to its NUL, and what comes after.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// The beginning of a statement and the table it is about.
fn brief(sql: &[u8]) -> String {
    let sql = String::from_utf8_lossy(sql);
    let verb = sql.split_whitespace().next().unwrap_or("?").to_uppercase();
    let about = sql
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .find(|w| w.starts_with("minos_"));
    match about {
        Some(about) => format!("{verb} {about}"),
        None => sql.chars().take(40).collect(),
    }
}
