//! Two builds of a service at once: one does not know what the other one moves.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use super::{
    sagas::{Town, alice},
    *,
};
use crate::{
    health::Health,
    runtime::{
        Due, Keeper, Sagas, Stop,
        sagas::{Driven, drive, read_mail},
    },
    saga::{
        Flow, SagaId,
        run::{Run, Status as Where, Stored},
        toy::{House, Loan, elsewhere},
    },
    store::{SagaRow, UnitOfWork},
};

/// Nothing is known, or a saga of this name with other steps.
fn others() -> [BTreeMap<&'static str, Arc<dyn Flow>>; 2] {
    [BTreeMap::new(), elsewhere::sagas()]
}

impl Town {
    /// Changes a row behind everybody's back.
    async fn change(&self, id: Uuid, change: impl FnOnce(&mut SagaRow)) {
        let mut row = self.row(id).await;
        row.version += 1;
        change(&mut row);
        let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
        unit.sagas = vec![(row, Vec::new())];
        self.store.commit(unit).await.unwrap();
    }

    /// Brings what is sent to the sagas, by this build.
    async fn settle_once(&mut self, by: &Handler) {
        for (position, message) in self.store.outbox(self.sent, 100).await.unwrap() {
            self.sent = position;
            if message.topic == "s.replies" {
                let incoming = Incoming {
                    message: &message,
                    origin: Some(&PLACE),
                };
                by.deliver(incoming).await.unwrap();
            }
        }
    }

    async fn letters(&self) -> usize {
        let all = self.store.dead_letters(&LetterFilter::all(10)).await;
        all.unwrap().len()
    }
}

#[tokio::test]
async fn an_answer_that_another_build_takes_waits_for_the_one_that_knows_its_saga() {
    for other in others() {
        let mut town = Town::new();
        let other = town.build(other);
        let house = town.start(House::default()).await;
        let loan = town.child(house).await;
        town.signal(loan, "yes").await;
        town.settle_beside(&other).await;
        assert_eq!(town.status(loan).await, Where::Completed);
        assert_eq!(town.status(house).await, Where::Completed);
        let state: House = town.state(house).await;
        assert!(state.loan.unwrap().noted);
        assert_eq!(town.letters().await, 0);
    }
}

#[tokio::test]
async fn a_signal_and_a_void_that_another_build_takes_wait_for_the_one_that_knows_their_saga() {
    for other in others() {
        let mut town = Town::new();
        let other = town.build(other);
        town.event(1, 1).await;
        town.event(1, 2).await;
        let loan = SagaId::of::<Loan>(Uuid::from_u128(1)).saga;
        town.settle_beside(&other).await;
        assert_eq!(town.status(loan).await, Where::Completed);

        let house = town.start(House::default()).await;
        let loan = town.child(house).await;
        town.desk().cancel(house, &alice()).await.unwrap();
        town.settle_beside(&other).await;
        assert_eq!(town.status(loan).await, Where::Compensated);
        assert_eq!(town.status(house).await, Where::Compensated);
        assert_eq!(town.letters().await, 0);
    }
}

#[tokio::test]
async fn a_step_that_is_due_is_left_for_a_while_to_the_build_that_knows_it() {
    let town = Town::new();
    let other = town.build(elsewhere::sagas());
    let house = town.start(House::default()).await;
    // It was due long ago: nobody was there.
    town.change(house, |row| {
        let mut run = Run::of(row).unwrap();
        row.due_at = Some(SystemClock.now() - TimeDelta::hours(1));
        run.executions[0].due_at = row.due_at;
        row.body = run.body().unwrap();
    })
    .await;
    let row = town.row(house).await;
    drive(&other.core, row.clone(), false).await.unwrap();
    assert_eq!(town.row(house).await, row);
    // Whoever is asked to move it does not leave it stuck either.
    let desk = Sagas::new(other.core.clone());
    let refused = desk.cancel(house, &alice()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(Kind::Conflict));
    assert_eq!(town.row(house).await, row);
    // Nobody comes who knows it.
    drive(&other.core, town.row(house).await, true)
        .await
        .unwrap();
    assert_eq!(town.status(house).await, Where::Stuck);
    let row = town.desk().retry(house, &alice()).await.unwrap();
    assert_eq!(row.status, "running");
}

