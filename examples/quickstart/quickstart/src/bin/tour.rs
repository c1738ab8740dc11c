//! Makes every call of the README against running services, prints what comes back, and checks it.
//!
//! `tour http://127.0.0.1:4545 http://127.0.0.1:4546` (those of `foo` and of `foobar`); `scripts/run --tour` starts
//! the services, runs this, and stops them.

use std::process::ExitCode;

use examples_client::{Answer, Client, Result};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut client = |default: &str| {
        let base = arguments.next().unwrap_or_else(|| default.to_owned());
        Client::new(base.trim_end_matches('/'))
    };
    let mut tour = Tour {
        foo: client("http://127.0.0.1:4545"),
        foobar: client("http://127.0.0.1:4546"),
        checks: 0,
    };
    match tour.run().await {
        Ok(()) => {
            println!("\n{} checks hold.", tour.checks);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("\nThe tour failed: {e}");
            ExitCode::FAILURE
        }
    }
}

struct Tour {
    foo: Client,
    foobar: Client,
    checks: u32,
}

impl Tour {
    async fn run(&mut self) -> Result<()> {
        let (foo, foobar) = (self.foo.clone(), self.foobar.clone());
        // The services may have been started a moment ago.
        chapter("Both services are ready");
        for service in [&foo, &foobar] {
            let health = until(service, "/system/health", |a| a.status == 200).await?;
            self.check("it says `ready`", &health, health.body["ready"] == true)?;
        }
        let path = self.create(&foo).await?;
        self.saga_that_completes(&foo, &foobar, &path).await?;
        self.saga_that_is_undone(&foo, &path).await?;
        self.change(&foo, &path).await?;
        self.refusals(&foo, &foobar).await?;
        self.end(&foo, &path).await
    }

    async fn create(&mut self, foo: &Client) -> Result<String> {
        chapter("A foo is created, and its view is built by the event");
        let created = post(foo, "/foos", json!({ "bar": "x" })).await?;
        self.check("200", &created, created.status == 200)?;
        let path = format!("/foos/{}", created.text("uuid"));
        let view = until(foo, &path, |a| a.status == 200).await?;
        let expected =
            json!({ "uuid": created.body["uuid"], "version": 1, "bar": "x", "foobar": null });
        self.check("the view of `FooCreated`", &view, view.body == expected)?;
        let all = get(foo, "/foos").await?;
        let listed = all.body.as_array().is_some_and(|a| a.contains(&expected));
        self.check("the list has it", &all, listed)?;
        Ok(path)
    }

    async fn saga_that_completes(
        &mut self,
        foo: &Client,
        foobar: &Client,
        path: &str,
    ) -> Result<()> {
        chapter("A saga creates a foobar in the other service and enters it into the foo");
        let saga = self.start_saga(foo, path).await?;
        let ended = until(foo, &saga, has_ended).await?;
        let completed = ended.text("status") == "completed";
        self.check("`completed`", &ended, completed)?;
        let view = until(foo, path, |a| a.body["foobar"].is_string()).await?;
        self.check("the foo refers to it", &view, view.body["version"] == 2)?;
        let created = format!("/foobars/{}", view.text("foobar"));
        let created = until(foobar, &created, |a| a.status == 200).await?;
        let expected = json!({ "uuid": view.body["foobar"], "number": 56, "text": "hello" });
        self.check("number 56 and the text", &created, created.body == expected)?;
        let told = until(foo, &format!("{path}/foobar"), |a| a.status == 200).await?;
        let text = told.text("text") == "hello";
        self.check("`foo` read the event of `foobar`", &told, text)
    }

    async fn saga_that_is_undone(&mut self, foo: &Client, path: &str) -> Result<()> {
        chapter(
            "The same again: `foobar` refuses a text twice, so the saga ends undone, and says why",
        );
        let saga = self.start_saga(foo, path).await?;
        let ended = until(foo, &saga, has_ended).await?;
        let compensated = ended.text("status") == "compensated";
        self.check("`compensated`", &ended, compensated)?;
        let refusal = json!({ "Exists": { "text": "hello" } });
        let typed = ended.body["error"]["error"] == refusal;
        self.check("the typed error of the refusal", &ended, typed)
    }

    async fn start_saga(&mut self, foo: &Client, path: &str) -> Result<String> {
        let uuid = path.trim_start_matches("/foos/");
        let content = json!({ "uuid": uuid, "something": "hello" });
        let accepted = post(foo, "/foos/add-foobar", content).await?;
        self.check("202", &accepted, accepted.status == 202)?;
        Ok(format!("/system/sagas/{}", accepted.text("saga")))
    }

