//! `greenroom::testing`: what a test does to its cluster happens, nothing that was acknowledged is lost by it, and one
//! seed is one history.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use greenroom::testing::{Cluster, Simulation};
use greenroom::{
    Actor, CallError, CallOptions, Counter, Cx, FilteredCall, RequestContext, Result, actor_methods,
};
use serde::{Deserialize, Serialize};

/// Notes whom it met, and introduces others to each other.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(idle_timeout = "1m")]
struct Guest {
    met: Vec<String>,
}

#[actor_methods]
impl Guest {
    async fn meet(&mut self, other: String) -> usize {
        self.met.push(other);
        self.met.len()
    }

    async fn introduce(&mut self, cx: &Cx, to: String) -> Result<usize> {
        let met = cx.actor::<Guest>(&to).meet(cx.key().to_owned()).await?;
        self.met.push(to);
        Ok(met)
    }

    async fn meet_slowly(&mut self, other: String) -> usize {
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.met.push(other);
        self.met.len()
    }

    /// Whom the request context names, there and at the actor that is asked from there.
    async fn tenant(&self, cx: &Cx) -> Result<Option<String>> {
        if cx.key() == "asked" {
            Ok(cx.request("tenant").map(str::to_owned))
        } else {
            Ok(cx.actor::<Guest>("asked").tenant().await?)
        }
    }

    async fn met(&self) -> Vec<String> {
        self.met.clone()
    }
}

fn simulation() -> Simulation {
    Simulation::new().actor::<Counter>().actor::<Guest>()
}

/// A key whose counter lives on this node.
fn key_on(cluster: &Cluster, node: &str) -> String {
    (0..).map(|number| format!("key-{number}")).find(|key| cluster.node_of::<Counter>(key) == node).unwrap()
}

/// The same trouble for every seed.
async fn trouble(cluster: Cluster) -> greenroom::testing::Result {
    cluster.drop_messages(0.1);
    cluster.duplicate_messages(0.2);
    cluster.delay_messages(Duration::from_millis(20));
    let guests: Vec<_> = (0..4).map(|number| cluster.actor::<Guest>(format!("g{number}"))).collect();
    for round in 0..5 {
        let node = format!("node-{}", cluster.random(0..3));
        match round % 3 {
            0 => cluster.kill(&node),
            1 => cluster.pause(&node, Duration::from_secs(1)),
            _ => cluster.slow_disk(&node),
        }
        let calls =
            (0..3).map(|number| guests[number].introduce("g3".into()).timeout(Duration::from_secs(60)));
        let restart = async {
            cluster.advance(Duration::from_secs(2)).await;
            cluster.restart(&node);
        };
        let (met, ()) = futures_util::join!(join_all(calls), restart);
        assert!(met.iter().all(std::result::Result::is_ok), "{met:?}");
    }
    cluster.heal();
    // Each introduction was applied once, however often it was sent.
    assert_eq!(guests[3].met().await?.len(), 15);
    for guest in &guests[..3] {
        assert_eq!(guest.met().await?, ["g3"; 5]);
    }
    Ok(())
}

#[test]
fn every_seed_comes_through_the_same_trouble() {
    simulation().seeds(20).run(trouble);
}

#[test]
fn a_seed_run_twice_gives_the_same_history() {
    for seed in 0..5 {
        assert_eq!(simulation().history(seed, trouble), simulation().history(seed, trouble));
    }
    assert_ne!(simulation().history(1, trouble).hash, simulation().history(2, trouble).hash);
}

#[test]
fn a_killed_node_keeps_its_store_and_serves_again_when_it_is_restarted() {
    simulation().run(async |cluster| {
        let counter = cluster.actor::<Counter>("a");
        counter.add(3).await?;
        let node = cluster.node_of::<Counter>("a");
        assert_eq!(cluster.active_on::<Counter>("a"), Some(node.clone()));

        cluster.kill(&node);
        assert!(!cluster.is_running(&node));
        assert_eq!(cluster.active_on::<Counter>("a"), None);
        assert!(matches!(counter.total().await, Err(CallError::Unavailable(_) | CallError::Timeout { .. })));

        cluster.restart(&node);
        assert_eq!(counter.total().await?, 3);
        assert_eq!(cluster.node_of::<Counter>("a"), node);
        Ok(())
    });
}

