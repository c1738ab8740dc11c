//! A saga and the one that is its step, against every interleaving.

use super::*;

type Flows = BTreeMap<&'static str, Arc<dyn Flow>>;

/// `Outer` starts `Inner` (which does `A`) and then does `B`; `UndoInner` takes an `Inner` back that is done.
fn flows() -> Flows {
    let nested = |name| {
        let kind = TargetKind::Saga;
        What::Remote(Target { kind, name })
    };
    let mut begin = step("begin");
    begin.what = nested("Inner");
    begin.compensation = Some(target("UndoInner"));
    let outer = TestFlow {
        name: "Outer",
        ..TestFlow::of([begin, step("B")])
    };
    let inner = TestFlow {
        name: "Inner",
        ..TestFlow::of([step("A")])
    };
    let all: [Arc<dyn Flow>; 2] = [Arc::new(outer), Arc::new(inner)];
    all.into_iter().map(|flow| (flow.name(), flow)).collect()
}

/// Both sagas, the participant, and what is between them.
#[derive(Debug, Clone)]
struct Pair {
    rows: BTreeMap<Uuid, SagaRow>,
    rest: World,
}

impl Pair {
    fn start(flows: &Flows, timeouts: u32, copies: u32) -> Self {
        let clock = Ids(AtomicU64::new(1000));
        let env = Env {
            sagas: flows,
            ..env(&clock)
        };
        let id = Uuid::from_u128(7);
        let moved = machine::start(&*flows["Outer"], id, Payload::null(), &env).unwrap();
        let mut pair = Self {
            rows: BTreeMap::new(),
            rest: World {
                row: moved.row.clone(),
                ids: 0,
                flying: Vec::new(),
                inbox: BTreeMap::new(),
                effects: BTreeMap::new(),
                timeouts,
                copies,
                signals: Vec::new(),
                cancels: false,
            },
        };
        pair.take(moved, &clock);
        pair
    }

    fn take(&mut self, moved: Moved, clock: &Ids) {
        self.rows.insert(moved.row.id, moved.row);
        for (child, _) in moved.children {
            self.rows.insert(child.id, child);
        }
        self.rest.flying.extend(moved.messages);
        self.rest.ids = clock.0.load(Ordering::Relaxed);
    }

