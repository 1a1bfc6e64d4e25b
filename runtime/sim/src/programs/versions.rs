//! States of two versions of a type: what a newer program has stored, an older one leaves alone.

use greenroom_testing::Mutation;
use serde::Deserialize;

use super::cast::Who;
use super::stage::Page;
use super::witness::{State, Witness};

/// What stands before a state whose type has a version: this byte, and the version.
const VERSIONED: u8 = 0xc1;

/// The parts of a durable state that the witness compares.
#[derive(Deserialize)]
pub(super) struct Stored {
    #[serde(alias = "leaf")]
    pub(super) page: Page,
    #[serde(default)]
    pub(super) tag: Option<u32>,
}

/// Reads a stored state, and its version.
pub(super) fn read(state: &[u8]) -> Option<(u32, Stored)> {
    let (version, body) = match state.split_first() {
        Some((&VERSIONED, rest)) => {
            let (version, body) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*version), body)
        }
        _ => (0, state),
    };
    Some((version, rmp_serde::from_slice(body).ok()?))
}

impl Witness {
    /// A state of this version is on its disk.
    pub(super) fn has_version(&self, state: &mut State, who: Who, version: u32) {
        let newest = state.versions.entry(who).or_default();
        if version < *newest {
            let message = format!("{who} is stored by version {version} of its type, after version {newest}");
            self.violate("an_older_program_leaves_newer_states_alone", message);
        }
        *newest = version.max(*newest);
    }

    /// A state of the version before is read.
    pub(crate) fn migrates(&self, page: Page) -> Page {
        self.counts.lock().migrated += 1;
        match self.mutation {
            Some(Mutation::MigrationIsLost) => Page::default(),
            _ => page,
        }
    }
}
