//! What is stored can be loaded: states that other versions of their type have stored, and deep ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use greenroom_core::actor::ActorMethods;
use greenroom_core::{AppError, CallError, Cx, Map, OldState, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::{Disk, Node};

/// The first form: no version.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Hero")]
struct First {
    name: String,
    gold: u32,
    bag: Map<String, u32>,
}

#[actor_methods(crate = "greenroom_core")]
impl First {
    async fn begin(&mut self, cx: &Cx, name: String, gold: u32) -> Result<()> {
        (self.name, self.gold) = (name, gold);
        self.bag.insert(cx, "sword".into(), 1).await?;
        Ok(())
    }

    async fn name(&self) -> String {
        self.name.clone()
    }
}

/// A field came, a field went: serde does that.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Hero")]
struct Grown {
    name: String,
    #[serde(default = "full")]
    health: u32,
}

fn full() -> u32 {
    100
}

#[actor_methods(crate = "greenroom_core")]
impl Grown {
    async fn get(&self) -> (String, u32) {
        (self.name.clone(), self.health)
    }
}

/// A new field without a default.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Hero")]
struct Strict {
    name: String,
    health: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Strict {
    async fn get(&self) -> (String, u32) {
        (self.name.clone(), self.health)
    }
}

/// Gold is counted in copper now.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Hero", version = 2, migrate = Self::migrate)]
struct Second {
    name: String,
    copper: u64,
    inventory: Map<String, u32>,
}

#[actor_methods(crate = "greenroom_core")]
impl Second {
    fn migrate(from: u32, old: OldState) -> Result<Self> {
        let old: First = old.decode()?;
        if old.name == "nobody" {
            return Err(AppError::new(format!("version {from} has no name")));
        }
        Ok(Self { name: old.name, copper: u64::from(old.gold) * 100, inventory: old.bag })
    }

    async fn get(&self, cx: &Cx) -> Result<(u64, Option<u32>)> {
        Ok((self.copper, self.inventory.get(cx, "sword").await?))
    }

    async fn earn(&mut self, copper: u64, fail: bool) -> Result<u64> {
        self.copper += copper;
        if fail { Err(AppError::new("no")) } else { Ok(self.copper) }
    }
}

/// The next program.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Hero", version = 3, migrate = Self::migrate)]
struct Third {
    title: String,
    silver: u64,
}

#[actor_methods(crate = "greenroom_core")]
impl Third {
    fn migrate(from: u32, old: OldState) -> Result<Self> {
        let old = old.value()?;
        let coins = |field: &str| old[field].as_u64().ok_or_else(|| AppError::new(format!("no {field}")));
        let silver = if from < 2 { coins("gold")? * 10 } else { coins("copper")? / 10 };
        Ok(Self { title: format!("Sir {}", old["name"].as_str().unwrap_or_default()), silver })
    }

    async fn get(&mut self, spend: u64) -> (String, u64) {
        self.silver -= spend;
        (self.title.clone(), self.silver)
    }
}

fn node<A: ActorMethods>(disk: &Arc<Disk>) -> Arc<Node> {
    let node = Arc::new(Node::over::<A>(disk.clone()));
    node.sync_always();
    node
}

async fn stored_by_the_first(name: &str) -> Arc<Disk> {
    let disk = Arc::default();
    node::<First>(&disk).actor::<First>("h").begin(name.into(), 7).await.unwrap();
    disk
}

#[tokio::test(start_paused = true)]
async fn missing_fields_take_their_default_and_unknown_ones_are_passed_over() {
    let disk = stored_by_the_first("Ann").await;
    assert_eq!(node::<Grown>(&disk).actor::<Grown>("h").get().await.unwrap(), ("Ann".into(), 100));
    let strict = node::<Strict>(&disk);
    let error = strict.actor::<Strict>("h").get().await.unwrap_err().to_string();
    assert!(error.contains("missing field `health`; give new fields #[serde(default)]"), "{error}");
    // Nothing is lost by that.
    assert_eq!(node::<First>(&disk).actor::<First>("h").name().await.unwrap(), "Ann");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_state_is_migrated_with_its_collections_and_stored_with_the_next_commit() {
    let disk = stored_by_the_first("Ann").await;
    let hero = node::<Second>(&disk);
    let before = disk.commits();
    assert_eq!(hero.actor::<Second>("h").get().await.unwrap(), (700, Some(1)));
    assert_eq!(disk.commits(), before, "reading writes nothing");
    hero.actor::<Second>("h").earn(1, true).await.unwrap_err();
    assert_eq!(hero.actor::<Second>("h").get().await.unwrap(), (700, Some(1)));
    assert_eq!(hero.actor::<Second>("h").earn(2, false).await.unwrap(), 702);
    assert_eq!(disk.last_state()[..5], [0xc1, 0, 0, 0, 2]);
    assert_eq!(node::<Second>(&disk).actor::<Second>("h").get().await.unwrap(), (702, Some(1)));
    let third = node::<Third>(&disk);
    assert_eq!(third.actor::<Third>("h").get(1).await.unwrap(), ("Sir Ann".into(), 69));
}

#[tokio::test(start_paused = true)]
async fn a_state_is_migrated_from_any_earlier_version() {
    let disk = stored_by_the_first("Bo").await;
    assert_eq!(node::<Third>(&disk).actor::<Third>("h").get(0).await.unwrap(), ("Sir Bo".into(), 70));
}

#[tokio::test(start_paused = true)]
async fn a_newer_state_and_a_failed_migration_are_refused_and_nothing_is_lost() {
    let disk = stored_by_the_first("nobody").await;
    let unavailable = |error: CallError| match error {
        CallError::Unavailable(why) => why,
        other => panic!("{other:?}"),
    };
    let second = node::<Second>(&disk);
    let why = unavailable(second.actor::<Second>("h").earn(1, false).await.unwrap_err());
    assert!(why.contains("cannot be migrated from version 0 to 2: version 0 has no name"), "{why}");
    node::<Third>(&disk).actor::<Third>("h").get(1).await.unwrap();
    let state = disk.last_state();
    let second = node::<Second>(&disk);
    let why = unavailable(second.actor::<Second>("h").earn(1, false).await.unwrap_err());
    assert!(why.contains("has version 3 and this program knows 2; start the newer program"), "{why}");
    let first = node::<First>(&disk);
    let why = unavailable(first.actor::<First>("h").name().await.unwrap_err());
    assert!(why.contains("has version 3 and this program knows 0"), "{why}");
    assert_eq!(disk.last_state(), state);
    assert_eq!(node::<Third>(&disk).actor::<Third>("h").get(0).await.unwrap().1, 69);
}

/// A state as deep as one likes, in structs and in variants.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Well {
    below: Option<Box<Well>>,
    rope: Rope,
    buckets: Map<u32, Rope>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
enum Rope {
    #[default]
    End,
    Knot(Box<Rope>),
}

impl Rope {
    fn of(knots: u32) -> Self {
        (0..knots).fold(Self::End, |rope, _| Self::Knot(Box::new(rope)))
    }
}

#[actor_methods(crate = "greenroom_core")]
impl Well {
    async fn dig(&mut self, levels: u32) {
        self.below = (0..levels).fold(None, |below, _| Some(Box::new(Self { below, ..Self::default() })));
    }

    async fn lower(&mut self, knots: u32) {
        self.rope = Rope::of(knots);
    }

    async fn fill(&mut self, cx: &Cx, knots: u32) -> Result<()> {
        self.buckets.insert(cx, 1, Rope::of(knots)).await?;
        Ok(())
    }

    async fn depths(&self, cx: &Cx) -> Result<(u32, u32, u32)> {
        let levels = std::iter::successors(self.below.as_deref(), |well| well.below.as_deref()).count();
        let knots = |mut rope: &Rope| {
            let mut knots = 0;
            while let Rope::Knot(next) = rope {
                (knots, rope) = (knots + 1, next);
            }
            knots
        };
        let bucket = self.buckets.get(cx, &1).await?;
        Ok((levels as u32, knots(&self.rope), bucket.as_ref().map_or(0, knots)))
    }
}

/// On any thread of any build.
#[tokio::test]
async fn a_state_or_an_item_that_nests_too_deep_to_be_read_again_is_an_error_and_changes_nothing() {
    let node = node::<Well>(&Arc::default());
    let well = node.actor::<Well>("w");
    well.dig(120).await.unwrap();
    well.lower(126).await.unwrap();
    well.fill(127).await.unwrap();
    for depth in [128, 1_000] {
        let errors = [
            well.dig(depth).await.unwrap_err().to_string(),
            well.lower(depth).await.unwrap_err().to_string(),
            well.fill(depth).await.unwrap_err().to_string(),
        ];
        for error in errors {
            assert!(
                error.contains("nests 128 levels deep or deeper and could not be read again; keep"),
                "{error}"
            );
        }
    }
    assert_eq!(well.depths().await, Ok((120, 126, 127)));
    let after = self::node::<Well>(&node.disk.after_crash(node.disk.len()));
    assert_eq!(after.actor::<Well>("w").depths().await, Ok((120, 126, 127)));
}
