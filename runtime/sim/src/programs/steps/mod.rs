//! What a turn can do. A file per kind of step: how it is drawn, how a real turn does it, what the model makes of it.
//!
//! A new kind is a file here and a line in the list below.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cast::{self, Who};
use super::draw::Draw;
use super::model::Model;
use super::script::{PartId, Script};
use super::stage::{Failed, Heard, Stage, Turn};

/// A kind of step.
trait Kind: Sized + fmt::Display {
    /// How often it is drawn, compared to the others.
    const WEIGHT: u32;

    /// One of this kind; `None` if the actor or the place does not allow it.
    fn draw(draw: &mut Draw<'_>) -> Option<Self>;

    /// Does it in a turn.
    async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed>;

    /// What is different after a turn that has done it; `heard` is what the turn says that its calls came to.
    fn expect(&self, _model: &mut Model, _heard: &[Heard]) {}

    /// What it makes others do, or its own actor later.
    fn sends(&self) -> Vec<Sends<'_>> {
        Vec::new()
    }

    /// The same scripts.
    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        Vec::new()
    }

    /// Its turn fails in any case.
    fn dooms(&self) -> bool {
        false
    }

    /// Its turn does not fail because of it, if the nodes and the network give it time.
    fn is_sure(&self) -> bool {
        !self.dooms()
    }
}

/// A script that is to run because of a step.
pub(crate) struct Sends<'a> {
    pub(crate) script: &'a Script,
    pub(crate) to: To,
    pub(crate) by: By,
}

/// Who is to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The actor of the step.
    Itself,
    /// Whoever listens then. Its script sends nothing on.
    Listeners,
    Other(Who),
}

impl To {
    pub(crate) fn from(self, at: Who) -> Who {
        match self {
            Self::Itself | Self::Listeners => at,
            Self::Other(who) => who,
        }
    }
}

/// How a script comes to its actor, which says how often it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// A call in the middle of a turn.
    Call,
    Tell,
    Reliable,
    /// A reliable message that is to wait.
    Delayed,
    /// A reminder with so many ticks.
    Ticks(u32),
    Timer,
    /// Ticks at a fixed rate.
    Beat {
        /// So many a second.
        hz: u32,
    },
    /// A publication.
    Topic,
    /// A publication to who listens for as long as it is in memory.
    Overheard,
    /// A broadcast to this type.
    News(cast::Kind),
    /// A call that comes back, inside the turn that has lent its state.
    Visit,
    /// A step of a workflow.
    Step {
        /// The script of the step before.
        behind: Option<PartId>,
    },
}

macro_rules! kinds {
    ($($name:ident in $file:ident,)+) => {
        $(mod $file;)+

        /// Any step.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub(crate) enum Act {
            $($name($file::$name),)+
        }

        /// Weight and generator of each kind.
        #[allow(clippy::type_complexity)]
        pub(crate) const KINDS: &[(u32, fn(&mut Draw<'_>) -> Option<Act>)] =
            &[$(($file::$name::WEIGHT, |draw| $file::$name::draw(draw).map(Act::$name)),)+];

        impl Act {
            pub(crate) async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
                match self {
                    $(Self::$name(step) => step.play(stage, turn).await,)+
                }
            }

            pub(crate) fn expect(&self, model: &mut Model, heard: &[Heard]) {
                match self {
                    $(Self::$name(step) => step.expect(model, heard),)+
                }
            }

            pub(crate) fn sends(&self) -> Vec<Sends<'_>> {
                match self {
                    $(Self::$name(step) => step.sends(),)+
                }
            }

            pub(crate) fn scripts_mut(&mut self) -> Vec<&mut Script> {
                match self {
                    $(Self::$name(step) => step.scripts_mut(),)+
                }
            }

            pub(crate) fn dooms(&self) -> bool {
                match self {
                    $(Self::$name(step) => step.dooms(),)+
                }
            }

            pub(crate) fn is_sure(&self) -> bool {
                match self {
                    $(Self::$name(step) => step.is_sure(),)+
                }
            }
        }

        impl fmt::Display for Act {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(step) => step.fmt(f),)+
                }
            }
        }
    };
}

kinds! {
    Add in cells,
    Arrange in collections,
    Tag in index,
    Calls in calls,
    Carry in porters,
    Lend in lending,
    Visit in visits,
    Tell in tells,
    Reliable in reliable,
    Remind in reminders,
    Tick in ticks,
    Timer in timers,
    Beat in beats,
    Publish in publications,
    Listen in subscriptions,
    Rank in ranks,
    Overhear in sessions,
    Announce in announcements,
    Note in ushers,
    Errand in errands,
    Fail in failures,
    Wait in waits,
    Leave in lifecycle,
}

/// A call that comes back.
pub(crate) fn visit(draw: &mut Draw<'_>) -> Option<Act> {
    visits::Visit::draw(draw).map(Act::Visit)
}

pub(crate) use index::TAGS;