#[tokio::test]
async fn a_step_that_fails_elsewhere_turns_nothing_back_before_the_build_that_knows_what_was_done()
{
    let mut town = Town::new();
    let other = town.build(elsewhere::sagas());
    let own = town.handler.clone();
    let fails = House {
        fails: true,
        ..House::default()
    };
    let house = town.start(fails).await;
    let loan = town.child(house).await;
    town.signal(loan, "yes").await;
    drive(&own.core, town.row(loan).await, false).await.unwrap();
    town.settle_once(&own).await;
    let row = town.row(house).await;
    assert_eq!(Run::of(&row).unwrap().executions[0].step, "build");
    let left = drive(&other.core, row.clone(), false).await.unwrap();
    assert_eq!((left, town.row(house).await), (Driven::Left, row));
    town.settle().await;
    assert_eq!(town.status(house).await, Where::Compensated);
    assert!(town.state::<House>(house).await.returned);
}

/// What a saga is told by another build, and that for longer than anybody waits for the one that knows it.
#[tokio::test]
async fn what_waits_for_a_build_that_does_not_come_is_read_once_it_comes() {
    for other in others() {
        let mut town = Town::new();
        let other = town.build(other);
        let house = town.start(House::default()).await;
        let loan = town.child(house).await;
        town.signal(loan, "yes").await;
        let own = town.handler.clone();
        let due = town.store.due_sagas(SystemClock.now(), 10).await.unwrap();
        for row in due {
            drive(&own.core, row, false).await.unwrap();
        }
        assert_eq!(town.status(loan).await, Where::Completed);
        // Only the other build is there.
        town.handler = other.clone();
        town.settle_once(&other).await;
        assert_eq!(town.status(house).await, Where::Running);
        drive(&other.core, town.row(house).await, true)
            .await
            .unwrap();
        // It hurries nobody as long as nobody knows it.
        let row = town.row(house).await;
        assert_eq!((row.status.as_str(), row.due_at), ("stuck", None));
        read_mail(&other.core).await.unwrap();
        assert_eq!(town.row(house).await, row);
        town.handler = own;
        // What was read, and could not be taken, is taken by a retry; what was not read is read now.
        match other.core.sagas.contains_key("House") {
            true => drop(town.desk().retry(house, &alice()).await.unwrap()),
            false => {
                let (stop, keeper) = (
                    Stop::default(),
                    Keeper {
                        handler: town.handler.clone(),
                        health: Arc::new(Health::default()),
                        name: "keeper".to_owned(),
                        retention: Duration::from_secs(24 * 3600),
                    },
                );
                // It looks once.
                stop.stop();
                keeper.run(stop).await.unwrap();
            }
        }
        town.settle().await;
        assert_eq!(town.status(house).await, Where::Completed);
        let state: House = town.state(house).await;
        assert!(state.loan.is_some());
    }
}

#[tokio::test]
async fn what_is_told_after_the_end_by_a_build_that_does_not_know_the_saga_changes_nothing() {
    let mut town = Town::new();
    let other = town.build(BTreeMap::new());
    town.event(1, 1).await;
    let loan = SagaId::of::<Loan>(Uuid::from_u128(1)).saga;
    town.signal(loan, "yes").await;
    town.settle().await;
    assert_eq!(town.status(loan).await, Where::Completed);
    town.event(1, 2).await;
    town.settle_once(&other).await;
    drive(&other.core, town.row(loan).await, true)
        .await
        .unwrap();
    let row = town.row(loan).await;
    assert_eq!((row.status.as_str(), row.due_at), ("completed", None));
    assert_eq!(town.letters().await, 0);
}

/// Writes a field of a body.
fn set(row: &mut SagaRow, field: &str, value: &serde_json::Value) {
    let mut stored = Stored::of(row).unwrap();
    stored.put(field, value).unwrap();
    row.body = stored.body().unwrap();
}

