//! After any sequence of commits, groups and restarts, both engines hold what a model of three lines holds.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use greenroom_core::Seq;
use greenroom_core::journal::{CallRecord, StoredActor};
use proptest::prelude::*;

use common::{Engine, Rig, call, commit_of, open, position, retention};

const SHARDS: u16 = 3;
const ACTORS: [&str; 3] = ["Counter/a", "Counter/b", "Word/a"];
const CALL_MS: u64 = 50;
const CALLS_PER_ACTOR: usize = 9;

#[derive(Debug, Clone)]
enum Step {
    /// A new owner of the shard.
    Open(u16),
    /// Commits of (actor, how many calls, milliseconds since the last commit of the test; it may be negative).
    Commit(u16, Vec<(usize, u64, i64)>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let commits = prop::collection::vec((0..ACTORS.len(), 1u64..4, -20i64..60), 1..40);
    let step = prop_oneof![
        1 => (0..SHARDS).prop_map(Step::Open),
        8 => (0..SHARDS, commits).prop_map(|(shard, commits)| Step::Commit(shard, commits)),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..30)
}

#[derive(Default)]
struct Model {
    epoch: u64,
    seq: u64,
    newest_ms: u64,
    /// Everything that an actor ever committed.
    actors: BTreeMap<&'static str, Vec<(Seq, CallRecord)>>,
}

impl Model {
    /// The rule of the crate's head.
    fn load(&self, actor: &str) -> StoredActor {
        let Some(all) = self.actors.get(actor) else { return StoredActor::default() };
        let newest = &all[all.len().saturating_sub(CALLS_PER_ACTOR)..];
        let in_time = newest.iter().filter(|(_, call)| call.at_unix_ms + CALL_MS >= self.newest_ms);
        let last = all.last().unwrap().0;
        StoredActor { state: Some(format!("state {last}").into()), calls: in_time.cloned().collect() }
    }
}

fn matches_the_model(engine: Engine, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut rig = Rig::with(engine, |options| options.retention = retention(CALL_MS, CALLS_PER_ACTOR, 5));
    let mut models: [Model; SHARDS as usize] = Default::default();
    let mut now = 1000u64;
    for step in steps {
        match step {
            Step::Open(shard) => rig.commit([next_open(*shard, &mut models[usize::from(*shard)])]),
            Step::Commit(shard, commits) => {
                let model = &mut models[usize::from(*shard)];
                let opening = (model.epoch == 0).then(|| next_open(*shard, model));
                let commits = commits.iter().map(|&(actor, count, later)| {
                    now = now.saturating_add_signed(later);
                    model.seq += 1;
                    model.newest_ms = model.newest_ms.max(now);
                    let calls = model.actors.entry(ACTORS[actor]).or_default();
                    let added: Vec<_> = (0..count).map(|nth| call(10 * model.seq + nth, now)).collect();
                    calls.extend(added.iter().map(|call| (Seq(model.seq), call.clone())));
                    commit_of(*shard, model.epoch, model.seq, ACTORS[actor], added)
                });
                rig.commit(opening.into_iter().chain(commits.collect::<Vec<_>>()));
            }
            Step::Reopen => rig = rig.reopen(),
        }
        for (shard, model) in (0..).zip(&models) {
            prop_assert_eq!(rig.last(shard), position(model.epoch, model.seq));
            for actor in ACTORS {
                prop_assert_eq!(rig.load(shard, actor), model.load(actor));
            }
        }
    }
    Ok(())
}

fn next_open(shard: u16, model: &mut Model) -> greenroom_core::journal::Record {
    let prev_epoch = model.epoch;
    (model.epoch, model.seq) = (model.epoch + 2, model.seq + 1);
    open(shard, model.epoch, model.seq, prev_epoch)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_holds_what_the_model_holds(steps in steps()) {
        matches_the_model(Engine::Sqlite, &steps)?;
    }

    #[test]
    fn memory_holds_what_the_model_holds(steps in steps()) {
        matches_the_model(Engine::Memory, &steps)?;
    }
}