    fn moves(
        &mut self,
        flows: &Flows,
        id: Uuid,
        transition: impl FnOnce(&dyn Flow, SagaRow, &Env<'_>) -> Result<Moved>,
    ) {
        let clock = Ids(AtomicU64::new(self.rest.ids));
        let env = Env {
            sagas: flows,
            ..env(&clock)
        };
        let row = self.rows[&id].clone();
        let moved = transition(&*flows[row.name.as_str()], row, &env).unwrap();
        self.take(moved, &clock);
    }

    fn deliver(&mut self, flows: &Flows, message: &Message, refuses: &BTreeSet<&str>) {
        let (saga, headers) = (message.headers.saga.unwrap(), &message.headers);
        match (message.kind, message.topic.as_str()) {
            (Kind::Reply, _) => {
                let outcome = Outcome {
                    status: headers.status.unwrap(),
                    payload: Payload::null(),
                };
                let command = headers.command.unwrap();
                self.moves(flows, saga, |flow, row, env| {
                    machine::reply(flow, row, command, &outcome, env)
                });
            }
            (Kind::Void, "s.replies") => self.moves(flows, saga, machine::call_off),
            _ => self.rest.participant(message, refuses),
        }
    }

    fn due(&mut self, flows: &Flows, id: Uuid) {
        let now = DateTime::UNIX_EPOCH;
        let row = self.rows.get_mut(&id).unwrap();
        let mut run = Run::of(row).unwrap();
        for execution in &mut run.executions {
            execution.due_at = execution.due_at.map(|_| now);
        }
        row.body = run.body().unwrap();
        self.moves(flows, id, |flow, row, env| {
            machine::due(flow, row, None, env)
        });
    }

    fn key(&self) -> String {
        let rows = self.rows.values();
        let rows = rows.map(|r| format!("{} {} {:?} {:?}", r.id, r.status, r.body, r.due_at));
        anonymous(&format!(
            "{} {}",
            self.rest.text(),
            rows.collect::<String>()
        ))
    }

    fn ended(&self) -> bool {
        let open = |row: &SagaRow| ["running", "compensating"].contains(&row.status.as_str());
        self.rest.flying.is_empty() && !self.rows.values().any(open)
    }

    /// How both ended, if that fits what happened.
    fn check(&self) -> String {
        let of = |name: &str| {
            let row = self.rows.values().find(|r| r.name == name);
            row.map_or("", |r| r.status.as_str())
        };
        let effect = |name: &str| self.rest.effect(name);
        for (name, back) in [("A", "UndoA"), ("B", "UndoB")] {
            let (did, undid) = (effect(name), effect(back));
            assert!((0..=1).contains(&did) && undid <= did, "{name}: {self:#?}");
        }
        let inner = effect("A") - effect("UndoA");
        let outer = effect("B") - effect("UndoB");
        match (of("Outer"), of("Inner")) {
            ("completed", "completed") => assert_eq!((inner, outer), (1, 1), "{self:#?}"),
            // The step is taken back as a whole.
            ("compensated", "completed") => {
                assert_eq!((inner, effect("UndoInner")), (1, 1), "{self:#?}");
            }
            ("compensated", "compensated") => {
                assert_eq!((inner, effect("UndoInner")), (0, 0), "{self:#?}");
            }
            _ => panic!("{self:#?}"),
        }
        assert!(effect("UndoInner") <= 1, "{self:#?}");
        format!("{} {}", of("Outer"), of("Inner"))
    }
}

/// Walks through every interleaving; answers how both ended, and the number of states.
fn walk(refuses: &[&str], timeouts: u32, copies: u32) -> (BTreeSet<String>, usize) {
    let (flows, refuses) = (flows(), refuses.iter().copied().collect());
    let mut todo = vec![Pair::start(&flows, timeouts, copies)];
    let (mut seen, mut ends) = (HashSet::new(), BTreeSet::new());
    while let Some(pair) = todo.pop() {
        if !seen.insert(pair.key()) {
            continue;
        }
        if pair.ended() {
            ends.insert(pair.check());
            continue;
        }
        let before = todo.len();
        for i in 0..pair.rest.flying.len() {
            let mut next = pair.clone();
            let message = next.rest.flying.remove(i);
            next.deliver(&flows, &message, &refuses);
            todo.push(next.clone());
            if next.rest.copies > 0 {
                next.rest.copies -= 1;
                next.rest.flying.push(message);
                todo.push(next);
            }
        }
        let forced = pair.rest.flying.is_empty();
        let due = pair.rows.values().filter(|r| r.due_at.is_some());
        for row in due.filter(|_| forced || pair.rest.timeouts > 0) {
            let mut next = pair.clone();
            next.rest.timeouts = next.rest.timeouts.saturating_sub(1);
            next.due(&flows, row.id);
            todo.push(next);
        }
        assert!(todo.len() > before, "it never ends: {pair:#?}");
    }
    (ends, seen.len())
}

#[test]
fn both_end_whole_or_undone_in_every_interleaving() {
    let (reached, states) = walk(&[], 1, 1);
    println!("{states} states");
    let all = [
        "completed completed",
        "compensated completed",
        "compensated compensated",
    ];
    assert_eq!(reached, ends(&all));
}

#[test]
fn one_that_is_refused_undoes_the_other() {
    let (reached, _) = walk(&["A"], 1, 1);
    assert_eq!(reached, ends(&["compensated compensated"]));
    let (reached, states) = walk(&["B"], 1, 1);
    println!("{states} states");
    let undone = ["compensated completed", "compensated compensated"];
    assert_eq!(reached, ends(&undone));
}

#[test]
fn a_saga_that_is_called_off_is_asked_again_however_long_it_takes() {
    let flows = flows();
    let clock = Ids(AtomicU64::new(1000));
    let mut env = Env {
        sagas: &flows,
        ..env(&clock)
    };
    let outer = &*flows["Outer"];
    let started = machine::start(outer, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let child = started.children[0].0.id;
    let (wish, by) = (machine::Wish::Cancel, operate::ALICE);
    let mut moved = machine::operate(outer, started.row, wish, by, &env).unwrap();
    let mut pauses = Vec::new();
    for _ in 0..30 {
        assert_eq!(moved.row.status, "running");
        let asked = &moved.messages[0];
        assert_eq!((asked.kind, asked.headers.saga), (Kind::Void, Some(child)));
        let due = moved.row.due_at.expect("it is asked again");
        pauses.push(due - env.now);
        env.now = due;
        moved = machine::due(outer, moved.row, None, &env).unwrap();
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(pauses[0] < chrono::TimeDelta::minutes(2), "{pauses:?}");
    assert!(pauses[29] <= chrono::TimeDelta::hours(2), "{pauses:?}");
    // An ended one says so each time.
    let inner = &*flows["Inner"];
    let row = started.children[0].0.clone();
    let ended = answer(inner, row, "A", Status::Done, &env);
    let told = machine::call_off(inner, ended.row, &env).unwrap();
    assert_eq!(told.messages[0].headers.status, Some(Status::Done));
    let moved = answer(outer, moved.row, "begin", Status::Done, &env);
    assert_eq!(names(&moved), ["UndoInner"]);
}

#[test]
fn a_saga_that_was_undone_counts_as_what_undid_it() {
    let mut flows = flows();
    let begin = {
        let mut outer = flows["Outer"].steps();
        outer[0].retry = 1;
        outer
    };
    let outer = TestFlow {
        name: "Outer",
        ..TestFlow::of(begin)
    };
    flows.insert("Outer", Arc::new(outer.clone()));
    let clock = Ids(AtomicU64::new(1000));
    let env = Env {
        sagas: &flows,
        ..env(&clock)
    };
    let started = machine::start(&outer, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    for (ended, again) in [(Status::Refused, false), (Status::Failed, true)] {
        let child = started.children[0].0.clone();
        let undone = answer(&*flows["Inner"], child, "A", ended, &env);
        assert_eq!(undone.row.status, "compensated");
        assert_eq!(undone.messages[0].headers.status, Some(ended));
        let moved = answer(&outer, started.row.clone(), "begin", ended, &env);
        let status = if again { "running" } else { "compensated" };
        assert_eq!(moved.row.status, status);
        assert_eq!(moved.row.due_at.is_some(), again);
    }
}
