//! Who reads which partition: members show that they live, take their quota, and give up what is above it.
//!
//! A member's row says until when it lives, a cursor's row who owns the partition and how far the group is. An owner
//! that does not live any more owns nothing. All of it happens in one transaction of the one writer that the file
//! admits, so that no two members can own one partition.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sqlx::{Row, SqliteConnection};

use super::{member::Place, topic::Topic};
use crate::broker::share;

/// A member shows that it lives.
pub(super) struct Renewal {
    pub(super) id: String,
    pub(super) group: String,
    pub(super) topics: Vec<Arc<Topic>>,
    /// What it has finished with and could give up.
    pub(super) release: Vec<Place>,
    pub(super) now: DateTime<Utc>,
    /// How long it wants to be believed, in microseconds.
    pub(super) lease: i64,
}

/// Where a member stands after that.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// What it owns.
    pub(super) owned: Vec<Owned>,
    /// Per topic, how many partitions it has above its quota.
    pub(super) surplus: BTreeMap<i64, usize>,
    /// Others in the group should look at what they may take or have to give up.
    pub(super) changed: bool,
    /// A cursor that does not fit the log. Nobody gets that partition.
    pub(super) misfit: Option<String>,
}

/// A partition of the member.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) place: Place,
    /// The last offset that the group is done with; 0 at the beginning.
    pub(super) committed: i64,
    /// Where the log ends, if the member just took the partition.
    pub(super) taken: Option<i64>,
}

/// One row of `cursors`, with the owner only if it lives.
struct Cursor {
    place: Place,
    owner: Option<String>,
    committed: i64,
}

/// Renews the lease of a member, or lets it join; takes and gives up partitions.
pub(super) async fn renew(
    connection: &mut SqliteConnection,
    renewal: &Renewal,
) -> sqlx::Result<Standing> {
    let joined = show_life(connection, renewal).await?;
    let died = bury(connection, renewal).await?;
    let members = members(connection, &renewal.group).await?;
    let cursors = cursors(connection, renewal, &members).await?;
    let plan = plan(renewal, &members, &cursors);
    let heads = heads(connection, &plan.take).await?;

    let mut standing = Standing {
        surplus: plan.surplus,
        changed: joined || died || !plan.release.is_empty(),
        ..Standing::default()
    };
    let (mut taken, mut owned) = (Vec::new(), Vec::new());
    for cursor in cursors {
        let head = heads.get(&cursor.place).copied();
        if let Some(head) = head
            && cursor.committed > head
        {
            standing.misfit = Some(misfit(renewal, &cursor, head));
            continue;
        }
        let mine = cursor.owner.as_deref() == Some(&*renewal.id);
        if head.is_some() {
            taken.push(cursor.place);
        }
        if head.is_some() || mine && !plan.release.contains(&cursor.place) {
            owned.push(Owned {
                place: cursor.place,
                committed: cursor.committed,
                taken: head,
            });
        }
    }
    standing.owned = owned;
    set_owner(connection, renewal, None, &plan.release).await?;
    set_owner(connection, renewal, Some(&renewal.id), &taken).await?;
    if standing.changed {
        announce(connection, &renewal.group).await?;
    }
    Ok(standing)
}

/// Lets a member go. What it owned is free at once.
pub(super) async fn leave(
    connection: &mut SqliteConnection,
    group: &str,
    id: &str,
) -> sqlx::Result<()> {
    let gone = sqlx::query("DELETE FROM members WHERE id = ?").bind(id);
    gone.execute(&mut *connection).await?;
    let free = "UPDATE cursors SET owner = NULL WHERE of_group = ? AND owner = ?";
    let free = sqlx::query(free).bind(group).bind(id);
    free.execute(&mut *connection).await?;
    announce(connection, group).await
}

/// The offset of the last message of each partition; 0 where there is none.
pub(super) async fn heads(
    connection: &mut SqliteConnection,
    places: &[Place],
) -> sqlx::Result<BTreeMap<Place, i64>> {
    let heads = "
        SELECT value ->> 0, value ->> 1, coalesce((
            SELECT max(offset) FROM messages
            WHERE topic = place.value ->> 0 AND partition = place.value ->> 1
        ), 0)
        FROM json_each(?) AS place";
    let heads = sqlx::query(heads).bind(json(places)?);
    let mut of_place = BTreeMap::new();
    for row in heads.fetch_all(connection).await? {
        of_place.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
    }
    Ok(of_place)
}

/// Answers whether the member is new.
async fn show_life(connection: &mut SqliteConnection, renewal: &Renewal) -> sqlx::Result<bool> {
    let until = renewal.now.timestamp_micros() + renewal.lease;
    let lives = "UPDATE members SET until = ?, lease = ? WHERE id = ?";
    let lives = sqlx::query(lives)
        .bind(until)
        .bind(renewal.lease)
        .bind(&renewal.id);
    if lives.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(false);
    }
    let topics: Vec<_> = renewal.topics.iter().map(|t| t.id).collect();
    let joins = "INSERT INTO members (id, of_group, topics, until, lease) VALUES (?, ?, ?, ?, ?)";
    let joins = sqlx::query(joins)
        .bind(&renewal.id)
        .bind(&renewal.group)
        .bind(json(&topics)?)
        .bind(until)
        .bind(renewal.lease);
    joins.execute(&mut *connection).await?;
    let places: Vec<Place> = renewal
        .topics
        .iter()
        .flat_map(|t| (0..t.partitions).map(|p| (t.id, p)))
        .collect();
    let cursors = "
        INSERT INTO cursors (of_group, topic, partition)
        SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2) WHERE true
        ON CONFLICT DO NOTHING";
    let cursors = sqlx::query(cursors)
        .bind(&renewal.group)
        .bind(json(&places)?);
    cursors.execute(connection).await?;
    Ok(true)
}