#[test]
fn a_restart_loses_what_was_in_memory_only() {
    #[derive(Actor, Default, Serialize, Deserialize)]
    #[actor(volatile)]
    struct Mood {
        happy: bool,
    }

    #[actor_methods]
    impl Mood {
        async fn cheer(&mut self) {
            self.happy = true;
        }
        async fn happy(&self) -> bool {
            self.happy
        }
    }

    Simulation::new().actor::<Mood>().nodes(1).run(async |cluster| {
        let mood = cluster.actor::<Mood>("a");
        mood.cheer().await?;
        assert!(mood.happy().await?);
        cluster.restart("node-0");
        assert!(!mood.happy().await?);
        Ok(())
    });
}

#[test]
fn virtual_time_runs_everything_that_is_due_on_the_way() {
    simulation().run(async |cluster| {
        let guest = cluster.actor::<Guest>("ada");
        guest.meet("bob".into()).await?;
        cluster.advance(Duration::from_secs(50)).await;
        assert!(cluster.active_on::<Guest>("ada").is_some());
        cluster.advance(Duration::from_secs(20)).await;
        assert_eq!(cluster.active_on::<Guest>("ada"), None, "it was idle for more than a minute");
        let before = cluster.elapsed();
        cluster.advance(Duration::from_hours(24)).await;
        assert_eq!(cluster.elapsed() - before, Duration::from_hours(24));
        assert_eq!(guest.met().await?, ["bob"]);
        Ok(())
    });
}

#[test]
fn a_partition_separates_nodes_until_it_is_healed() {
    simulation().run(async |cluster| {
        let key = key_on(&cluster, "node-2");
        cluster.partition(&["node-0"], &["node-2"]);
        let brief = Duration::from_secs(3);
        let through_0 = cluster.client_of("node-0").actor::<Counter>(&key);
        let through_1 = cluster.client_of("node-1").actor::<Counter>(&key);
        through_1.add(1).timeout(brief).await?;
        assert!(through_0.add(1).timeout(brief).await.is_err());
        cluster.heal();
        through_0.add(1).timeout(brief).await?;
        assert_eq!(through_1.total().await?, 2);
        Ok(())
    });
}

#[test]
fn a_node_that_is_stopped_finishes_its_turns() {
    simulation().run(async |cluster| {
        let guest = cluster.actor::<Guest>("ada");
        let node = cluster.node_of::<Guest>("ada");
        let stop = async {
            cluster.advance(Duration::from_secs(1)).await;
            cluster.stop(&node).await;
            assert!(!cluster.is_running(&node));
        };
        let (met, ()) = futures_util::join!(guest.meet_slowly("bob".into()), stop);
        assert_eq!(met?, 1);
        cluster.restart(&node);
        assert_eq!(guest.met().await?, ["bob"]);
        Ok(())
    });
}

#[test]
fn actors_are_served_while_the_register_is_away() {
    simulation().run(async |cluster| {
        cluster.lose_register();
        for number in 0..20 {
            cluster.actor::<Counter>(format!("c{number}")).add(1).await?;
        }
        Ok(())
    });
}

