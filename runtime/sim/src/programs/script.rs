//! A program as data: what clients ask at which times, what each turn then does, and what goes wrong meanwhile.
//!
//! Every part has a number, in the order in which it was drawn. A part can be left out by its number, with all that is
//! in it; so a failing program is shrunk without a file of its own: a seed, and the numbers to leave out.

use std::collections::BTreeSet;
use std::fmt;

use greenroom_testing::Conditions;
use serde::{Deserialize, Serialize};

use super::cast::Who;
use super::steps::{Act, Sends};
use crate::faults::Fault;

/// The number of a part of a program.
pub type PartId = u32;

/// What one turn does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Script {
    pub(crate) id: PartId,
    pub(crate) steps: Vec<Step>,
}

/// One thing that a turn does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) id: PartId,
    pub(crate) act: Act,
}

/// Everything that happens, and under which conditions.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) nodes: usize,
    pub(crate) shards: greenroom_core::ShardCount,
    /// Nothing goes wrong at all: then more is promised.
    pub(crate) calm: bool,
    pub(crate) conditions: Conditions,
    pub(crate) cast: Vec<Who>,
    pub(crate) items: Vec<Item>,
}

/// Something that begins at a time.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: PartId,
    pub(crate) at_ms: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Ask(Ask),
    Fault(Fault),
    /// Nodes that start from now on have the next version of the program.
    Upgrade,
}

/// A call by a client.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) to: Who,
    /// `None`: the client looks at the actor, or follows it.
    pub(crate) script: Option<Script>,
    pub(crate) follows: bool,
    /// How long the client goes on.
    pub(crate) patience_ms: u64,
    /// How long it waits for one attempt.
    pub(crate) attempt_ms: u64,
    /// It does not repeat the call.
    pub(crate) once: bool,
    /// When an attempt takes too long, it closes the connection, which cancels the turn.
    pub(crate) hangs_up: bool,
    /// It calls once more when it has been answered.
    pub(crate) again: bool,
}

impl Script {
    /// Whether its turn cannot end well, whatever happens.
    pub(crate) fn is_doomed(&self) -> bool {
        self.steps.iter().any(|step| step.act.dooms())
    }

    /// Whether a keeper that hears it keeps it from others.
    pub(crate) fn is_consumed(&self) -> bool {
        self.id.is_multiple_of(2)
    }

    /// Whether its turn ends well if nothing goes wrong around it, now or later.
    pub(crate) fn is_sure(&self) -> bool {
        self.steps.iter().all(|step| step.act.is_sure())
    }

    /// Calls `each` with all that it sends, what is sent from there included.
    pub(crate) fn sends<'a>(&'a self, at: Who, each: &mut impl FnMut(&'a Script, Who, &Sends<'a>)) {
        for sends in self.steps.iter().flat_map(|step| step.act.sends()) {
            each(self, at, &sends);
            sends.script.sends(sends.to.from(at), each);
        }
    }

    fn without(&mut self, left_out: &BTreeSet<PartId>) {
        self.steps.retain(|step| !left_out.contains(&step.id));
        for step in &mut self.steps {
            step.act.scripts_mut().into_iter().for_each(|script| script.without(left_out));
        }
    }

    fn parts(&self, into: &mut Vec<PartId>) {
        for step in &self.steps {
            // A tick belongs to its reminder.
            into.extend(Some(step.id).filter(|id| *id > 0));
            step.act.sends().iter().for_each(|sends| sends.script.parts(into));
        }
    }
}

impl Program {
    /// The program without these parts.
    pub(crate) fn without(mut self, left_out: &BTreeSet<PartId>) -> Self {
        self.items.retain(|item| !left_out.contains(&item.id));
        for item in &mut self.items {
            if let What::Ask(Ask { script: Some(script), .. }) = &mut item.what {
                script.without(left_out);
            }
        }
        self
    }

    /// The numbers of all parts.
    pub(crate) fn parts(&self) -> Vec<PartId> {
        let mut parts: Vec<_> = self.items.iter().map(|item| item.id).collect();
        for (_, script) in self.scripts() {
            script.parts(&mut parts);
        }
        parts
    }

    /// What clients have done, and to whom.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = (Who, &Script)> {
        self.items.iter().filter_map(|item| match &item.what {
            What::Ask(Ask { to, script: Some(script), .. }) => Some((*to, script)),
            _ => None,
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} nodes, {} shards, {:?}", self.nodes, self.shards.get(), self.conditions)?;
        for Item { id, at_ms, what } in &self.items {
            match what {
                What::Fault(fault) => writeln!(f, "{at_ms:>6} ms  №{id} {fault:?}")?,
                What::Upgrade => writeln!(f, "{at_ms:>6} ms  №{id} the next version")?,
                What::Ask(ask) => {
                    write!(f, "{at_ms:>6} ms  №{id} {} ", ask.to)?;
                    match &ask.script {
                        Some(script) => write!(f, "runs {script}")?,
                        None if ask.follows => write!(f, "is followed")?,
                        None => write!(f, "is looked at")?,
                    }
                    let Ask { patience_ms, attempt_ms, once, hangs_up, again, .. } = ask;
                    write!(f, " (within {patience_ms} ms, attempts of {attempt_ms} ms")?;
                    for (so, what) in [(once, "once"), (hangs_up, "hangs up"), (again, "again")] {
                        if *so {
                            write!(f, ", {what}")?;
                        }
                    }
                    writeln!(f, ")")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "№{} {{", self.id)?;
        for (nth, step) in self.steps.iter().enumerate() {
            let comma = if nth == 0 { " " } else { ", " };
            write!(f, "{comma}№{} {}", step.id, step.act)?;
        }
        write!(f, " }}")
    }
}
