//! The machine as tables (what follows from what), and I1 over random histories.

use greenroom_core::journal::Position;
use greenroom_core::map::{Entry, Evidence, NodeRun};
use greenroom_core::{Epoch, Incarnation, Seq, StoreId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn store(id: u128) -> StoreId {
    StoreId(Uuid::from_u128(id))
}

fn run(incarnation: u64) -> NodeRun {
    NodeRun { store: store(1), incarnation: Incarnation(incarnation) }
}

fn entry(epoch: u64, owner: NodeRun) -> Entry {
    Entry { epoch: Epoch(epoch), owner, prev: None, in_sync: vec![owner.store], evidence: Evidence::None }
}

fn at(epoch: u64, seq: u64) -> Position {
    Position { epoch: Epoch(epoch), seq: Seq(seq) }
}

fn opens(epoch: u64, behind: Position) -> Effect {
    Effect::Open { epoch: Epoch(epoch), behind }
}

/// Feeds the events to the machine of run 3 and checks the effects of each.
fn check(steps: &[(Event<'_>, &[Effect])]) {
    let mut owner = Owner::new(run(3));
    for (nth, (event, expected)) in steps.iter().enumerate() {
        assert_eq!(owner.handle(*event), *expected, "step {nth}: {event:?}");
    }
}

#[test]
fn an_owner_serves_when_its_open_record_is_committed() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Recovered(at(4, 17)), &[opens(5, at(4, 17))]),
        (Event::Durable(at(4, 17)), &[]),
        (Event::Durable(at(5, 18)), &[Effect::Commit(Seq(18)), Effect::Serve]),
        (Event::Durable(at(5, 20)), &[Effect::Commit(Seq(20))]),
        (Event::Durable(at(5, 20)), &[]),
    ]);
}

#[test]
fn records_of_another_epoch_commit_nothing() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Recovered(at(4, 17)), &[opens(5, at(4, 17))]),
        (Event::Durable(at(4, 18)), &[]),
        (Event::Durable(at(5, 18)), &[Effect::Commit(Seq(18)), Effect::Serve]),
        (Event::Durable(at(4, 19)), &[]),
        (Event::Durable(at(6, 19)), &[]),
    ]);
}

#[test]
fn entries_of_others_and_of_earlier_runs_are_not_taken() {
    let other = NodeRun { store: store(2), incarnation: Incarnation(3) };
    check(&[
        (Event::Entry(&entry(1, other)), &[]),
        (Event::Entry(&entry(2, run(2))), &[]),
        (Event::Entry(&entry(3, run(4))), &[]),
    ]);
}

#[test]
fn an_epoch_below_one_that_was_heard_of_is_not_taken() {
    check(&[
        (Event::Entry(&entry(6, run(4))), &[]),
        (Event::Entry(&entry(5, run(3))), &[]),
        (Event::Entry(&entry(7, run(3))), &[Effect::Recover]),
    ]);
}

#[test]
fn an_epoch_is_opened_once() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Recovered(at(0, 0)), &[opens(5, at(0, 0))]),
        (Event::Entry(&entry(5, run(3))), &[]),
        (Event::Recovered(at(0, 0)), &[]),
        (Event::Durable(at(5, 1)), &[Effect::Commit(Seq(1)), Effect::Serve]),
        (Event::Entry(&entry(5, run(3))), &[]),
    ]);
}

#[test]
fn a_replaced_owner_steps_down_and_commits_nothing_any_more() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Recovered(at(0, 0)), &[opens(5, at(0, 0))]),
        (Event::Durable(at(5, 1)), &[Effect::Commit(Seq(1)), Effect::Serve]),
        (Event::Entry(&entry(6, run(4))), &[Effect::StepDown]),
        (Event::Durable(at(5, 2)), &[]),
        (Event::Entry(&entry(5, run(3))), &[]),
    ]);
}

#[test]
fn an_owner_that_is_replaced_by_itself_opens_behind_its_last_record() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Recovered(at(0, 0)), &[opens(5, at(0, 0))]),
        (Event::Entry(&entry(6, run(3))), &[Effect::StepDown, Effect::Recover]),
        (Event::Recovered(at(5, 1)), &[opens(6, at(5, 1))]),
        (Event::Durable(at(5, 1)), &[]),
        (Event::Durable(at(6, 2)), &[Effect::Commit(Seq(2)), Effect::Serve]),
    ]);
}

#[test]
fn an_owner_that_is_replaced_while_it_recovers_opens_nothing() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Entry(&entry(6, run(4))), &[]),
        (Event::Recovered(at(0, 0)), &[]),
    ]);
}

#[test]
fn a_full_journal_makes_the_owner_try_again() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Recovered(at(2, 9)), &[opens(5, at(2, 9))]),
        (Event::NotOpened, &[Effect::Recover]),
        (Event::Recovered(at(2, 9)), &[opens(5, at(2, 9))]),
    ]);
}