/// Removes the members whose time is over; answers whether there was one.
///
/// A lease that ends later than two of its lengths from now was written before the clock went back: nobody can
/// tell how old it is, so it counts as expired.
async fn bury(connection: &mut SqliteConnection, renewal: &Renewal) -> sqlx::Result<bool> {
    let dead = "
        DELETE FROM members
        WHERE of_group = ?1 AND id <> ?2 AND (until <= ?3 OR until > ?3 + 2 * lease)";
    let dead = sqlx::query(dead)
        .bind(&renewal.group)
        .bind(&renewal.id)
        .bind(renewal.now.timestamp_micros());
    Ok(dead.execute(connection).await?.rows_affected() > 0)
}

/// The living members of a group, in a fixed order, and their topics.
async fn members(
    connection: &mut SqliteConnection,
    group: &str,
) -> sqlx::Result<BTreeMap<String, Vec<i64>>> {
    let rows = "SELECT id, topics FROM members WHERE of_group = ?";
    let rows = sqlx::query(rows).bind(group).fetch_all(connection).await?;
    let mut members = BTreeMap::new();
    for row in rows {
        let topics = row.try_get::<&str, _>(1)?;
        let topics = serde_json::from_str(topics).map_err(|e| sqlx::Error::Decode(e.into()))?;
        members.insert(row.try_get(0)?, topics);
    }
    Ok(members)
}

/// The cursors of the member's topics.
async fn cursors(
    connection: &mut SqliteConnection,
    renewal: &Renewal,
    members: &BTreeMap<String, Vec<i64>>,
) -> sqlx::Result<Vec<Cursor>> {
    let rows = "
        SELECT topic, partition, owner, committed FROM cursors
        WHERE of_group = ? ORDER BY topic, partition";
    let rows = sqlx::query(rows).bind(&renewal.group);
    let mut cursors = Vec::new();
    for row in rows.fetch_all(connection).await? {
        let topic = row.try_get(0)?;
        if renewal.topics.iter().any(|t| t.id == topic) {
            let owner: Option<String> = row.try_get(2)?;
            cursors.push(Cursor {
                place: (topic, row.try_get(1)?),
                owner: owner.filter(|id| members.contains_key(id)),
                committed: row.try_get(3)?,
            });
        }
    }
    Ok(cursors)
}

#[derive(Debug, Default, PartialEq)]
struct Plan {
    release: Vec<Place>,
    take: Vec<Place>,
    surplus: BTreeMap<i64, usize>,
}

/// What a member gives up, takes, and still has too much of.
fn plan(renewal: &Renewal, members: &BTreeMap<String, Vec<i64>>, cursors: &[Cursor]) -> Plan {
    let mut plan = Plan::default();
    for topic in &renewal.topics {
        let sharing: Vec<_> = members
            .iter()
            .filter(|(_, topics)| topics.contains(&topic.id))
            .collect();
        let rank = sharing.iter().position(|(id, _)| **id == renewal.id);
        let rank = rank.unwrap_or_default();
        let quota = share::quota(&topic.name, topic.partitions, rank, sharing.len());
        let of = |owner: Option<&str>| {
            let here = cursors.iter().filter(|c| c.place.0 == topic.id);
            let here = here.filter(|c| c.owner.as_deref() == owner);
            here.map(|c| c.place).collect::<BTreeSet<_>>()
        };
        let mine = of(Some(&renewal.id));
        let surplus = mine.len().saturating_sub(quota);
        let finished = renewal.release.iter().filter(|p| mine.contains(p));
        let release: Vec<_> = finished.take(surplus).copied().collect();
        if surplus > release.len() {
            plan.surplus.insert(topic.id, surplus - release.len());
        }
        plan.release.extend(release);
        let missing = quota.saturating_sub(mine.len());
        plan.take.extend(of(None).into_iter().take(missing));
    }
    plan
}

async fn set_owner(
    connection: &mut SqliteConnection,
    renewal: &Renewal,
    owner: Option<&str>,
    places: &[Place],
) -> sqlx::Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let set = "
        UPDATE cursors SET owner = ?1 FROM json_each(?3) AS place
        WHERE of_group = ?2 AND topic = place.value ->> 0 AND partition = place.value ->> 1";
    let set = sqlx::query(set)
        .bind(owner)
        .bind(&renewal.group)
        .bind(json(places)?);
    set.execute(connection).await.map(drop)
}

/// Lets the other processes know that something about the group changed.
async fn announce(connection: &mut SqliteConnection, group: &str) -> sqlx::Result<()> {
    let next = "
        INSERT INTO groups (name, generation) VALUES (?, 1)
        ON CONFLICT DO UPDATE SET generation = generation + 1";
    let next = sqlx::query(next).bind(group);
    next.execute(connection).await.map(drop)
}

fn misfit(renewal: &Renewal, cursor: &Cursor, head: i64) -> String {
    let (id, partition) = cursor.place;
    let topic = renewal.topics.iter().find(|t| t.id == id);
    format!(
        "the group `{}` has committed offset {} of partition {partition} of `{}`, where the log ends at {head}: the \
         file was replaced or lost its end. Nothing of it is read until the row in `cursors` is set to a place \
         in the log",
        renewal.group,
        cursor.committed,
        topic.map_or("", |t| &t.name),
    )
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|e| sqlx::Error::Encode(e.into()))
}

#[cfg(test)]
mod tests;
