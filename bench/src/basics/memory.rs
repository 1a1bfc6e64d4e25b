//! Memory: of an idle node, and of an idle activation. Each round is a process of its own, so that no earlier one has
//! left it memory to use again.

use std::collections::BTreeMap;

use anyhow::Result;
use greenroom::{Actor, Runtime, actor_methods};
use greenroom_bench_rig::stopwatch::resident_bytes;
use serde::{Deserialize, Serialize};

use super::mesh::environment;
use crate::peer::Peer;
use crate::report::{Report, Unit};

const ACTIVATIONS: u32 = 100_000;

/// The smallest actor that has a state.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Idler {
    calls: u64,
}

#[actor_methods]
impl Idler {
    async fn wake(&mut self) {
        self.calls += 1;
    }
}

/// The hidden role `activations`: tells by how many bytes memory has grown per activation.
pub(crate) async fn grow() -> Result<()> {
    let runtime = Runtime::local().actor::<Idler>().start().await?;
    runtime.actor::<Idler>("warm-up").wake().await?;
    let before = resident_bytes()?;
    for i in 0..ACTIVATIONS {
        runtime.actor::<Idler>(format!("actor-{i:07}")).wake().await?;
    }
    println!("{}", (resident_bytes()? - before) / u64::from(ACTIVATIONS));
    Ok(())
}

pub(super) async fn run(report: &mut Report, rounds: u32) -> Result<()> {
    for round in 1..=rounds {
        eprint!("\rmemory: round {round} of {rounds} ");
        let directory = crate::scratch()?;
        let mut node = Peer::start("node", &environment("bench-0", directory.path()))?;
        let resident = node.line().await?.parse()?;
        node.stop().await?;
        let mut activations = Peer::start("activations", &BTreeMap::new())?;
        let each = activations.line().await?.parse()?;
        activations.stop().await?;
        report.add("memory", "a node without calls", "resident", Unit::Bytes, resident);
        report.add("memory", "an idle activation, of 100,000", "resident", Unit::Bytes, each);
    }
    eprintln!();
    Ok(())
}
