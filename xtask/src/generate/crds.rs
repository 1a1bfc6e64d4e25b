//! The YAML of the custom resource definitions, for the chart, and the reference page of `ActorCluster`.

use std::path::Path;

use anyhow::{Result, ensure};

use super::Outputs;

const FOLDER: &str = "charts/greenroom-crds/templates";
const REFERENCE: &str = "docs/reference/actorcluster.md";

pub(super) fn generate(outputs: &mut Outputs) -> Result<()> {
    for (stem, yaml) in greenroom_crds::crd_yaml() {
        // Helm would take it for a template of its own.
        ensure!(!yaml.contains("{{"), "the definition of {stem} contains `{{{{`: reword its descriptions");
        outputs.add(Path::new(FOLDER).join(format!("{stem}.yaml")), yaml);
    }
    outputs.folders.push(FOLDER.into());
    outputs.add(REFERENCE, greenroom_crds::reference_markdown());
    Ok(())
}
