//! Listens, and stops without cutting anybody off.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{App as Actix, HttpServer, dev::ServerHandle, web};
use socket2::Socket;
use tokio::{
    net::{TcpListener, TcpSocket, lookup_host},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use super::{App, Shared, serve::serve};
use crate::{
    config::Bind,
    context::Slots,
    error::{Error, Failure, Kind, Result},
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long clients that keep asking are given to see `Connection: close` in an answer, before connections on
/// which nothing happens are closed under them.
const LAST_CALL: Duration = Duration::from_millis(250);

/// A door that is open.
#[derive(Debug)]
pub(crate) struct Server {
    local: SocketAddr,
    pub(super) shared: Arc<Shared>,
    handle: Handle,
    task: JoinHandle<io::Result<()>>,
    /// Whether the task has ended and was waited for.
    over: bool,
    connections: watch::Receiver<usize>,
    /// The sockets that the server listens on.
    sockets: Vec<Socket>,
}

/// [`ServerHandle`] with a `Debug`.
struct Handle(ServerHandle);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

/// Opens the door: from now on requests are answered.
///
/// # Errors
/// [`Kind::Config`] if it cannot listen where the settings say, [`Kind::Wiring`] if routes are in each other's way.
pub(crate) async fn bind(app: App) -> Result<Server> {
    let shared = Arc::new(Shared {
        table: super::routes::Table::new(&app.handlers)?,
        turns: Slots::default(),
        closing: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        app,
    });
    let listeners = listen(&shared.app.settings.bind).await?;
    let (count, connections) = watch::channel(0);
    let count = Arc::new(count);
    let data = web::Data::from(shared.clone());
    let mut server = HttpServer::new(move || {
        Actix::new()
            .app_data(data.clone())
            .default_service(web::to(serve))
    })
    .on_connect(move |_, extensions| {
        extensions.insert(Connection::new(&count));
    })
    .disable_signals()
    // `stop` knows when the last connection is closed and does not wait for this.
    .shutdown_timeout(3600);
    if let Some(workers) = shared.app.settings.workers {
        server = server.workers(workers);
    }
    let failed = |e: io::Error| bind_error(&shared.app.settings.bind, &e);
    let mut local = None;
    let mut sockets = Vec::new();
    for listener in listeners {
        let listener = listener.into_std().map_err(failed)?;
        local = local.or(listener.local_addr().ok());
        sockets.push(Socket::from(listener.try_clone().map_err(failed)?));
        server = server.listen(listener).map_err(failed)?;
    }
    let Some(local) = local else {
        let gone = io::Error::from(io::ErrorKind::AddrNotAvailable);
        return Err(failed(gone));
    };
    let server = server.run();
    let handle = Handle(server.handle());
    let task = shared.app.core.runtime.spawn(server);
    info!(service = shared.app.core.name, address = %local, "listening");
    Ok(Server {
        local,
        shared,
        handle,
        task,
        over: false,
        connections,
        sockets,
    })
}

impl Server {
    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns if the door closes by itself, with the reason; never while all is well.
    ///
    /// # Cancel safety
    /// It may be called again.
    pub(crate) async fn ended(&mut self) -> Failure {
        let failure = Failure::new(Kind::Internal, "the HTTP server ended");
        if self.over {
            return failure;
        }
        let ended = (&mut self.task).await;
        self.over = true;
        match ended {
            Ok(Ok(())) => failure,
            Ok(Err(e)) => failure.because(e),
            Err(e) => failure.because(e),
        }
    }

    /// Closes the door: no connection is accepted any more, requests that are in work are answered and their
    /// connections closed, and connections on which nothing happens are closed. What still runs after the grace
    /// period is cut off, and `false` is answered; a unit of work that was submitted is finished by the runtime even
    /// then.
    ///
    /// The order is what makes it smooth: a client that is told to close its connection connects again at once, so
    /// it must be refused by then. One that had connected and was not accepted yet is reset; nothing of what it asked
    /// was done.
    pub(crate) async fn stop(mut self, grace: Duration) -> bool {
        let deadline = Instant::now() + grace;
        self.shared.app.health.stop();
        self.refuse().await;
        self.shared.closing.store(true, Ordering::SeqCst);
        let _ = timeout(LAST_CALL.min(grace / 4), self.idle()).await;
        // This closes what is idle. It reports back at whole seconds only, so the connections are counted instead.
        drop(self.handle.0.stop(true));
        let done = async {
            self.idle().await;
            // A connection may still have slipped in: it begins nothing from now on, or it is waited for.
            self.shared.closed.store(true, Ordering::SeqCst);
            self.idle().await;
        };
        let clean = timeout_at(deadline, done).await.is_ok();
        if !clean {
            let open = *self.connections.borrow();
            warn!(
                open,
                "connections were cut off: they did not end within the grace period"
            );
        }
        // Dropping the server closes what is left.
        self.task.abort();
        let _ = self.ended().await;
        clean
    }

    /// From now on connections are refused.
    async fn refuse(&self) {
        // The server only stops to take connections, so they would still wait for it in the queue of the socket.
        self.handle.0.pause().await;
        // It passes that on to its own thread, which would complain about a socket that is shut.
        sleep(Duration::from_millis(2)).await;
        for socket in &self.sockets {
            if let Err(e) = socket.shutdown(Shutdown::Both) {
                // Not every system can; then connections are refused a little later.
                debug!(error = %e, "cannot shut a listening socket");
            }
        }
    }

    /// Returns once no connection is open.
    async fn idle(&self) {
        let mut connections = self.connections.clone();
        // An error means that the server is gone, and its connections with it.
        let _ = connections.wait_for(|open| *open == 0).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a connection as long as it lives.
struct Connection(Arc<watch::Sender<usize>>);

impl Connection {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Listens at every address that the host has.
async fn listen(bind: &Bind) -> Result<Vec<TcpListener>> {
    let failed = |e: io::Error| bind_error(bind, &e);
    let addresses = lookup_host((bind.host.as_str(), bind.port)).await.map_err(|e| {
        let text = format!(
            "`http.bind` = \"{bind}\": this machine does not know the host `{}`; write an address, such as \
             \"127.0.0.1:{}\"",
            bind.host, bind.port
        );
        Error::from(Failure::new(Kind::Config, text).because(e))
    })?;
    let (mut listeners, mut missing) = (Vec::new(), None);
    for address in addresses {
        match listen_at(address) {
            Ok(listener) => listeners.push(listener),
            // `localhost` may name an IPv6 address on a machine without IPv6.
            Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => missing = Some(e),
            Err(e) => return Err(failed(e)),
        }
    }
    match missing {
        Some(e) if listeners.is_empty() => Err(failed(e)),
        _ => Ok(listeners),
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart does not wait for connections of its predecessor to be forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_error(bind: &Bind, e: &io::Error) -> Error {
    let fix = match e.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use; stop who uses it, or write another port (0 takes any free one)"
        }
        io::ErrorKind::PermissionDenied => {
            "this process may not listen there; write a port above 1023"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; write one that it has, such as 127.0.0.1 or 0.0.0.0"
        }
        _ => "it is not possible to listen there; write another address",
    };
    let text = format!("`http.bind` = \"{bind}\": {fix}");
    Failure::new(Kind::Config, text)
        .because(e.to_string())
        .into()
}
