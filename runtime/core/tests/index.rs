//! Actors are found by what they have committed, and not by what they have not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use greenroom_core::index::{Found, Query};
use greenroom_core::{AppError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use support::Node;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "1s")]
struct Player {
    #[index]
    guild: Option<String>,
    #[index(name = "rank")]
    level: u64,
    note: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Player {
    async fn join(&mut self, guild: Option<String>, level: u64, fail: bool) -> Result<()> {
        (self.guild, self.level) = (guild, level);
        if fail { Err(AppError::new("no")) } else { Ok(()) }
    }

    async fn note(&mut self) -> u32 {
        self.note += 1;
        self.note
    }

    async fn fellows(&self, cx: &Cx) -> Result<Vec<String>> {
        let found = cx.query::<Self>().eq("guild", self.guild.as_deref()).all().await?;
        Ok(found.into_iter().map(|id| id.key.to_string()).collect())
    }
}

/// The same players before they had an index.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Player")]
struct Unindexed {
    guild: Option<String>,
    level: u64,
    note: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Unindexed {
    async fn join(&mut self, guild: Option<String>) {
        self.guild = guild;
    }
}

fn started(node: Node) -> Arc<Node> {
    let node = Arc::new(node);
    node.sync_always();
    node
}

fn query(node: &Node) -> Query<Player> {
    Query::new(node.origin())
}

async fn keys(found: Found) -> BTreeSet<String> {
    let all = found.all().await.unwrap();
    let keys: BTreeSet<_> = all.iter().map(|id| id.key.to_string()).collect();
    assert_eq!(keys.len(), all.len(), "each is found once");
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = found.page(after, 3).await.unwrap();
        assert!(page.actors.len() <= 3);
        paged.extend(page.actors);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all, "the pages together are the whole");
    keys
}

#[derive(Debug, Clone)]
enum Step {
    Join { player: u8, guild: Option<u8>, level: u64, fail: bool },
    Note(u8),
    Idle,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12u8, prop::option::of(0..3u8), 0..3u64, prop::bool::weighted(0.2))
            .prop_map(|(player, guild, level, fail)| Step::Join { player, guild, level, fail }),
        2 => (0..12u8).prop_map(Step::Note),
        1 => Just(Step::Idle),
        1 => Just(Step::Crash),
    ]
}

/// A player's guild and level.
type Model = (Option<String>, u64);

async fn check(steps: Vec<Step>) {
    let mut node = started(Node::new::<Player>());
    let mut players: BTreeMap<String, Model> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Join { player, guild, level, fail } => {
                let (key, guild) = (format!("p{player}"), guild.map(|guild| format!("g{guild}")));
                let outcome = node.actor::<Player>(&key).join(guild.clone(), level, fail).await;
                assert_eq!(outcome.is_err(), fail);
                // A player who has only ever been what a new one is has committed nothing.
                if !fail && (guild.is_some() || level > 0 || players.contains_key(&key)) {
                    players.insert(key, (guild, level));
                }
            }
            Step::Note(player) => {
                let key = format!("p{player}");
                node.actor::<Player>(&key).note().await.unwrap();
                players.entry(key).or_default();
            }
            Step::Idle => tokio::time::sleep(Duration::from_secs(3)).await,
            Step::Crash => node = started(Node::over::<Player>(node.disk.after_power_cut())),
        }
    }
    let such = |is: &dyn Fn(&Model) -> bool| {
        players.iter().filter(|(_, player)| is(player)).map(|(key, _)| key.clone()).collect::<BTreeSet<_>>()
    };
    for guild in ["g0", "g1", "g2", "g"] {
        let expected = such(&|player| player.0.as_deref() == Some(guild));
        assert_eq!(keys(query(&node).eq("guild", guild)).await, expected, "{guild}");
    }
    for level in 0..3 {
        assert_eq!(keys(query(&node).eq("rank", level)).await, such(&|player| player.1 == level), "{level}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn actors_are_found_by_what_they_have_committed(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(check(steps));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_durable_is_not_found_and_a_turn_may_ask() {
    let node = Arc::new(Node::new::<Player>());
    let join = tokio::spawn(node.actor::<Player>("a").join(Some("red".into()), 1, false));
    tokio::task::yield_now().await;
    assert_eq!(node.disk.commits(), 1);
    assert!(query(&node).eq("guild", "red").all().await.unwrap().is_empty());
    node.sync();
    join.await.unwrap().unwrap();
    assert_eq!(query(&node).eq("guild", "red").all().await.unwrap().len(), 1);
    assert_eq!(node.actor::<Player>("a").fellows().await.unwrap(), ["a"]);
    let first: Vec<_> = query(&node).eq("guild", "red").stream().try_collect().await.unwrap();
    assert_eq!(first, ["Player/a".parse().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_is_new_fills_as_its_actors_commit() {
    let before = started(Node::new::<Unindexed>());
    before.actor::<Unindexed>("a").join(Some("red".into())).await.unwrap();
    let node = started(Node::over::<Player>(before.disk.clone()));
    assert!(query(&node).eq("guild", "red").all().await.unwrap().is_empty());
    node.actor::<Player>("a").note().await.unwrap();
    assert_eq!(query(&node).eq("guild", "red").all().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_changes_only_the_rows_that_differ() {
    let node = started(Node::new::<Player>());
    let player = node.actor::<Player>("a");
    player.join(Some("red".into()), 1, false).await.unwrap();
    player.join(Some("red".into()), 2, false).await.unwrap();
    player.note().await.unwrap();
    let rows: Vec<_> =
        node.disk.records().iter().map(|record| record.rows().len()).filter(|n| *n > 0).collect();
    assert_eq!(
        rows,
        [3, 2],
        "two rows and one removal of a new player's level, then one removal and one row"
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_questions_are_named() {
    let node = started(Node::new::<Player>());
    let error = query(&node).eq("level", 1).all().await.unwrap_err().to_string();
    assert!(error.contains(r#"Player has no index "level", but guild, rank"#), "{error}");
    let error = query(&node).eq("guild", None::<String>).page(None, 1).await.unwrap_err().to_string();
    assert!(error.contains("ask for a value"), "{error}");
    let error =
        node.actor::<Player>("a").join(Some("x".repeat(600)), 1, false).await.unwrap_err().to_string();
    assert!(error.contains("the indexed field guild of Player/a takes 603 bytes, at most 512"), "{error}");
}
