//! What all services of a run have done, so that it can be compared with what those of another run have done.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    error::Result,
    payload::Payload,
    saga::run::Run,
    store::{Find, LetterFilter, Position, SagaFilter, SagaRow, Store, StoredEvent},
};

/// All of a store.
const ALL: u32 = u32::MAX;
/// How many bytes an id has as text.
const ID: usize = 36;

/// Each kind of effect with the contents of those there are, without what differs from run to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    of: BTreeMap<String, Vec<String>>,
}

/// How two runs differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) altered: u64,
    /// In words.
    pub(super) words: Vec<String>,
}

impl Effects {
    pub(super) fn count(&self) -> u64 {
        self.of.values().map(|all| all.len() as u64).sum()
    }

    /// What is wrong with another run, if this one is right.
    pub(super) fn compare(&self, other: &Self) -> Difference {
        let mut found = Difference::default();
        let names: BTreeSet<&String> = self.of.keys().chain(other.of.keys()).collect();
        for name in names {
            let (want, have) = (self.all(name), other.all(name));
            let (wanted, had) = (want.len() as u64, have.len() as u64);
            found.lost += wanted.saturating_sub(had);
            found.doubled += had.saturating_sub(wanted);
            if wanted != had {
                found
                    .words
                    .push(format!("{name} {had} times, not {wanted}"));
                continue;
            }
            let (missing, strange) = (without(want, have), without(have, want));
            found.altered += missing.len() as u64;
            let pairs = missing.iter().zip(&strange);
            found
                .words
                .extend(pairs.map(|(want, have)| format!("{name} is {have}, not {want}")));
        }
        found
    }

    fn all(&self, name: &str) -> &[String] {
        self.of.get(name).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, name: String, content: String) {
        self.of.entry(name).or_default().push(content);
    }
}

/// Those of one list that are not in the other.
fn without<'a>(list: &'a [String], other: &[String]) -> Vec<&'a String> {
    let mut left: HashMap<&String, usize> = HashMap::new();
    for content in other {
        *left.entry(content).or_default() += 1;
    }
    let is_there = |content: &&String| match left.get_mut(*content) {
        Some(n) if *n > 0 => {
            *n -= 1;
            true
        }
        _ => false,
    };
    let mut is_there = is_there;
    list.iter().filter(|c| !is_there(c)).collect()
}

/// What is in the stores of services, with the rows of these views.
pub(super) async fn effects(stores: &[(&str, &dyn Store)], views: &[String]) -> Result<Effects> {
    let mut found = Vec::new();
    for (service, store) in stores {
        found.push((
            *service,
            *store,
            events(*store).await?,
            sagas(*store).await?,
        ));
    }
    let mut named = Named::default();
    for (_, _, events, sagas) in &found {
        let streams = events.iter().map(|e| (e.stream.id, &e.stream.aggregate));
        named.kinds.extend(
            streams
                .chain(sagas.iter().map(|row| (row.id, &row.name)))
                .map(|(id, kind)| (id, kind.clone())),
        );
    }
    let mut effects = Effects::default();
    for (service, store, events, sagas) in &found {
        for event in events {
            let mut text = named.text();
            let of = text.words(&event.stream.to_string());
            let content = format!("{of} {} {}", event.version, text.json(&event.payload)?);
            effects.add(format!("{service}: event {}", event.name), content);
        }
        for row in sagas {
            let state = named.text().json(&Run::of(row)?.state)?;
            effects.add(
                format!("{service}: saga {} {}", row.name, row.status),
                state,
            );
        }
        for view in views {
            let find = Find {
                limit: ALL,
                ..Find::all(view)
            };
            for (key, row) in store.find_views(&find).await? {
                let mut text = named.text();
                let content = format!("{} {}", text.words(&key), text.json(&row)?);
                effects.add(format!("{service}: row of {view}"), content);
            }
        }
        for (_, letter) in store.dead_letters(&LetterFilter::all(ALL)).await? {
            let mut text = named.text();
            let payload = text.json(&letter.message.payload)?;
            let content = format!("{} {} {payload}", letter.message.name, letter.reason);
            effects.add(
                format!("{service}: dead letter of {}", letter.consumer),
                content,
            );
        }
    }
    Ok(effects)
}

