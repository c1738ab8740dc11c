//! How a connection is made.

use std::{
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::{Instant, sleep, timeout};

use super::{Options, epoch, fault, names::Schema};
use crate::store::{Error, Result};

/// How long the server may take to let somebody in.
const DOOR: Duration = Duration::from_secs(10);

/// Makes connections that are set up alike.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) schema: Schema,
    to: PgConnectOptions,
    pub(super) pooled: bool,
    allow_restored: bool,
    /// Whether the rows were restored into another server, and nobody has allowed to go on.
    held: AtomicBool,
}

impl Connector {
    pub(super) fn new(url: &str, options: &Options) -> Result<Self> {
        let (url, pooled) = without_own_options(url)?;
        // The text of the error may quote the URL, and with it a password.
        let wrong = |_| Error::Unsupported("this is no URL of PostgreSQL".to_owned());
        let to = PgConnectOptions::from_str(&url).map_err(wrong)?;
        let to = to
            .application_name(&options.application)
            .statement_cache_capacity(200)
            .disable_statement_logging();
        let pooled = pooled || options.pgbouncer;
        let to = if pooled {
            // A pooler hands every transaction to another session: what is set for a session is lost or lent on.
            to.extra_float_digits(None)
        } else {
            let millis = |d: Duration| d.as_millis().to_string();
            to.options([
                ("statement_timeout", millis(options.statement_timeout)),
                (
                    "idle_in_transaction_session_timeout",
                    millis(options.idle_timeout),
                ),
                ("lock_timeout", millis(options.lock_timeout)),
                ("enable_seqscan", "off".to_owned()),
                ("jit", "off".to_owned()),
                ("timezone", "UTC".to_owned()),
            ])
        };
        Ok(Self {
            schema: Schema::new(&options.schema)?,
            to,
            pooled,
            allow_restored: options.allow_restored,
            held: AtomicBool::new(false),
        })
    }

    /// A connection of which only the server is known: the tables may be missing.
    pub(super) async fn plain(&self) -> Result<PgConnection> {
        let connected = timeout(DOOR, PgConnection::connect_with(&self.to)).await;
        let connection = match connected {
            Ok(connection) => connection,
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        };
        connection.map_err(|e| self.explain(e))
    }

    /// A connection to a server that is known to be the one that wrote the rows, or whose epoch was raised; and the
    /// epoch.
    pub(super) async fn connect(&self) -> Result<(PgConnection, i64)> {
        let mut connection = self.plain().await?;
        let epoch = self.check(&mut connection).await?;
        Ok((connection, epoch))
    }

    /// The same; a server that is away is waited for, because it may only restart.
    pub(super) async fn connect_patiently(
        &self,
        patience: Duration,
    ) -> Result<(PgConnection, i64)> {
        patiently(patience, || self.connect()).await
    }

    /// Looks whether the server is still the one that wrote last, and answers the epoch.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<i64> {
        let checked = epoch::check(connection, &self.schema, self.allow_restored).await;
        let epoch = checked.map_err(forgetful)?;
        self.held.store(epoch.held, Ordering::Relaxed);
        Ok(epoch.number)
    }

    /// Refuses what would publish again.
    pub(super) fn refuse_if_held(&self) -> Result<()> {
        if self.held.load(Ordering::Relaxed) {
            return Err(Error::Unavailable(HELD.into()));
        }
        Ok(())
    }

    pub(super) fn release(&self) {
        self.held.store(false, Ordering::Relaxed);
    }

    /// A connection that hears notifications.
    pub(super) async fn listener(&self) -> Result<PgListener> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(DOOR)
            .connect_lazy_with(self.to.clone());
        PgListener::connect_with(&pool)
            .await
            .map_err(|e| self.explain(e))
    }

    /// Where it connects to, without a password.
    fn place(&self) -> String {
        let database = self.to.get_database().unwrap_or("(default)");
        match self.to.get_socket() {
            Some(socket) => format!("`{database}` at {}", socket.display()),
            None => format!(
                "`{database}` at {}:{}",
                self.to.get_host(),
                self.to.get_port()
            ),
        }
    }

    fn explain(&self, error: sqlx::Error) -> Error {
        let place = self.place();
        let text = error.to_string();
        match fault::code(&error).as_deref() {
            Some("3D000") => Error::Unsupported(format!(
                "there is no database {place}; make it (`createdb`), the tables follow by themselves"
            )),
            Some("28P01" | "28000") => {
                Error::Unsupported(format!("the database {place} lets nobody in: {text}"))
            }
            _ if text.contains("unsupported startup parameter") => Error::Unsupported(format!(
                "{place} is a pooler that does not hand on session settings; add `?pgbouncer=true` to the URL (it \
                 takes PgBouncer 1.21 or newer with `max_prepared_statements`)"
            )),
            Some(_) => fault::explain(error),
            None => Error::Unavailable(format!("{place}: {text}").into()),
        }
    }
}

/// Tries again and again while the server is away or starts.
pub(super) async fn patiently<T, F>(patience: Duration, attempt: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let until = Instant::now() + patience;
    let mut pause = Duration::from_millis(50);
    loop {
        match attempt().await {
            Err(Error::Unavailable(cause)) if Instant::now() + pause < until => {
                tracing::warn!(error = %cause, "the database is away; trying again");
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            outcome => return outcome,
        }
    }
}

/// A pooler that hands statements to a session that does not know them, or that knows another one by that name.
fn forgetful(error: Error) -> Error {
    let cause = match &error {
        Error::Backend(cause) => cause.downcast_ref::<sqlx::Error>().and_then(fault::code),
        _ => None,
    };
    match cause.as_deref() {
        Some("26000" | "42P05") => {
            let text = "the pooler does not keep prepared statements apart: PgBouncer 1.21 or newer does, with \
                        `max_prepared_statements` above zero";
            Error::Unsupported(text.to_owned())
        }
        _ => error,
    }
}

const HELD: &str = "the rows were restored into another server: what they sent may have been sent by the old one, too; \
                    stop the old one, then allow it with `database.allow_restored = true`";

/// The URL without what only we understand.
fn without_own_options(url: &str) -> Result<(String, bool)> {
    let Some((base, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), false));
    };
    let mut pooled = false;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("pgbouncer", "true")) => pooled = true,
            Some(("pgbouncer", "false")) => pooled = false,
            Some(("pgbouncer", _)) => {
                let text = "`pgbouncer` in the URL is true or false".to_owned();
                return Err(Error::Unsupported(text));
            }
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", rest.join("&"))
    };
    Ok((url, pooled))
}
