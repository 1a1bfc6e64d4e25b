//! The lines between the bench and a rig: `run PROGRAM N` one way, an [`Answer`] as JSON the other.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// What a rig may be asked to do, with its name on the line; N is how often, or of what size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// N asks: 100 callers, an actor of its own each.
    Ping,
    /// N asks of one actor by 256 callers; then the same once more, with a look at each call.
    Hot,
    /// N asks of random ones of 100,000 actors by their keys.
    Random,
    /// N one-way messages from one caller to one actor.
    OneWay,
    /// N times one caller asks 10 actors at once and waits for all.
    FanOut10,
    /// N times one caller asks 1,000 actors at once and waits for all.
    FanOut1000,
    /// A tree of actors with N leaves adds up their numbers.
    Skynet,
    /// N new actors, each asked once.
    Activation,
    /// The memory of N actors that have been asked once.
    Idle,
    /// N actors at 30 ticks a second, for some seconds.
    Ticks,
}

impl Program {
    const NAMES: [(Self, &'static str); 10] = [
        (Self::Ping, "ping"),
        (Self::Hot, "hot"),
        (Self::Random, "random"),
        (Self::OneWay, "one-way"),
        (Self::FanOut10, "fan-out-10"),
        (Self::FanOut1000, "fan-out-1000"),
        (Self::Skynet, "skynet"),
        (Self::Activation, "activation"),
        (Self::Idle, "idle"),
        (Self::Ticks, "ticks"),
    ];

    /// Its name on the line.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(program, _)| *program == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Program {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(program, _)| *program).with_context(|| format!("there is no program {name:?}"))
    }
}

/// One line to a rig.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// What to do.
    pub program: Program,
    /// How often, or of what size.
    pub n: u64,
}

impl FromStr for Order {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let ["run", program, n] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("an order is `run PROGRAM N`");
        };
        Ok(Self { program: program.parse()?, n: n.parse()? })
    }
}

/// One line from a rig.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The framework lacks it.
    Unsupported {
        /// What it lacks.
        unsupported: String,
    },
    /// It went wrong.
    Failed {
        /// Why.
        error: String,
    },
    /// What it has cost. The last, because it leaves fields out and so looks like anything.
    Sample(Sample),
}

/// What a program has cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// How many operations there were.
    pub operations: u64,
    /// Time on the clock, of all of them.
    pub wall_ns: u64,
    /// User and system time of the rig's process meanwhile.
    pub cpu_ns: u64,
    /// Of *hot*: all but a thousandth of the asks took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p999_ns: Option<u64>,
    /// Of *hot*: by how many later calls the worst-off call was overtaken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overtaken: Option<u64>,
    /// Of *idle*: resident bytes per actor beyond its state and the caller's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Of *ticks*: all but a hundredth of the ticks came no further from their time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_p99_ns: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_its_fields_say() {
        let parse = |line| serde_json::from_str::<Answer>(line).unwrap();
        let sample = parse(r#"{"operations":3,"wall_ns":5,"cpu_ns":4,"overtaken":2}"#);
        let expected =
            Sample { operations: 3, wall_ns: 5, cpu_ns: 4, overtaken: Some(2), ..Sample::default() };
        assert!(matches!(sample, Answer::Sample(sample) if sample == expected));
        assert!(
            matches!(parse(r#"{"unsupported":"no"}"#), Answer::Unsupported { unsupported } if unsupported == "no")
        );
        assert!(matches!(parse(r#"{"error":"bad"}"#), Answer::Failed { error } if error == "bad"));
    }
}
