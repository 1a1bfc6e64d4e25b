//! The properties of a roll, over a world in which everybody acts in any order and the operator may stop anywhere.

use proptest::prelude::*;

use super::world::{Stage, World};
use super::{SMALLEST, cluster};
use crate::step::{Plan, Step};

fn pod_of(plan: &Plan) -> Option<&str> {
    plan.steps.iter().find_map(|step| match step {
        Step::Drain { pod } | Step::DeletePod { pod } => Some(pod.name.as_str()),
        _ => None,
    })
}

fn set_image(world: &mut World, image: &str) {
    world.edit(|cluster| cluster.spec.image = Some(image.into()));
}

/// Applies what is to be applied, and lets Kubernetes see it.
fn applied(world: &mut World) -> Plan {
    let plan = world.plan();
    world.carry_out(&plan, usize::MAX);
    world.control();
    world.plan()
}

#[test]
fn a_node_is_drained_then_deleted_and_the_next_waits_until_it_serves() {
    let mut world = World::made();
    set_image(&mut world, "new");
    let plan = applied(&mut world);
    assert!(matches!(plan.steps.as_slice(), [Step::Drain { pod }] if pod.name == "demo-2"), "{plan:?}");
    assert_eq!(plan.events, []);
    world.carry_out(&plan, usize::MAX);
    assert_eq!(world.pods["demo-2"].stage, Stage::Draining);
    world.go_on("demo-2");

    let plan = world.plan();
    let pod = &world.pods["demo-2"];
    let Step::DeletePod { pod: deleted } = &plan.steps[0] else { panic!("{plan:?}") };
    assert_eq!((&deleted.uid, &deleted.resource_version), (&pod.uid.to_string(), &pod.version.to_string()));
    assert_eq!(plan.events[0].reason, "TemplateChanged");
    world.carry_out(&plan, usize::MAX);
    // While it ends, is made, and joins, no other is touched.
    assert_eq!(world.plan().steps, []);
    world.control();
    for _ in 0..2 {
        assert_eq!(world.plan().steps, []);
        world.go_on("demo-2");
    }
    assert_eq!(pod_of(&world.plan()), Some("demo-1"));
}

#[test]
fn the_next_is_who_does_not_serve_then_who_has_fewest_actors() {
    let mut world = World::made();
    for (name, activations) in [("demo-0", 5), ("demo-1", 2), ("demo-2", 9)] {
        world.pods.get_mut(name).unwrap().activations = activations;
    }
    set_image(&mut world, "new");
    assert_eq!(pod_of(&applied(&mut world)), Some("demo-1"));
    world.pods.get_mut("demo-2").unwrap().stage = Stage::Joining;
    let plan = world.plan();
    assert!(matches!(plan.steps.as_slice(), [Step::DeletePod { pod }] if pod.name == "demo-2"), "{plan:?}");
}

#[test]
fn nothing_is_decided_on_a_statefulset_that_its_controller_has_not_seen() {
    let mut world = World::made();
    set_image(&mut world, "new");
    applied(&mut world);
    // Back again: no pod is outdated any more, but the controller still says so of all.
    world.edit(|cluster| cluster.spec.image = None);
    let plan = world.plan();
    world.carry_out(&plan, usize::MAX);
    assert_eq!(world.plan().steps, []);
}

#[test]
fn a_node_that_does_not_answer_holds_the_roll_up() {
    let mut world = World::made();
    set_image(&mut world, "new");
    applied(&mut world);
    let mut observed = world.observed();
    observed.nodes.remove("demo-0");
    assert_eq!(crate::plan(&observed, &world.settings, super::at(0)).steps, []);
}

#[test]
fn a_pod_that_never_becomes_ready_stops_the_roll() {
    let mut world = World::made();
    set_image(&mut world, "broken");
    world.converge();
    assert_eq!(world.serving(), 2);
    assert_eq!(world.pods.values().filter(|pod| pod.image == "broken").count(), 1);
    assert_eq!(world.condition("Stalled").reason, "NodeFailing");
    assert!(world.condition("Stalled").message.starts_with("demo-2: its image cannot be pulled; "));
    // Another node that stops running meanwhile does not get the broken template either.
    world.pods.get_mut("demo-0").unwrap().stage = Stage::Made;
    assert_eq!(world.plan().steps, []);
    world.go_on("demo-0");
    world.go_on("demo-0");

    set_image(&mut world, "repaired");
    world.converge();
    assert!(world.pods.values().all(|pod| pod.image == "repaired" && pod.serves()));
}

