//! What the user is told, and that it is told once.

use super::world::{Stage, World};
use super::{SMALLEST, at, cluster};
use crate::status::{events, refused};

fn told(world: &World) -> Vec<(String, String, String)> {
    let status = world.cluster.status.as_ref().unwrap();
    let conditions = status.conditions.iter();
    conditions
        .map(|it| (it.type_.clone(), it.status.clone(), format!("{}: {}", it.reason, it.message)))
        .collect()
}

fn row(kind: &str, status: &str, text: &str) -> (String, String, String) {
    (kind.into(), status.into(), text.into())
}

#[test]
fn the_first_status_says_what_is_waited_for() {
    let mut world = World::new(cluster(SMALLEST));
    let plan = world.plan();
    world.carry_out(&plan, usize::MAX);
    let waiting = "NodesNotReady: 0 of 3 nodes serve; demo-0: it has no pod yet";
    let expected = [
        row("Ready", "False", waiting),
        row("Reconciling", "True", waiting),
        row("Stalled", "False", "Unhindered: nothing hinders the cluster"),
    ];
    assert_eq!(told(&world), expected);
    let status = world.cluster.status.unwrap();
    assert_eq!((status.observed_generation, status.replicas, status.ready_replicas), (Some(1), 0, 0));
    assert_eq!(status.selector.unwrap(), "greenroom.dev/cluster=demo,app.kubernetes.io/component=node");
}

#[test]
fn a_cluster_that_serves_says_so_with_its_nodes() {
    let world = World::made();
    let expected = [
        row("Ready", "True", "AllNodesServe: all nodes serve: 3"),
        row("Reconciling", "False", "Settled: nothing is underway"),
        row("Stalled", "False", "Unhindered: nothing hinders the cluster"),
    ];
    assert_eq!(told(&world), expected);
    let status = world.cluster.status.unwrap();
    assert_eq!((status.replicas, status.ready_replicas), (3, 3));
    let node = &status.nodes[1];
    assert_eq!((node.name.as_str(), node.ready, node.shards), ("demo-1", true, Some(10)));
    assert_eq!((node.host.as_deref(), node.message.as_deref()), (Some("host-1"), None));
}

#[test]
fn nothing_is_written_while_nothing_happens() {
    let mut world = World::made();
    let status = world.cluster.status.clone().unwrap();
    for later in [1, 60, 3_600] {
        world.now += later;
        let plan = world.plan();
        assert_eq!((plan.steps, plan.events, plan.status), (vec![], vec![], status.clone()));
    }
    // Nor when nodes do not answer for a while.
    let mut observed = world.observed();
    observed.nodes.clear();
    assert_eq!(crate::plan(&observed, &world.settings, at(world.now)).status, status);
}

#[test]
fn ready_is_never_true_for_a_generation_that_the_nodes_do_not_run() {
    let mut world = World::made();
    world.edit(|cluster| cluster.spec.image = Some("new".into()));
    let generation = world.cluster.metadata.generation;
    for _ in 0..40 {
        let plan = world.plan();
        world.carry_out(&plan, usize::MAX);
        let ready = plan.status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
        assert_eq!(ready.observed_generation, generation);
        let runs_it = world.pods.values().all(|pod| pod.image == "new" && pod.serves());
        assert!(ready.status == "False" || runs_it, "{:?}", world.pods);
        world.control();
        ["demo-0", "demo-1", "demo-2"].iter().for_each(|name| world.go_on(name));
    }
    assert_eq!(world.condition("Ready").status, "True");
}

#[test]
fn a_condition_keeps_its_time_until_it_flips() {
    let mut world = World::made();
    let since = world.condition("Ready").last_transition_time.0;
    world.now += 100;
    world.edit(|cluster| cluster.spec.gateway.port = 443);
    world.converge();
    assert_eq!(world.condition("Ready").last_transition_time.0, since);
    assert_eq!(world.condition("Ready").observed_generation, Some(2));

    world.pods.get_mut("demo-0").unwrap().stage = Stage::Joining;
    let plan = world.plan();
    world.carry_out(&plan, usize::MAX);
    assert_eq!(world.condition("Ready").last_transition_time.0, at(world.now));
    assert!(world.condition("Ready").message.ends_with("demo-0: it is joining the others"));
}

#[test]
fn actors_are_counted_roughly_and_seldom() {
    let mut world = World::made();
    let shown = |world: &mut World, count, later| {
        world.now += later;
        world.pods.get_mut("demo-0").unwrap().activations = count;
        let plan = world.plan();
        world.carry_out(&plan, usize::MAX);
        plan.status.activations.unwrap().total
    };
    assert_eq!(shown(&mut world, 1_234, 100), 1_200);
    assert_eq!(shown(&mut world, 5_000, 59), 1_200);
    assert_eq!(shown(&mut world, 5_000, 1), 5_000);
    assert_eq!(shown(&mut world, 5_400, 600), 5_000);
    assert_eq!(shown(&mut world, 0, 600), 0);
}

#[test]
fn a_refusal_of_the_api_server_is_told_once() {
    let world = World::made();
    let before = world.cluster.status.clone().unwrap();
    let stalled = refused(&before, 2, "Service demo-gateway: port is not valid", at(500));
    let told = events(&before, &stalled);
    assert_eq!((told.len(), told[0].warning, told[0].reason), (1, true, "ApplyFailed"));
    let again = refused(&stalled, 2, "Service demo-gateway: port is not valid", at(900));
    assert_eq!((again == stalled, events(&stalled, &again).len()), (true, 0));
    assert_eq!(stalled.nodes, before.nodes);
}