    async fn change(&mut self, foo: &Client, path: &str) -> Result<()> {
        chapter("A change of one field reaches the handler of that field, with nothing else in it");
        let changed = post(foo, path, json!({ "bar": "y" })).await?;
        self.check("204", &changed, changed.status == 204)?;
        let view = until(foo, path, |a| a.body["bar"] == "y").await?;
        let kept = view.body["foobar"].is_string();
        self.check("the view has it, and the rest", &view, kept)?;
        let history = get(foo, &format!("{path}/bars")).await?;
        // The saga changed `foobar`, at version 2: that is not in here.
        let expected = json!([{ "version": 3, "diff": { "bar": "y" } }]);
        let exact = history.body["changes"] == expected;
        self.check("`FooUpdated.bar` once, with `bar` alone", &history, exact)
    }

    async fn refusals(&mut self, foo: &Client, foobar: &Client) -> Result<()> {
        chapter("What does not fit is refused, as a problem document that names the place");
        let wrong = post(foo, "/foos", json!({ "bar": 5 })).await?;
        self.problem(&wrong, 400)?;
        let place = wrong.text("pointer") == "/bar";
        self.check("it points at `/bar`", &wrong, place)?;
        let wrong = get(foo, "/foos/seven").await?;
        self.problem(&wrong, 400)?;
        let nobody = "00000000-0000-7000-8000-000000000000";
        let absent = get(foo, &format!("/foos/{nobody}")).await?;
        self.problem(&absent, 404)?;
        let absent = json!({ "uuid": nobody, "something": "hello" });
        let absent = post(foo, "/foos/add-foobar", absent).await?;
        self.problem(&absent, 404)?;
        let taken = json!({ "number": 1, "text": "hello" });
        let taken = post(foobar, "/foobars", taken).await?;
        self.problem(&taken, 409)?;
        let words = taken.text("detail") == r#"a foobar saying "hello" exists already"#;
        self.check("in the words of the contract", &taken, words)?;
        let nothing = get(foo, "/nothing").await?;
        self.problem(&nothing, 404)
    }

    async fn end(&mut self, foo: &Client, path: &str) -> Result<()> {
        chapter("A foo is deleted");
        let deleted = delete(foo, path).await?;
        self.check("204", &deleted, deleted.status == 204)?;
        let gone = until(foo, path, |a| a.status != 200).await?;
        self.problem(&gone, 404)
    }

    fn problem(&mut self, answer: &Answer, status: u16) -> Result<()> {
        let what = format!("{status}, as a problem document");
        let holds = answer.status == status
            && answer.media_type == "application/problem+json"
            && answer.body["status"] == status;
        self.check(&what, answer, holds)
    }

    fn check(&mut self, what: &str, answer: &Answer, holds: bool) -> Result<()> {
        if !holds {
            return Err(
                format!("expected: {what}; got {answer} as {:?}", answer.media_type).into(),
            );
        }
        self.checks += 1;
        println!("     ok: {what}");
        Ok(())
    }
}

fn has_ended(saga: &Answer) -> bool {
    ["completed", "compensated", "stuck"].contains(&saga.text("status"))
}

fn chapter(title: &str) {
    println!("\n== {title}");
}

fn ask(client: &Client, verb: &str, path: &str, body: Option<&Value>) {
    let body = body.map(|b| format!(" {b}")).unwrap_or_default();
    println!("  {verb} {}{path}{body}", client.base());
}

fn told(answer: Answer) -> Answer {
    println!("  -> {answer}");
    answer
}

async fn get(client: &Client, path: &str) -> Result<Answer> {
    ask(client, "GET", path, None);
    client.get(path).await.map(told)
}

/// What follows from events and sagas comes a moment later: asks until it is there.
async fn until(client: &Client, path: &str, wanted: fn(&Answer) -> bool) -> Result<Answer> {
    ask(client, "GET", path, None);
    client.until(path, wanted).await.map(told)
}

async fn post(client: &Client, path: &str, body: Value) -> Result<Answer> {
    ask(client, "POST", path, Some(&body));
    client.post(path, &body).await.map(told)
}

async fn delete(client: &Client, path: &str) -> Result<Answer> {
    ask(client, "DELETE", path, None);
    client.delete(path).await.map(told)
}
