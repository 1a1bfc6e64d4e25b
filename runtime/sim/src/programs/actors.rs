//! The actors of programs. One method changes them, one does so inside a turn that lends its state, one shows them; those
//! that are stored have another one that listens to topics. Two types run no scripts: one has no state and carries scripts to
//! the others, one is local.

use std::time::Duration;

use greenroom_core::{Cx, Handled, Items, List, Map};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

use super::cast::{Who, with_actor};
use super::locals;
use super::script::Script;
use super::stage::{self, Failed, Line, Look, Page, Reply, STATES, Stage};
use super::witness::{self, Witness};

/// More items than any program makes.
const ALL: usize = 10_000;

/// Durable.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "700ms")]
pub(crate) struct Keeper {
    page: Page,
}

/// Durable, with collections and an index.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "700ms")]
pub(crate) struct Shelf {
    page: Page,
    #[index]
    tag: Option<u32>,
    things: Map<u8, i64>,
    trail: List<i64>,
}

/// Relaxed, with collections. Messages and ticks are committed at once.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed("80ms"), idle_timeout = "700ms")]
pub(crate) struct Scribe {
    page: Page,
    things: Map<u8, i64>,
    trail: List<i64>,
}

/// Volatile.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile, idle_timeout = "700ms")]
pub(crate) struct Ghost {
    page: Page,
}

/// Local: one of each key on every node.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", local, volatile, idle_timeout = "700ms")]
pub(crate) struct Usher {
    notes: Vec<u32>,
}

/// When an usher that nobody calls leaves memory.
pub(crate) const USHER_IDLE: Duration = Duration::from_millis(700);

/// Without a state.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", stateless, workers = 2)]
pub(crate) struct Porter {}

/// The methods of an actor that runs scripts: those that all of them have, and its own.
macro_rules! plays {
    ($actor:ident { $($own:tt)* }) => {
        #[actor_methods(crate = "greenroom_core")]
        impl $actor {
            pub(crate) async fn run(&mut self, cx: &Cx, script: Script) -> Result<Reply, Failed> {
                stage::run(self, cx, script).await
            }

            #[method(reentrant)]
            pub(crate) async fn visit(&mut self, cx: &Cx, script: Script) -> Result<Reply, Failed> {
                stage::visit(self, cx, script).await
            }

            $($own)*
        }
    };
}
pub(super) use plays;

plays! { Keeper {
    /// Keeps some publications from who has a lower priority.
    pub(crate) async fn hear(&mut self, cx: &Cx, script: Script) -> Result<Handled, Failed> {
        let consumes = script.is_consumed();
        stage::run(self, cx, script).await?;
        let passes_on = !consumes || witness::ask(|witness| witness.passes_on_what_is_consumed());
        Ok(if passes_on { Handled::PassOn } else { Handled::Consumed })
    }

    /// The states from now on.
    pub(crate) async fn follow(&self, cx: &Cx) -> Result<Items<Line>, Failed> {
        Ok(STATES.open_with(cx, [self.page.line])?)
    }

    pub(crate) async fn look(&self) -> Result<Look, Failed> {
        Ok(Look { page: self.page.clone(), ..Look::default() })
    }
} }

plays! { Shelf {
    pub(crate) async fn hear(&mut self, cx: &Cx, script: Script) -> Result<(), Failed> {
        stage::run(self, cx, script).await.map(drop)
    }

    /// The states from now on.
    pub(crate) async fn follow(&self, cx: &Cx) -> Result<Items<Line>, Failed> {
        Ok(STATES.open_with(cx, [self.page.line])?)
    }

    pub(crate) async fn look(&self, cx: &Cx) -> Result<Look, Failed> {
        let things = self.things.page(cx, None::<&u8>, ALL).await?;
        let trail = self.trail.page(cx, 0, ALL).await?;
        Ok(Look { page: self.page.clone(), tag: self.tag, things, trail })
    }
} }

plays! { Scribe {
    pub(crate) async fn hear(&mut self, cx: &Cx, script: Script) -> Result<(), Failed> {
        stage::run(self, cx, script).await.map(drop)
    }

    /// The states from now on.
    pub(crate) async fn follow(&self, cx: &Cx) -> Result<Items<Line>, Failed> {
        Ok(STATES.open_with(cx, [self.page.line])?)
    }

    pub(crate) async fn look(&self, cx: &Cx) -> Result<Look, Failed> {
        let things = self.things.page(cx, None::<&u8>, ALL).await?;
        let trail = self.trail.page(cx, 0, ALL).await?;
        Ok(Look { page: self.page.clone(), tag: None, things, trail })
    }
} }

plays! { Ghost {
    pub(crate) async fn look(&self) -> Result<Look, Failed> {
        Ok(Look { page: self.page.clone(), ..Look::default() })
    }
} }

#[actor_methods(crate = "greenroom_core")]
impl Usher {
    /// Notes something, and says on which run of a node.
    pub(crate) async fn note(
        &mut self,
        cx: &Cx,
        mark: u32,
        takes_ms: u64,
        fails: bool,
    ) -> Result<Option<u64>, Failed> {
        let key = cx.key().parse().expect("ushers have numbers");
        let shift = witness::ask(|witness| witness.usher_begins(key, &mut self.notes));
        self.notes.push(mark);
        if takes_ms > 0 {
            tokio::time::sleep(Duration::from_millis(takes_ms)).await;
        }
        if fails {
            return Err(Failed::Planned { saw: Line::default() });
        }
        witness::with(|witness| shift.iter().for_each(|shift| witness.usher_ends(shift, &self.notes)));
        Ok(witness::ask(Witness::here).and_then(locals::number))
    }
}

#[actor_methods(crate = "greenroom_core")]
impl Porter {
    /// Lets an actor run a script.
    pub(crate) async fn carry(&self, cx: &Cx, to: Who, script: Script) -> Result<Reply, Failed> {
        let times = witness::ask(|witness| witness.times_carried());
        for _ in 1..times {
            let script = script.clone();
            with_actor!(to, cx, |actor| actor.run(script).await)?;
        }
        Ok(with_actor!(to, cx, |actor| actor.run(script).await)?)
    }
}

impl Stage for Keeper {
    fn page(&mut self) -> &mut Page {
        &mut self.page
    }
}

impl Stage for Shelf {
    fn page(&mut self) -> &mut Page {
        &mut self.page
    }

    fn collections(&mut self) -> Option<(&mut Map<u8, i64>, &mut List<i64>)> {
        Some((&mut self.things, &mut self.trail))
    }

    fn tag(&mut self) -> Option<&mut Option<u32>> {
        Some(&mut self.tag)
    }
}

impl Stage for Scribe {
    fn page(&mut self) -> &mut Page {
        &mut self.page
    }

    fn collections(&mut self) -> Option<(&mut Map<u8, i64>, &mut List<i64>)> {
        Some((&mut self.things, &mut self.trail))
    }
}

impl Stage for Ghost {
    fn page(&mut self) -> &mut Page {
        &mut self.page
    }
}
