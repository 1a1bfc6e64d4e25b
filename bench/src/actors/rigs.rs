//! The rigs and their processes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use greenroom_bench_rig::protocol::Answer;
use tokio::process::Command;

use super::table::Program;
use crate::peer::Peer;

/// The names of the rigs that others are compared with.
pub(super) const GREENROOM: &str = "greenroom";
pub(super) const PLAIN: &str = "greenroom, a plain fn";
pub(super) const FLOOR: &str = "floor: a task and a channel per actor";
pub(super) const MAP: &str = "bare look-up in a map";
pub(super) const PROTOACTOR: &str = "protoactor-go";

/// A rig that there may be.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) start: Start,
    /// Whether it is a framework in Rust other than ours.
    pub(super) is_rust_peer: bool,
}

/// How its process is started.
pub(super) enum Start {
    /// This program in this role.
    Role(&'static str),
    /// A program in the directory of the peers, with its arguments.
    Peer(&'static str, &'static [&'static str]),
    /// Java classes in a directory of the peers, and the one with the main function.
    Java(&'static str, &'static str),
}

const fn ours(name: &'static str, role: &'static str) -> Kind {
    Kind { name, start: Start::Role(role), is_rust_peer: false }
}

const fn rust(name: &'static str, arguments: &'static [&'static str]) -> Kind {
    Kind { name, start: Start::Peer("release/greenroom-bench-peers", arguments), is_rust_peer: true }
}

/// All of them, in the order of the table.
pub(super) const RIGS: &[Kind] = &[
    ours(GREENROOM, "rig-greenroom"),
    ours(PLAIN, "rig-plain"),
    ours(FLOOR, "rig-floor"),
    ours(MAP, "rig-map"),
    rust("ractor", &["ractor"]),
    rust("kameo", &["kameo"]),
    rust("actix", &["actix"]),
    rust("coerce", &["coerce"]),
    Kind { name: PROTOACTOR, start: Start::Peer("protoactor", &[]), is_rust_peer: false },
    Kind { name: "Pekko (JVM)", start: Start::Java("pekko", "Main"), is_rust_peer: false },
];

impl Kind {
    /// What has to be there.
    fn file(&self, peers: &Path) -> Option<PathBuf> {
        match self.start {
            Start::Role(_) => None,
            Start::Peer(program, _) => Some(peers.join(program)),
            Start::Java(classes, _) => Some(peers.join(classes)),
        }
    }

    /// Whether it can be run, if the other frameworks' programs are in this directory.
    pub(super) fn is_there(&self, peers: Option<&Path>) -> bool {
        match (&self.start, peers) {
            (Start::Role(_), _) => true,
            (_, None) => false,
            (_, Some(peers)) => self.file(peers).is_some_and(|file| file.exists()),
        }
    }

    fn process(&self, peers: Option<&Path>) -> Result<Peer> {
        let mut command = match self.start {
            Start::Role(role) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(role);
                command
            }
            Start::Peer(_, arguments) => {
                let mut command = Command::new(peers.and_then(|peers| self.file(peers)).context("no peers")?);
                command.args(arguments);
                command
            }
            Start::Java(_, main) => {
                let classes = peers.and_then(|peers| self.file(peers)).context("no peers")?;
                let mut command = Command::new("java");
                // Room for a million actors, and a collector that uses every core.
                command.args(["-Xmx6g", "-XX:+UseParallelGC", "-cp"]);
                command.arg(format!("{0}/classes:{0}/lib/*", classes.display())).arg(main);
                command
            }
        };
        Peer::spawn(&mut command)
    }
}

/// A rig and its process, if that runs.
pub(super) struct Rig {
    pub(super) kind: &'static Kind,
    /// Whether it cannot do the program.
    pub(super) lacks: bool,
    process: Option<Peer>,
}

impl Rig {
    pub(super) fn new(kind: &'static Kind) -> Self {
        Self { kind, lacks: false, process: None }
    }

    /// One round.
    pub(super) async fn run(&mut self, program: &Program, peers: Option<&Path>) -> Result<Answer> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => {
                let mut process = self.kind.process(peers)?;
                for _ in 0..self.kind.warm_ups(program) {
                    order(&mut process, program, program.warm_up).await?;
                }
                process
            }
        };
        let answer = order(&mut process, program, program.n).await?;
        if program.fresh {
            process.stop().await?;
        } else {
            self.process = Some(process);
        }
        Ok(answer)
    }

    pub(super) async fn stop(self) -> Result<()> {
        match self.process {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }
}

impl Kind {
    /// How often a new process runs a program before it counts: what is compiled while it runs needs more.
    fn warm_ups(&self, program: &Program) -> u32 {
        match self.start {
            _ if program.warm_up == 0 => 0,
            Start::Java(..) => 3,
            _ => 1,
        }
    }
}

async fn order(process: &mut Peer, program: &Program, n: u64) -> Result<Answer> {
    process.tell(&format!("run {} {n}", program.what.name())).await?;
    let line = process.line().await?;
    serde_json::from_str(&line).with_context(|| format!("cannot understand {line:?}"))
}
