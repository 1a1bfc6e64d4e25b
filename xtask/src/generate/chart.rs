//! The generated parts of the charts: the definitions in both charts, and of the chart greenroom everything that says
//! which values there are.
//!
//! The definitions go into the chart greenroom as templates, since Helm never upgrades what lies in a chart's folder
//! `crds`, and into the chart greenroom-crds for those who install them apart. In both they stay when the release goes:
//! with the definitions, Kubernetes would delete all clusters and their shard maps.

mod page;
mod values;

use std::path::Path;

use anyhow::{Result, ensure};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Outputs;

const CHART: &str = "charts/greenroom";
const DEFINITIONS: &str = "charts/greenroom/templates/crds";
const DEFINITIONS_ALONE: &str = "charts/greenroom-crds/templates";

pub(super) fn generate(root: &Path, outputs: &mut Outputs) -> Result<()> {
    for (stem, yaml) in greenroom_crds::crd_yaml() {
        // Helm would take it for a template of its own.
        ensure!(!yaml.contains("{{"), "the definition of {stem} contains `{{{{`: reword its descriptions");
        let file = format!("{stem}.yaml");
        outputs.add(Path::new(DEFINITIONS_ALONE).join(&file), kept(&yaml, ""));
        let labels = "  labels:\n    {{- include \"greenroom.labels\" (list . \"crds\") | nindent 4 }}\n";
        let template = format!("{{{{- if .Values.crds.enabled }}}}\n{}{{{{- end }}}}\n", kept(&yaml, labels));
        outputs.add(Path::new(DEFINITIONS).join(&file), template);
    }
    outputs.folders.extend([DEFINITIONS.into(), DEFINITIONS_ALONE.into()]);

    let schema = schema();
    let defaults = page::Tree::of(&values::Values::default())?;
    let chart = Path::new(CHART);
    outputs.add(chart.join("values.yaml"), page::values_yaml(&defaults, &schema)?);
    outputs.add(chart.join("values.schema.json"), serde_json::to_string_pretty(&schema)? + "\n");
    let readme = std::fs::read_to_string(root.join(CHART).join("README.md"))?;
    outputs.add(chart.join("README.md"), page::with_table(&readme, &page::table(&defaults, &schema))?);
    Ok(())
}

/// The definition with the annotation by which Helm leaves it where it is, and more lines for its metadata.
fn kept(yaml: &str, more: &str) -> String {
    let metadata = "\nmetadata:\n";
    yaml.replacen(
        metadata,
        &format!("{metadata}  annotations:\n    helm.sh/resource-policy: keep\n{more}"),
        1,
    )
}

/// The schema of the values: draft 7 without references, which every Helm since 3.0 understands.
fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<values::Values>().to_value();
    without_defaults(&mut schema);
    // Helm hands this to a chart that is part of another one.
    schema["properties"]["global"] =
        json!({ "type": "object", "description": "Values of the parent chart." });
    schema
}

/// Takes the defaults out: they stand in `values.yaml`, and a part that is used twice has only one in its type.
fn without_defaults(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    schema.remove("default");
    for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        without_defaults(property.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_kept_when_the_release_goes() {
        let yaml = "kind: X\nmetadata:\n  name: x\nspec: {}\n";
        assert_eq!(
            kept(yaml, "  labels: {}\n"),
            "kind: X\nmetadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  labels: {}\n  name: x\nspec: {}\n"
        );
    }

    #[test]
    fn unknown_values_are_refused_at_every_level() {
        fn check(path: &str, schema: &Value) {
            let Some(properties) = schema["properties"].as_object() else { return };
            if path != "global" {
                assert_eq!(schema["additionalProperties"], false, "{path}");
            }
            for (name, child) in properties {
                check(name, child);
            }
        }
        check("", &schema());
    }
}