#[test]
fn a_cluster_that_never_ran_can_be_corrected() {
    let mut world = World::new(cluster(SMALLEST));
    world.cluster.spec.image = Some("broken".into());
    world.converge();
    assert_eq!(world.serving(), 0);
    set_image(&mut world, "good");
    world.converge();
    assert_eq!(world.serving(), 3);
}

/// A drain cannot be taken back, so who was drained is started anew even if nothing is to be changed any more.
#[test]
fn a_drained_node_is_started_again_though_the_change_was_taken_back() {
    let mut world = World::made();
    world.pods.get_mut("demo-1").unwrap().stage = Stage::Drained;
    let plan = world.plan();
    assert!(matches!(plan.steps.as_slice(), [Step::DeletePod { pod }] if pod.name == "demo-1"));
    assert_eq!(plan.events[0].reason, "NodeDrained");
    world.converge();
    assert_eq!(world.serving(), 3);
}

/// Who acts next.
#[derive(Debug, Clone)]
enum Move {
    /// The operator, started anew, does at most so many steps of its plan.
    Operator(usize),
    Controller,
    Kubelet(u8),
    /// The user wants another image.
    Image(u8),
    /// A program ends and is started again.
    Crash(u8),
}

fn moves(crashes: bool) -> impl Strategy<Value = Vec<Move>> {
    let image = (0u8..4).prop_map(Move::Image);
    let crash = (0u8..3).prop_map(move |node| if crashes { Move::Crash(node) } else { Move::Controller });
    let one = prop_oneof![
        8 => (0usize..4).prop_map(Move::Operator),
        4 => Just(Move::Controller),
        8 => (0u8..3).prop_map(Move::Kubelet),
        1 => image,
        1 => crash,
    ];
    prop::collection::vec(one, 1..120)
}

const IMAGES: [&str; 4] = ["one", "two", "broken", "three"];

/// Makes a move; a plan is checked against the world before it is carried out.
fn make(world: &mut World, next: &Move) -> Result<(), TestCaseError> {
    world.now += 1;
    match next {
        Move::Operator(at_most) => {
            let plan = world.plan();
            check(world, &plan)?;
            world.carry_out(&plan, *at_most);
        }
        Move::Controller => world.control(),
        Move::Kubelet(node) => world.go_on(&format!("demo-{node}")),
        Move::Image(image) => set_image(world, IMAGES[usize::from(*image)]),
        Move::Crash(node) => {
            let pod = world.pods.get_mut(&format!("demo-{node}")).filter(|pod| pod.stage != Stage::Drained);
            pod.into_iter().for_each(|pod| pod.stage = Stage::Made);
        }
    }
    Ok(())
}

/// At most one pod is touched; one that serves only while all others do; and no pod goes while another is missing,
/// unless it is drained and could do nothing but wait.
fn check(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    let touched: Vec<_> =
        plan.steps.iter().filter(|it| matches!(it, Step::Drain { .. } | Step::DeletePod { .. })).collect();
    prop_assert!(touched.len() <= 1, "{:?}", plan.steps);
    let Some(name) = pod_of(plan) else { return Ok(()) };
    prop_assert_eq!(plan.steps.len(), 1, "a roll waits until all is applied");
    let pod = &world.pods[name];
    let others = || world.pods.iter().filter(|(other, _)| *other != name);
    if pod.stage == Stage::Active {
        prop_assert!(matches!(plan.steps[0], Step::Drain { .. }), "{} serves and is deleted", name);
        prop_assert!(others().count() == 2 && others().all(|(_, pod)| pod.serves()), "{:?}", world.pods);
    } else if !matches!(pod.stage, Stage::Draining | Stage::Drained) {
        prop_assert!(others().count() == 2 && others().all(|(_, pod)| !pod.ending), "{:?}", world.pods);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn never_two_pods_at_once(moves in moves(false)) {
        let mut world = World::made();
        for next in &moves {
            make(&mut world, next)?;
            prop_assert!(world.serving() >= 2, "{:?}", world.pods);
        }
    }

    #[test]
    fn re_entrant_after_a_crash_at_any_point(moves in moves(true), last in 0u8..4) {
        let mut world = World::made();
        for next in &moves {
            make(&mut world, next)?;
        }
        let image = IMAGES[usize::from(last)];
        set_image(&mut world, image);
        world.converge();
        let with_image = world.pods.values().filter(|pod| pod.image == image).count();
        if image == "broken" {
            prop_assert_eq!(world.condition("Ready").status.as_str(), "False");
        } else {
            prop_assert_eq!((with_image, world.serving()), (3, 3));
            prop_assert_eq!(world.condition("Ready").status.as_str(), "True");
        }
    }
}