async fn events(store: &dyn Store) -> Result<Vec<StoredEvent>> {
    let (mut all, mut at) = (Vec::new(), Position::START);
    loop {
        let events = store.events(at, 1000).await?;
        let Some(last) = events.last() else {
            return Ok(all);
        };
        at = last.position;
        all.extend(events);
    }
}

pub(super) async fn sagas(store: &dyn Store) -> Result<Vec<SagaRow>> {
    let filter = SagaFilter {
        limit: ALL,
        ..SagaFilter::default()
    };
    Ok(store.sagas(&filter).await?)
}

/// What ids belong to: an aggregate or a saga, by its name.
#[derive(Debug, Default)]
struct Named {
    kinds: HashMap<Uuid, String>,
}

impl Named {
    fn text(&self) -> Text<'_> {
        Text {
            named: self,
            seen: Vec::new(),
        }
    }
}

/// One content. Ids are other ones in each run: each is shown as what it is of, and as which of these in the order in
/// which they appear. Times are other ones, too.
#[derive(Debug)]
struct Text<'n> {
    named: &'n Named,
    seen: Vec<Uuid>,
}

impl Text<'_> {
    fn json(&mut self, payload: &Payload) -> Result<String> {
        Ok(self.value(payload.decode()?).to_string())
    }

    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.words(&text)),
            Value::Array(all) => all.into_iter().map(|v| self.value(v)).collect(),
            Value::Object(all) => {
                let fields = all.into_iter();
                let fields = fields.map(|(name, v)| (self.words(&name), self.value(v)));
                Value::Object(fields.collect())
            }
            other => other,
        }
    }

    fn words(&mut self, text: &str) -> String {
        if DateTime::parse_from_rfc3339(text).is_ok() {
            return "<time>".to_owned();
        }
        let (mut plain, mut rest) = (String::new(), text);
        while let Some(next) = rest.chars().next() {
            let id = rest.get(..ID).and_then(|id| Uuid::try_parse(id).ok());
            let length = if let Some(id) = id {
                plain.push_str(&self.id(id));
                ID
            } else {
                plain.push(next);
                next.len_utf8()
            };
            rest = &rest[length..];
        }
        plain
    }

    fn id(&mut self, id: Uuid) -> String {
        if !self.seen.contains(&id) {
            self.seen.push(id);
        }
        let kind = |id: &Uuid| self.named.kinds.get(id).map_or("id", String::as_str);
        let own = kind(&id);
        let before = self.seen.iter().take_while(|other| **other != id);
        match before.filter(|other| kind(other) == own).count() {
            0 => format!("<{own}>"),
            n => format!("<{own} {}>", n + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value) -> String {
        let known = [(Uuid::from_u128(1), "Foo"), (Uuid::from_u128(2), "Foo")];
        let kinds = known.map(|(id, kind)| (id, kind.to_owned())).into();
        let named = Named { kinds };
        let payload = Payload::encode(value).unwrap();
        named.text().json(&payload).unwrap()
    }

    #[test]
    fn ids_are_shown_as_what_they_belong_to() {
        let [one, two, three] = [1, 2, 3].map(|n| Uuid::from_u128(n).to_string());
        let shown = text(&serde_json::json!({
            "a": one, "b": [two, one], "c": format!("ö {three}."), "d": "2026-01-01T00:00:00Z", "e": 7,
        }));
        let plain = r#"{"a":"<Foo>","b":["<Foo 2>","<Foo>"],"c":"ö <id>.","d":"<time>","e":7}"#;
        assert_eq!(shown, plain);
    }

    #[test]
    fn what_is_lost_doubled_or_altered_is_told_apart() {
        let of = |all: &[(&str, &str)]| {
            let mut effects = Effects::default();
            for (name, content) in all {
                effects.add((*name).to_owned(), (*content).to_owned());
            }
            effects
        };
        let right = of(&[("a", "1"), ("b", "1"), ("c", "1"), ("c", "2")]);
        assert_eq!(right.compare(&right), Difference::default());
        let wrong = of(&[("b", "1"), ("b", "1"), ("c", "2"), ("c", "3")]);
        let found = right.compare(&wrong);
        assert_eq!((found.lost, found.doubled, found.altered), (1, 1, 1));
        let words = ["a 0 times, not 1", "b 2 times, not 1", "c is 3, not 1"];
        assert_eq!(found.words, words);
    }
}
