//! A type that gets a new version while a program runs: from then on every node that starts reads the states of the version
//! before, and stores its own.
//!
//! Until all have been started again, nodes of both versions run side by side. What a new one has stored no old one may read
//! or write.

use greenroom_core::{Cx, OldState, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

use super::actors::plays;
use super::script::Script;
use super::stage::{self, Failed, Look, Page, Reply, Stage};
use super::witness;

/// The first version.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Elder", idle_timeout = "700ms")]
pub(crate) struct ElderBefore {
    page: Page,
}

/// The next version: another name, and one field more.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", version = 2, migrate = Self::migrate, idle_timeout = "700ms")]
pub(crate) struct Elder {
    leaf: Page,
    /// The version that it was migrated from, if it was.
    from: Option<u32>,
}

plays! { ElderBefore {
    pub(crate) async fn look(&self) -> Result<Look, Failed> {
        Ok(Look { page: self.page.clone(), ..Look::default() })
    }
} }

plays! { Elder {
    fn migrate(from: u32, old: OldState) -> Result<Self> {
        let ElderBefore { page } = old.decode()?;
        let leaf = witness::ask(|witness| witness.migrates(page));
        Ok(Self { leaf, from: Some(from) })
    }

    pub(crate) async fn look(&self) -> Result<Look, Failed> {
        Ok(Look { page: self.leaf.clone(), ..Look::default() })
    }
} }

impl Stage for ElderBefore {
    fn page(&mut self) -> &mut Page {
        &mut self.page
    }
}

impl Stage for Elder {
    fn page(&mut self) -> &mut Page {
        &mut self.leaf
    }
}
