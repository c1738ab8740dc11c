//! A small HTTP client for the tests and tours of the examples: it sends, reads the answer, and waits for what
//! comes a moment later.

use std::{error::Error, fmt, time::Duration};

use reqwest::Method;
use serde_json::Value;

/// A problem of the client, or an answer that never came.
pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// How long a condition may take to hold.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const TICK: Duration = Duration::from_millis(20);

/// Talks to one service.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    headers: Vec<(&'static str, String)>,
}

/// What a service answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type, without its parameters.
    pub media_type: String,
    /// The body; `null` if there is none.
    pub body: Value,
}

impl Client {
    /// A client of the service at this address, such as `http://127.0.0.1:4545`.
    pub fn new(base: impl Into<String>) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: base.into(),
            headers: Vec::new(),
        }
    }

    /// With this header on every request.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request; a body goes as JSON.
    ///
    /// # Errors
    /// If the service cannot be reached, or answers something that is not JSON.
    pub async fn send(&self, verb: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(Method::from_bytes(verb.as_bytes())?, url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.timeout(PATIENCE).send().await?;
        let status = response.status().as_u16();
        let media_type = response
            .headers()
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.split(';').next())
            .unwrap_or_default()
            .to_owned();
        let text = response.text().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)
                .map_err(|e| format!("{verb} {path} answered {status} and no JSON ({e}): {text}"))?
        };
        Ok(Answer {
            status,
            media_type,
            body,
        })
    }

    /// `GET path`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, None).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("POST", path, Some(body)).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send("DELETE", path, None).await
    }

    /// Asks again until the answer is as wanted. Views and sagas follow a moment after what they follow from.
    ///
    /// # Errors
    /// The last answer, if none was in time; or as [`Client::send`].
    pub async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Result<Answer> {
        let started = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            let answer = self.get(path).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            if started.elapsed() > PATIENCE {
                return Err(format!(
                    "GET {path} still answers {answer} after {} s",
                    PATIENCE.as_secs()
                )
                .into());
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.body.is_null() {
            write!(f, " {}", self.body)?;
        }
        Ok(())
    }
}

impl Answer {
    /// A field of the body as text; empty if it is not there.
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}