#[tokio::test]
async fn what_a_newer_build_wrote_is_neither_moved_nor_lost() {
    let mut town = Town::new();
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    let of_a_newer = |row: &mut SagaRow| {
        row.due_at = Some(SystemClock.now());
        set(row, "format", &json!(1000));
        set(row, "novelty", &json!({ "not": "known" }));
        // It has kinds of things that this build cannot even read.
        set(row, "executions", &json!([{ "waiting": "for the moon" }]));
    };
    let before = town.row(loan).await.body;
    town.change(loan, of_a_newer).await;
    let row = town.row(loan).await;
    drive(&town.handler.core, row.clone(), false).await.unwrap();
    assert_eq!(town.row(loan).await, row);
    let refused = town.desk().cancel(loan, &alice()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(Kind::Conflict));
    town.desk().show(loan).await.unwrap();

    // It is called off.
    town.desk().cancel(house, &alice()).await.unwrap();
    let own = town.handler.clone();
    town.settle_once(&own).await;
    assert_eq!(town.letters().await, 0);
    let kept = town.row(loan).await;
    let novelty = Stored::of(&kept).unwrap().get("novelty");
    assert_eq!(novelty, Some(json!({ "not": "known" })));
    assert_eq!(kept.status, "running");
    // Nobody came: even so all is there.
    drive(&own.core, town.row(loan).await, true).await.unwrap();
    let stuck = town.row(loan).await;
    let stored = Stored::of(&stuck).unwrap();
    assert_eq!(stuck.status, "stuck");
    assert_eq!(stored.get("novelty"), Some(json!({ "not": "known" })));
    assert_eq!(stored.get::<Vec<Message>>("mail").unwrap().len(), 1);

    // As if the newer build had become this one.
    town.change(loan, |row| {
        let mail: serde_json::Value = stored.get("mail").unwrap();
        row.body = before;
        (row.status, row.due_at) = ("running".to_owned(), Some(SystemClock.now()));
        set(row, "mail", &mail);
    })
    .await;
    town.settle().await;
    assert_eq!(town.status(loan).await, Where::Compensated);
    assert_eq!(town.status(house).await, Where::Compensated);
}

/// Copies of a row that are due before all others.
async fn crowd(town: &Town, many: u128, template: &SagaRow) {
    let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
    for n in 0..many {
        let row = SagaRow {
            id: Uuid::from_u128(100 + n),
            version: 1,
            due_at: Some(SystemClock.now() - TimeDelta::minutes(1)),
            ..template.clone()
        };
        unit.sagas.push((row, Vec::new()));
    }
    town.store.commit(unit).await.unwrap();
}

