//! The reference page of `ActorCluster`.

use super::Outputs;

const REFERENCE: &str = "docs/reference/actorcluster.md";

pub(super) fn generate(outputs: &mut Outputs) {
    outputs.add(REFERENCE, greenroom_crds::reference_markdown());
}
