//! Calls across nodes: those that wait for each other are found, a lent actor is visited, and who stops waiting ends the
//! turn on the other node.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use greenroom::testing::{Cluster, Simulation};
use greenroom::{Actor, CallError, Cx, Result, actor_methods};
use serde::{Deserialize, Serialize};

/// Knocks at the door of another one while its own is locked.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Door {
    knocks: u32,
}

const PAUSE: Duration = Duration::from_millis(200);

#[actor_methods]
impl Door {
    async fn knock(&mut self) -> u32 {
        self.knocks += 1;
        self.knocks
    }

    async fn knock_at(&mut self, cx: &Cx, other: String) -> Result<u32> {
        tokio::time::sleep(PAUSE).await;
        Ok(cx.actor::<Door>(&other).knock().await?)
    }

    /// Knocks at the other one, which knocks back meanwhile.
    async fn knock_and_answer(&mut self, cx: &Cx, other: String) -> Result<u32> {
        let answered = cx.actor::<Door>(&other).knock_back(cx.key().to_owned());
        Ok(cx.reentrant(self, answered).await?)
    }

    async fn knock_back(&mut self, cx: &Cx, other: String) -> Result<u32> {
        Ok(cx.actor::<Door>(&other).answer().await?)
    }

    #[method(reentrant)]
    async fn answer(&mut self) -> u32 {
        self.knocks += 10;
        self.knocks
    }