/// Whether a saga that is due has its turn beside such a crowd, whose sagas stay as they are.
async fn has_its_turn_beside(many: u128, change: impl FnOnce(&mut SagaRow)) {
    let town = Town::new();
    let loan = town.start(Loan::default()).await;
    town.signal(loan, "yes").await;
    let mut template = town.row(loan).await;
    change(&mut template);
    crowd(&town, many, &template).await;
    let (stop, due) = (
        Stop::default(),
        Due {
            core: town.handler.core.clone(),
            health: Arc::new(Health::default()),
            name: "sagas".to_owned(),
            concurrency: 4,
        },
    );
    let runs = tokio::spawn(due.run(stop.clone()));
    for _ in 0..100 {
        if town.status(loan).await == Where::Completed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.stop();
    runs.await.unwrap().unwrap();
    assert_eq!(town.status(loan).await, Where::Completed);
    assert_eq!(town.row(Uuid::from_u128(100)).await.version, 1);
}

#[tokio::test]
async fn sagas_that_nobody_here_knows_do_not_keep_others_from_their_turn() {
    has_its_turn_beside(300, |row| row.name = "Gone".to_owned()).await;
}

#[tokio::test]
async fn sagas_at_a_step_that_this_build_does_not_have_do_not_keep_others_from_their_turn() {
    let elsewhere = |row: &mut SagaRow| {
        let mut run = Run::of(row).unwrap();
        run.executions[0].step = "sign".to_owned();
        row.body = run.body().unwrap();
    };
    has_its_turn_beside(3000, elsewhere).await;
}

#[tokio::test]
async fn sagas_of_a_newer_format_do_not_keep_others_from_their_turn() {
    has_its_turn_beside(3000, |row| set(row, "format", &json!(1000))).await;
}

#[tokio::test]
async fn what_waits_in_a_row_that_nobody_can_read_moves_nothing_for_ever() {
    let mut town = Town::new();
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    town.change(loan, |row| set(row, "executions", &json!("broken")))
        .await;
    town.desk().cancel(house, &alice()).await.unwrap();
    let other = town.build(BTreeMap::new());
    town.settle_once(&other).await;
    let core = town.handler.core.clone();
    drive(&core, town.row(loan).await, false).await.unwrap();
    let stuck = town.row(loan).await;
    assert_eq!(stuck.status, "stuck");
    let mail: Vec<Message> = Stored::of(&stuck).unwrap().get("mail").unwrap();
    assert_eq!((mail.len(), stuck.due_at), (1, None));
    read_mail(&core).await.unwrap();
    assert_eq!(town.row(loan).await, stuck);
}

#[tokio::test]
async fn a_late_answer_for_a_saga_that_no_build_has_is_a_dead_letter() {
    let mut town = Town::new();
    let other = town.build(BTreeMap::new());
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    town.signal(loan, "yes").await;
    let own = town.handler.clone();
    drive(&own.core, town.row(loan).await, false).await.unwrap();
    drive(&other.core, town.row(house).await, true)
        .await
        .unwrap();
    let row = town.row(house).await;
    assert_eq!((row.status.as_str(), row.due_at), ("stuck", None));
    town.settle_once(&other).await;
    assert_eq!((town.letters().await, town.row(house).await), (1, row));

    // Whoever decides about it is told what to do.
    let desk = Sagas::new(other.core.clone());
    let refused = [
        desk.cancel(house, &alice()).await.unwrap_err(),
        desk.skip(house, None, &alice()).await.unwrap_err(),
        desk.retry(house, &alice()).await.unwrap_err(),
    ];
    for refused in refused {
        assert_eq!(refused.kind(), Some(Kind::Conflict));
        assert!(refused.to_string().contains("bring it back"), "{refused}");
    }
}

#[tokio::test]
async fn what_is_told_to_a_stuck_saga_of_a_newer_format_hurries_nobody() {
    let mut town = Town::new();
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    town.change(loan, |row| set(row, "format", &json!(1000)))
        .await;
    let own = town.handler.clone();
    drive(&own.core, town.row(loan).await, true).await.unwrap();
    assert_eq!(town.status(loan).await, Where::Stuck);
    town.desk().cancel(house, &alice()).await.unwrap();
    town.settle_once(&own).await;
    let told = town.row(loan).await;
    let mail: Vec<Message> = Stored::of(&told).unwrap().get("mail").unwrap();
    assert_eq!((mail.len(), told.due_at), (1, None));
    // It is asked again and again.
    for _ in 0..100 {
        let again = Message {
            id: SystemClock.new_uuid(),
            ..mail[0].clone()
        };
        let incoming = Incoming {
            message: &again,
            origin: Some(&PLACE),
        };
        own.deliver(incoming).await.unwrap();
    }
    assert_eq!((town.letters().await, town.row(loan).await), (0, told));
}

#[tokio::test]
async fn a_stuck_saga_stays_as_it_was_if_a_build_is_asked_that_does_not_have_its_step() {
    let town = Town::new();
    let other = town.build(elsewhere::sagas());
    let house = town.start(House::default()).await;
    // Its step was due, and nobody came who has it.
    town.change(house, |row| {
        let mut run = Run::of(row).unwrap();
        row.due_at = Some(SystemClock.now());
        run.executions[0].due_at = row.due_at;
        row.body = run.body().unwrap();
    })
    .await;
    drive(&other.core, town.row(house).await, true)
        .await
        .unwrap();
    let row = town.row(house).await;
    assert_eq!(row.status, "stuck");
    let desk = Sagas::new(other.core.clone());
    let refused = [
        desk.retry(house, &alice()).await,
        desk.skip(house, None, &alice()).await,
        desk.cancel(house, &alice()).await,
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), Some(Kind::Conflict));
    }
    assert_eq!(town.row(house).await, row);
}
