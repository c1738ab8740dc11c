use std::{collections::BTreeSet, time::Duration};

use super::*;

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let variables = variables
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::from_parts(Some((FILE, file)), variables, Problems::default())
}

fn refused(file: &str, variables: &[(&str, &str)]) -> String {
    match load(file, variables) {
        Err(error) if error.kind() == Some(Kind::Config) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_reference_lists_every_key_with_its_default() {
    let text = include_str!("reference.toml");
    let config = Config::parse("reference.toml", text).unwrap();
    let defaults = Settings::default();
    let mut problems = Problems::default();
    let listed: BTreeSet<usize> = read::file("reference.toml", text, &mut problems)
        .iter()
        .map(|e| e.key)
        .collect();
    for (index, key) in KEYS.iter().enumerate() {
        assert!(listed.contains(&index), "`{}` is missing", key.path);
        let (in_file, in_code) = ((key.show)(&config.base), (key.show)(&defaults));
        assert_eq!(in_file, in_code, "`{}`", key.path);
        let (_, name) = key.path.split_once('.').unwrap();
        let line = format!("\n{name} = {in_code}\n");
        assert!(text.contains(&line), "`{}` is written otherwise", key.path);
    }
    assert_eq!(config.base, defaults);
}

#[test]
fn nothing_needs_to_be_written() {
    let foo = load("", &[]).unwrap().for_service("foo", 0);
    assert_eq!(foo.database.url.to_string(), "sqlite://data/foo.db");
    assert_eq!(foo.broker.url.to_string(), "local://data/broker.db");
    assert_eq!(foo.http.bind.to_string(), "127.0.0.1:4545");
    assert_eq!(foo.runtime.stop_grace, Duration::from_secs(5));
}

#[test]
fn every_key_has_a_variable_and_the_variable_wins() {
    for key in KEYS {
        let shown = (key.show)(&Settings::default());
        let variable = format!("MINOS_{}", key.variable());
        load("", &[(&variable, shown.trim_matches('"'))]).unwrap();
    }
    let file = "[http]\nbind = \"127.0.0.1:1\"\nworkers = 2\n";
    let config = load(file, &[("MINOS_HTTP_BIND", "0.0.0.0:80")]).unwrap();
    assert_eq!(config.base.http.bind.to_string(), "0.0.0.0:80");
    assert_eq!(config.base.http.workers, Some(2));
}

#[test]
fn what_is_said_for_one_service_wins_over_what_is_said_for_all() {
    let file = r#"
        http.bind = "127.0.0.1:1"
        [service.foo-bar.http]
        bind = "127.0.0.1:2"
        body_limit = 10
        [service.foo-bar.database]
        url = "sqlite://{service}/own.db"
    "#;
    let all = [("MINOS_HTTP_BIND", "127.0.0.1:3")];
    let foo = load(file, &all).unwrap().for_service("foo-bar", 5);
    assert_eq!(foo.http.bind.port, 2);
    assert_eq!(foo.http.body_limit, 10);
    assert_eq!(foo.database.url.to_string(), "sqlite://foo-bar/own.db");
    let one = [("MINOS_SERVICE_FOO_BAR_HTTP_BIND", "127.0.0.1:4")];
    let foo = load(file, &one).unwrap().for_service("foo-bar", 5);
    assert_eq!(foo.http.bind.port, 4);
    assert_eq!(
        load(file, &one)
            .unwrap()
            .for_service("bar", 1)
            .http
            .bind
            .port,
        2
    );
}

#[test]
fn the_nth_service_gets_the_nth_port() {
    let config = load("", &[]).unwrap();
    let ports: Vec<u16> = config
        .for_services(&["foo", "bar", "baz"])
        .unwrap()
        .iter()
        .map(|s| s.http.bind.port)
        .collect();
    assert_eq!(ports, [4545, 4546, 4547]);
    let config = Config::in_memory()
        .set_for("bar", "http.bind", "[::1]:99")
        .unwrap();
    let all = config.for_services(&["foo", "bar"]).unwrap();
    assert_eq!((all[0].http.bind.port, all[1].http.bind.port), (0, 99));
}

#[test]
fn all_problems_come_at_once_each_with_place_and_remedy() {
    let file = "\
[http]
bnd = \"127.0.0.1:1\"
body_limit = \"1MB\"
[database]
url = \"mysql://joe:secret@localhost/foo\"
[databse]
url = \"memory://\"
";
    let text = refused(
        file,
        &[("MINOS_HTTP_WORKERS", "many"), ("MINOS_BROKER_UL", "x")],
    );
    for part in [
        "6 problems",
        "minos.toml:2: unknown key `bnd` in `[http]`; did you mean `bind`?",
        "minos.toml:3: `http.body_limit` = \"1MB\": write a number of bytes",
        "minos.toml:5: `database.url` = \"mysql://joe:***@localhost/foo\": this build has no support for `mysql`",
        "minos.toml:6: unknown section `[databse]`; did you mean `database`?",
        "MINOS_HTTP_WORKERS: `http.workers` = \"many\": write a whole number from 1 to 512, or \"auto\"",
        "MINOS_BROKER_UL: no key is called so; did you mean `MINOS_BROKER_URL`?",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn broken_toml_is_named_by_its_line() {
    let text = refused("[http]\nbind = \n", &[]);
    assert!(text.contains("minos.toml:2: this is not TOML"), "{text}");
}

#[test]
fn a_key_in_the_wrong_place_names_the_right_one() {
    let text = refused("bind = \"x\"", &[]);
    assert!(text.contains("`bind`; write it under `[http]`"), "{text}");
    let text = refused("[database]\nbind = \"x\"", &[]);
    assert!(
        text.contains("`bind` in `[database]`; write it under `[http]`"),
        "{text}"
    );
    let text = refused("[foo.http]\nbind = \"x\"", &[]);
    assert!(text.contains("write `[service.foo.http]`"), "{text}");
    let text = refused("http = 4545", &[]);
    assert!(
        text.contains("`http` is a section; write `[http]`"),
        "{text}"
    );
    let text = refused("[service]\nfoo = 1", &[]);
    assert!(text.contains("write `[service.foo.http]`"), "{text}");
    let text = refused("[service.foo.log]\nlevel = \"info\"", &[]);
    assert!(
        text.contains("`log.level` is one for all services"),
        "{text}"
    );
    let text = refused("", &[("MINOS_SERVICE_FOO_LOG_LEVEL", "info")]);
    assert!(text.contains("set MINOS_LOG_LEVEL"), "{text}");
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    for (file, key) in [
        ("http.bind = 4545", "http.bind"),
        ("http.workers = 0", "http.workers"),
        ("http.workers = 1.5", "http.workers"),
        (
            "http.trust_identity_headers = 1",
            "http.trust_identity_headers",
        ),
        ("database.pool = -1", "database.pool"),
        ("runtime.stop_grace = 5", "runtime.stop_grace"),
        ("broker.url = [\"memory://\"]", "broker.url"),
        ("log.format = \"xml\"", "log.format"),
        ("log.level = \"minos=loud\"", "log.level"),
        (
            "runtime.concurrency = 99999999999999999999",
            "runtime.concurrency",
        ),
    ] {
        let text = refused(file, &[]);
        assert!(
            text.contains(&format!("minos.toml:1: `{key}` = ")),
            "{text}"
        );
        assert!(text.contains("write "), "{text}");
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    let others = [
        ("MINOS_MACROS_DEBUG", "1"),
        ("MINOS_SERVICE_HOST", "10.0.0.1"),
        ("MINOS_SERVICE_PORT", "80"),
        ("MINOS_SERVICE_PORT_HTTP", "80"),
        ("MINOS_PORT", "tcp://10.0.0.1:80"),
        ("MINOS_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("MINOS_HTTP_SERVICE_HOST", "10.0.0.1"),
        ("MINOS_HTTP_PORT", "tcp://10.0.0.1:80"),
        ("MINOS_CONFIG", "minos.toml"),
        ("HTTP_BIND", "nonsense"),
    ];
    load("", &others).unwrap();
    let text = refused("", &[("MINOS_HTTP_ADDRESS", "x")]);
    assert!(text.contains("there is `MINOS_HTTP_BIND`"), "{text}");
}

#[test]
fn services_that_are_in_each_others_way_are_refused() {
    let config = load("database.url = \"sqlite://all.db\"", &[]).unwrap();
    let text = config
        .for_services(&["foo", "bar"])
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("`foo` and `bar` would share `database.url`"),
        "{text}"
    );

    let config = Config::in_memory();
    let config = config.set("http.bind", "127.0.0.1:80").unwrap();
    let config = config.set_for("foo", "http.bind", "127.0.0.1:81").unwrap();
    let text = config
        .for_services(&["foo", "bar"])
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("both listen on `http.bind` = \"127.0.0.1:81\""),
        "{text}"
    );

    let config = Config::in_memory()
        .set("http.bind", "127.0.0.1:65535")
        .unwrap();
    let text = config
        .for_services(&["foo", "bar"])
        .unwrap_err()
        .to_string();
    assert!(text.contains("above the last port"), "{text}");
}

#[test]
fn settings_of_a_service_that_is_not_there_are_refused() {
    let config = load("[service.fooo.http]\nworkers = 1", &[]).unwrap();
    let text = config.for_services(&["foo"]).unwrap_err().to_string();
    assert!(
        text.contains("minos.toml:2: no service `fooo` is started; did you mean `foo`?"),
        "{text}"
    );
}

#[test]
fn code_can_set_what_the_file_can() {
    let config = Config::default().set("broker.url", "memory://").unwrap();
    assert_eq!(config.settings().broker.url, BrokerUrl::Memory);
    let text = Config::default()
        .set("http.bin", "x")
        .unwrap_err()
        .to_string();
    assert!(text.contains("did you mean `http.bind`?"), "{text}");
    let text = Config::default()
        .set("http.bind", "x")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("in code: `http.bind` = \"x\": write `host:port`"),
        "{text}"
    );
    assert!(
        Config::default()
            .set_for("foo", "log.level", "info")
            .is_err()
    );
}

proptest::proptest! {
    #[test]
    fn no_file_and_no_variable_is_too_much(text in ".*", name in "[A-Z_]*", value in ".*") {
        let file = format!("[http]\nbind = {text}");
        let variable = format!("MINOS_{name}");
        let _ = (load(&text, &[(&variable, &value)]), load(&file, &[]));
        for key in KEYS {
            let _ = Config::default().set(key.path, &value);
        }
    }
}