    /// Calls the other one, which takes long, and stops waiting after 2 seconds. How many turns of it have ended then.
    async fn wait_for(&mut self, cx: &Cx, other: String, drop: bool) -> Result<usize> {
        let (seen, wait) = (Noted::ended(), Duration::from_secs(2));
        let long = cx.actor::<Door>(&other).hold_noted();
        if drop {
            assert!(tokio::time::timeout(wait, long).await.is_err());
        } else {
            let error = long.timeout(wait).await.unwrap_err();
            assert!(matches!(error, CallError::Timeout { .. }), "{error}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Noted::ended() - seen)
    }

    async fn hold_noted(&mut self) {
        self.knocks += 100;
        let _noted = Noted;
        tokio::time::sleep(Duration::from_secs(8)).await;
    }

    async fn hold(&mut self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// The end of a turn, however it comes.
struct Noted;

static ENDED: AtomicUsize = AtomicUsize::new(0);

impl Noted {
    fn ended() -> usize {
        ENDED.load(Ordering::SeqCst)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        ENDED.fetch_add(1, Ordering::SeqCst);
    }
}

fn simulation() -> Simulation {
    Simulation::new().actor::<Door>().nodes(3)
}

/// A key of each of these nodes.
fn keys_on(cluster: &Cluster, nodes: &[&str]) -> Vec<String> {
    let key = |node: &&str| {
        (0..)
            .map(|number| format!("{node}-{number}"))
            .find(|key| cluster.node_of::<Door>(key) == *node)
            .unwrap()
    };
    nodes.iter().map(key).collect()
}

/// Each knocks at the next one, the last one at the first one. What they are told.
async fn knock_around(cluster: &Cluster, keys: &[String]) -> Vec<Result<u32, CallError>> {
    let nexts = keys.iter().cycle().skip(1);
    join_all(keys.iter().zip(nexts).map(|(key, next)| cluster.actor::<Door>(key).knock_at(next.clone())))
        .await
}

fn is_deadlock(outcome: &Result<u32, CallError>) -> bool {
    matches!(outcome, Err(CallError::App(error)) if error.message.starts_with("deadlock: "))
}

#[test]
fn cycles_over_two_and_three_nodes_fail_one_call_and_the_others_go_on() {
    for nodes in [&["node-0", "node-1"][..], &["node-0", "node-1", "node-2"], &["node-2"; 2]] {
        simulation().seeds(5).run(async |cluster| {
            let keys = keys_on(&cluster, nodes);
            let keys: Vec<_> = match nodes[0] == nodes[1] {
                true => vec![keys[0].clone(), format!("{}x", keys[0])],
                false => keys,
            };
            let begun = cluster.elapsed();
            let outcomes = knock_around(&cluster, &keys).await;
            let took = cluster.elapsed() - begun;
            assert_eq!(outcomes.iter().filter(|outcome| is_deadlock(outcome)).count(), 1, "{outcomes:?}");
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), keys.len() - 1);
            assert!(took < PAUSE + Duration::from_secs(1), "{took:?}");
            Ok(())
        });
    }
}

/// How many cycles were found in a bad network.
static FOUND: AtomicUsize = AtomicUsize::new(0);

#[test]
fn lost_and_late_probes_cost_time_only() {
    simulation().seeds(10).run(async |cluster| {
        cluster.drop_messages(0.1);
        cluster.duplicate_messages(0.2);
        cluster.delay_messages(Duration::from_millis(20));
        let keys = keys_on(&cluster, &["node-0", "node-1", "node-2"]);
        let outcomes = knock_around(&cluster, &keys).await;
        // Some begin too late for a cycle, but none waits until its deadline.
        let found = outcomes.iter().filter(|outcome| is_deadlock(outcome)).count();
        assert!(
            found <= 1 && outcomes.iter().filter(|outcome| outcome.is_ok()).count() == 3 - found,
            "{outcomes:?}"
        );
        FOUND.fetch_add(found, Ordering::Relaxed);
        Ok(())
    });
    assert!(FOUND.load(Ordering::Relaxed) >= 3, "{FOUND:?}");
}

#[test]
fn a_long_wait_over_nodes_is_no_deadlock() {
    simulation().seeds(5).run(async |cluster| {
        cluster.delay_messages(Duration::from_millis(20));
        let keys = keys_on(&cluster, &["node-0", "node-1", "node-2"]);
        let doors: Vec<_> = keys.iter().map(|key| cluster.actor::<Door>(key)).collect();
        let waits = join(doors[0].knock_at(keys[1].clone()), doors[1].knock_at(keys[2].clone()));
        let (held, (first, second)) = join(doors[2].hold(8), waits).await;
        assert_eq!((held, first, second), (Ok(()), Ok(1), Ok(1)));
        Ok(())
    });
}

#[test]
fn a_node_of_the_cycle_that_dies_ends_the_cycle_and_the_next_one_is_found() {
    simulation().seeds(5).run(async |cluster| {
        let keys = keys_on(&cluster, &["node-0", "node-1"]);
        let doors: Vec<_> = keys.iter().map(|key| cluster.actor::<Door>(key)).collect();
        // One half of the cycle dies before the cycle is found; its call is repeated by the client and closes it again.
        let wait = Duration::from_secs(60);
        let calls = join(
            doors[0].knock_at(keys[1].clone()).timeout(wait),
            doors[1].knock_at(keys[0].clone()).timeout(wait),
        );
        let crash = async {
            cluster.advance(PAUSE + Duration::from_millis(2)).await;
            cluster.kill("node-1");
            cluster.advance(Duration::from_secs(1)).await;
            cluster.restart("node-1");
        };
        let ((first, second), ()) = join(calls, crash).await;
        for outcome in [&first, &second] {
            assert!(outcome.is_ok() || is_deadlock(outcome), "{first:?} {second:?}");
        }
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        // And nothing is left over: both can be called.
        join_all(doors.iter().map(|door| door.knock())).await.into_iter().for_each(|knock| {
            knock.unwrap();
        });
        Ok(())
    });
}

/// What comes back comes over the mesh, is repeated there, and runs once inside the turn that lends its actor.
#[test]
fn a_lent_actor_is_visited_from_another_node() {
    simulation().seeds(10).run(async |cluster| {
        cluster.drop_messages(0.1);
        cluster.duplicate_messages(0.3);
        let keys = keys_on(&cluster, &["node-0", "node-1"]);
        let door = cluster.actor::<Door>(&keys[0]);
        let wait = Duration::from_secs(60);
        assert_eq!(door.knock_and_answer(keys[1].clone()).timeout(wait).await?, 10);
        assert_eq!(door.knock().timeout(wait).await?, 11);
        cluster.restart("node-0");
        assert_eq!(door.knock().timeout(wait).await?, 12);
        Ok(())
    });
}

#[test]
fn who_stops_waiting_ends_the_turn_on_the_other_node() {
    for drop in [false, true] {
        simulation().run(async move |cluster| {
            let keys = keys_on(&cluster, &["node-0", "node-1"]);
            let (here, there) = (cluster.actor::<Door>(&keys[0]), cluster.actor::<Door>(&keys[1]));
            assert_eq!(here.wait_for(keys[1].clone(), drop).await?, 1, "dropped: {drop}");
            assert_eq!(there.knock().await?, 1, "it has been rolled back");
            Ok(())
        });
    }
}
