//! Where each script of a program comes from.

use std::collections::BTreeMap;

use super::cast::Who;
use super::script::{PartId, Program, Script};
use super::steps::By;

/// Where a script comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The script that makes it run; 0 for what clients ask.
    pub(crate) parent: PartId,
    /// The actor that runs that.
    pub(crate) from: Who,
    pub(crate) to: Who,
    /// `None`: a client asks.
    pub(crate) by: Option<By>,
}

/// All scripts, by their numbers.
#[derive(Default)]
pub(crate) struct Origins(BTreeMap<PartId, (Script, Origin)>);

impl Origins {
    pub(crate) fn of(program: &Program) -> Self {
        let mut all = BTreeMap::new();
        for (who, script) in program.scripts() {
            all.insert(script.id, (script.clone(), Origin { parent: 0, from: who, to: who, by: None }));
            script.sends(who, &mut |parent, from, sends| {
                let (to, by) = (sends.to.from(from), Some(sends.by));
                let origin = Origin { parent: parent.id, from, to, by };
                all.insert(sends.script.id, (sends.script.clone(), origin));
            });
        }
        Self(all)
    }

    pub(crate) fn get(&self, part: PartId) -> Option<Origin> {
        self.0.get(&part).map(|(_, origin)| *origin)
    }

    pub(crate) fn script(&self, part: PartId) -> Option<&Script> {
        self.0.get(&part).map(|(script, _)| script)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Script, Origin)> {
        self.0.values().map(|(script, origin)| (script, *origin))
    }
}