#[test]
fn a_client_calls_by_name_too() {
    simulation().run(async |cluster| {
        let target = "Counter/a".parse()?;
        let reply = cluster.client().call_json(&target, "add", r#"{"by":3}"#, CallOptions::default()).await;
        assert_eq!(reply.unwrap(), "3");

        let request = RequestContext::of([("tenant", "acme")])?;
        let options = CallOptions { request, ..CallOptions::default() };
        let reply = cluster.client().call_json(&"Guest/a".parse()?, "tenant", "{}", options).await;
        assert_eq!(reply.unwrap(), r#""acme""#);
        Ok(())
    });
}

#[test]
fn the_filters_of_a_client_see_what_it_sends_and_can_refuse_it() {
    simulation().run(async |cluster| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        let client = cluster.client().outgoing(move |call: &mut FilteredCall| {
            notes.lock().unwrap().push(format!("{:?} {}.{}", call.way(), call.target(), call.method()));
            match call.method() {
                "met" => Err(CallError::Refused("nobody's business".into())),
                _ => {
                    call.set_request("tenant", "acme").map_err(|error| CallError::Invalid(error.to_string()))
                }
            }
        });
        let guest = client.actor::<Guest>("a");
        assert_eq!(guest.tenant().await?.as_deref(), Some("acme"));
        guest.meet("bob".into()).tell()?;
        assert_eq!(guest.met().await, Err(CallError::Refused("nobody's business".into())));
        let by_name = client.call_json(&"Guest/a".parse()?, "tenant", "{}", CallOptions::default()).await;
        assert_eq!(by_name.unwrap(), r#""acme""#);
        let by_name = client.call_json(&"Guest/a".parse()?, "met", "{}", CallOptions::default()).await;
        assert_eq!(by_name.unwrap_err().kind(), "refused");
        let expected = [
            "Call Guest/a.tenant",
            "Tell Guest/a.meet",
            "Call Guest/a.met",
            "Call Guest/a.tenant",
            "Call Guest/a.met",
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
        // Without the filter it is another client.
        assert_eq!(cluster.client().actor::<Guest>("a").tenant().await?, None);
        Ok(())
    });
}

#[test]
fn a_failing_body_fails_the_test() {
    let fails = |body: fn(&Cluster) -> greenroom::testing::Result| {
        let run = || simulation().run(async |cluster| body(&cluster));
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
    };
    assert_eq!(fails(|_| panic!("on purpose")).unwrap(), "on purpose");
    assert_eq!(fails(|_| Err("on purpose".into())).unwrap(), "the test returned an error: on purpose");
    assert_eq!(
        fails(|cluster| {
            cluster.kill("node-7");
            Ok(())
        })
        .unwrap(),
        "no node is named \"node-7\"; there are node-0, node-1, node-2"
    );
}

#[test]
fn a_body_that_waits_for_ever_fails() {
    let run = || simulation().run(async |_| std::future::pending().await);
    let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("for something that never comes"));
}

#[test]
fn a_failure_says_how_to_replay_it_and_the_replay_fails_alike() {
    const ME: &str = "a_failure_says_how_to_replay_it_and_the_replay_fails_alike";
    const FAIL: &str = "GREENROOM_TEST_FAILS";
    if std::env::var_os(FAIL).is_some() {
        simulation().seeds(50).run(async |cluster| {
            cluster.actor::<Counter>("a").add(1).await?;
            assert!(cluster.random(0..4) > 0, "bad luck at {:?}", cluster.elapsed());
            Ok(())
        });
        return;
    }
    // In a process of its own, so that its output can be read.
    let fails = |seed: Option<&str>| {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", ME, "--nocapture", "--test-threads=2"])
            .env(FAIL, "1")
            .env("RUST_BACKTRACE", "0");
        test.env_remove("GREENROOM_SEED").env_remove("GREENROOM_SEEDS");
        test.envs(seed.map(|seed| ("GREENROOM_SEED", seed)));
        let output = test.output().unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        let told = text.split_once("bad luck at").expect("the body's own message comes first").1.to_owned();
        let seed = told.split_once("GREENROOM_SEED=").unwrap().1.split(' ').next().unwrap().to_owned();
        assert!(told.contains(&format!("GREENROOM_SEED={seed} cargo test {ME}")), "{told}");
        assert!(told.contains("Counter/a.add through node-"), "{told}");
        (seed, told)
    };
    let (seed, told) = fails(None);
    assert_eq!(fails(Some(&seed)), (seed, told));
}
