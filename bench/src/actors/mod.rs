//! `actors`: what a turn costs beside its floor and beside other frameworks.
//!
//! A rig is a process that runs programs for us, one at a time, so that none of them pays for what another has left in
//! memory; the rigs of a program run in turns, each round in a new random order. Programs that leave much behind get
//! new processes each round. What a rig has to do is in the crate `greenroom-bench-rig`.

mod bars;
mod chart;
mod greenroom;
mod machine;
mod rigs;
mod table;

use std::path::Path;

use anyhow::{Context, Result};
use greenroom_bench_rig::protocol::{Answer, Sample};
use greenroom_bench_rig::{Floor, Map, serve};

pub(crate) use bars::bars;
pub(crate) use chart::draw;
pub(crate) use machine::Machine;
use rigs::{Kind, RIGS, Rig};
use table::{PROGRAMS, Program};

use crate::report::{Report, Unit};

/// The hidden roles.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Greenroom,
    Plain,
    Floor,
    Map,
}

impl Role {
    pub(crate) async fn serve(self) -> Result<()> {
        match self {
            Self::Greenroom => serve(greenroom::Greenroom::start(false).await?).await,
            Self::Plain => serve(greenroom::Greenroom::start(true).await?).await,
            Self::Floor => serve(Floor::default()).await,
            Self::Map => serve(Map::default()).await,
        }
    }
}

/// Measures all programs, or those whose name contains `only`; the other frameworks too if there is a directory with
/// their programs.
pub(crate) async fn run(rounds: u32, only: Option<&str>, peers: Option<&Path>) -> Result<Report> {
    let mut report = Report::default();
    let asked = |program: &&Program| only.is_none_or(|only| program.what.name().contains(only));
    for program in PROGRAMS.iter().filter(asked) {
        measure(&mut report, program, rounds, peers).await?;
    }
    Ok(report)
}

async fn measure(report: &mut Report, program: &Program, rounds: u32, peers: Option<&Path>) -> Result<()> {
    let rounds = if program.fresh { rounds.min(program.fresh_rounds()) } else { rounds };
    let mut rigs: Vec<_> = RIGS.iter().filter(|kind| program.includes(kind)).map(Rig::new).collect();
    rigs.retain(|rig| rig.kind.is_there(peers));
    for round in 1..=rounds {
        fastrand::shuffle(&mut rigs);
        let mut samples = Vec::new();
        for rig in &mut rigs {
            eprint!("\r{}: round {round} of {rounds}, {:<24}", program.title, rig.kind.name);
            let answer = rig.run(program, peers).await;
            match answer.with_context(|| format!("{}, {}", program.title, rig.kind.name))? {
                Answer::Sample(sample) => samples.push((rig.kind, sample)),
                Answer::Unsupported { unsupported } => {
                    rig.lacks = true;
                    report.remark(program.title, rig.kind.name, format!("not supported: {unsupported}"));
                }
                Answer::Failed { error } => {
                    rig.lacks = true;
                    report.remark(program.title, rig.kind.name, format!("failed: {error}"));
                }
            }
        }
        rigs.retain(|rig| !rig.lacks);
        add_round(report, program, samples);
    }
    for rig in rigs {
        rig.stop().await?;
    }
    eprintln!();
    Ok(())
}

/// Adds the samples of a round, in the order of the table.
fn add_round(report: &mut Report, program: &Program, mut samples: Vec<(&'static Kind, Sample)>) {
    samples.sort_by_key(|(kind, _)| RIGS.iter().position(|rig| rig.name == kind.name));
    let base = samples.iter().find(|(kind, _)| kind.name == program.base).map(|(_, sample)| sample);
    for (kind, sample) in &samples {
        for (metric, unit, value) in program.metrics(sample) {
            report.add(program.title, kind.name, metric, unit, value);
        }
        let Some(base) = base.filter(|_| program.compared && kind.name != program.base) else { continue };
        let [wall, cpu] = program.ratios();
        let per = |nanos: u64, sample: &Sample| nanos as f64 / sample.operations as f64;
        let ratio = |of: fn(&Sample) -> u64| per(of(sample), sample) / per(of(base), base);
        report.add(program.title, kind.name, wall, Unit::Ratio, ratio(|sample| sample.wall_ns));
        report.add(program.title, kind.name, cpu, Unit::Ratio, ratio(|sample| sample.cpu_ns));
    }
}