#[test]
fn a_map_that_was_set_back_is_noticed() {
    for log in [5, 6] {
        let refusal = Refusal::MapSetBack { log: Epoch(log), map: Epoch(5) };
        check(&[
            (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
            (Event::Recovered(at(log, 40)), &[Effect::Refuse(refusal)]),
            (Event::Durable(at(log, 40)), &[]),
        ]);
    }
}

#[test]
fn a_shard_with_more_copies_is_refused() {
    let mut copied = entry(5, run(3));
    copied.in_sync.push(store(2));
    check(&[(Event::Entry(&copied), &[Effect::Refuse(Refusal::Copies(2))])]);
}

#[test]
fn a_stopping_node_gives_up_its_shard_and_takes_none() {
    check(&[
        (Event::Entry(&entry(5, run(3))), &[Effect::Recover]),
        (Event::Recovered(at(0, 0)), &[opens(5, at(0, 0))]),
        (Event::Durable(at(5, 1)), &[Effect::Commit(Seq(1)), Effect::Serve]),
        (Event::Stopping, &[Effect::StepDown]),
        (Event::Stopping, &[]),
        (Event::Entry(&entry(6, run(3))), &[]),
    ]);
}

/// What may happen to one store with one shard: its process, its disk, the map and how late it learns of the map.
#[derive(Debug, Clone)]
enum Step {
    /// The newest entry of the map arrives; what came between is never seen.
    Learn,
    /// An old entry arrives again.
    LearnOld(prop::sample::Index),
    /// The coordinator gives the shard to the current run, with or without a reason.
    Replace,
    /// The driver answers a pending recovery.
    Recover,
    /// A turn commits.
    Append,
    /// The journal syncs so many of the waiting records.
    Sync(usize),
    /// The process ends, so many of the unsynced records remain, and the next run registers.
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Learn),
        1 => any::<prop::sample::Index>().prop_map(Step::LearnOld),
        2 => Just(Step::Replace),
        4 => Just(Step::Recover),
        4 => Just(Step::Append),
        4 => (0usize..4).prop_map(Step::Sync),
        1 => (0usize..4).prop_map(Step::Restart),
    ]
}

/// One store, its log and the map around the machine.
struct World {
    owner: Owner,
    run: NodeRun,
    map: Vec<Entry>,
    log: Vec<Position>,
    durable: usize,
    recovering: bool,
    /// The epoch that the driver has open, and whether it is served.
    open: Option<(Epoch, bool)>,
    opened: Vec<(Epoch, NodeRun)>,
    committed: Seq,
}

impl World {
    fn new() -> Self {
        Self {
            owner: Owner::new(run(1)),
            run: run(1),
            map: vec![entry(1, run(1))],
            log: Vec::new(),
            durable: 0,
            recovering: false,
            open: None,
            opened: Vec::new(),
            committed: Seq(0),
        }
    }

    fn last(&self) -> Position {
        self.log.last().copied().unwrap_or_default()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Learn => {
                let newest = self.map.last().unwrap().clone();
                self.handle(Event::Entry(&newest));
            }
            Step::LearnOld(which) => {
                let old = which.get(&self.map).clone();
                self.handle(Event::Entry(&old));
            }
            Step::Replace => {
                let epoch = self.map.last().unwrap().epoch.next();
                self.map.push(entry(epoch.0, self.run));
            }
            Step::Recover if self.recovering => {
                self.recovering = false;
                self.handle(Event::Recovered(self.last()));
            }
            Step::Append => {
                if let Some((epoch, true)) = self.open {
                    self.log.push(Position { epoch, seq: self.last().seq.next() });
                }
            }
            Step::Sync(records) if self.durable + records <= self.log.len() && records > 0 => {
                self.durable += records;
                self.handle(Event::Durable(self.log[self.durable - 1]));
            }
            Step::Restart(kept) => self.restart(kept),
            Step::Recover | Step::Sync(_) => {}
        }
    }

    fn restart(&mut self, kept: usize) {
        self.log.truncate(self.durable + kept);
        self.durable = self.log.len();
        self.run = run(self.run.incarnation.0 + 1);
        (self.owner, self.open, self.recovering) = (Owner::new(self.run), None, false);
        // What was committed is there after any crash (I2).
        assert!(self.last().seq >= self.committed);
    }

    fn handle(&mut self, event: Event<'_>) {
        for effect in self.owner.handle(event) {
            match effect {
                Effect::Recover => self.recovering = true,
                Effect::Open { epoch, behind } => {
                    assert_eq!(behind, self.last(), "opens behind the log's end");
                    assert!(epoch > behind.epoch, "I1: a lower epoch never follows");
                    assert!(
                        self.opened.iter().all(|(opened, _)| *opened < epoch),
                        "I1: an epoch is opened once"
                    );
                    assert!(self.open.is_none(), "I1: one epoch at a time");
                    self.opened.push((epoch, self.run));
                    self.log.push(Position { epoch, seq: behind.seq.next() });
                    self.open = Some((epoch, false));
                }
                Effect::Commit(seq) => {
                    let (epoch, _) = self.open.expect("only an open shard commits");
                    let record = self.log[seq.0 as usize - 1];
                    assert_eq!(record, Position { epoch, seq }, "commits records of its own epoch");
                    assert!(self.durable >= seq.0 as usize, "commits only what is on disk");
                    assert!(seq > self.committed, "the commit point only grows");
                    self.committed = seq;
                }
                Effect::Serve => {
                    let (epoch, serving) = self.open.expect("only an open shard is served");
                    assert!(
                        !serving && self.log[self.committed.0 as usize - 1].epoch == epoch,
                        "I3: Open first"
                    );
                    self.open = Some((epoch, true));
                }
                Effect::StepDown => assert!(self.open.take().is_some(), "only an open shard is given up"),
                Effect::Refuse(refusal) => panic!("nothing here is to be refused: {refusal:?}"),
            }
        }
        assert_eq!(self.owner.is_serving(), self.open.is_some_and(|(_, serving)| serving));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn i1_epochs_only_grow_and_never_two_are_open(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        // Healing: a fresh epoch of the living run ends in serving it, whatever came before.
        for step in [Step::Replace, Step::Learn, Step::Recover] {
            world.take(step);
        }
        world.take(Step::Sync(world.log.len() - world.durable));
        prop_assert!(world.owner.is_serving());
    }
}
