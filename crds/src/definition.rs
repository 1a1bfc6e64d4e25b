//! The definitions as YAML, for the chart.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{ActorCluster, ShardMap};

/// Every custom resource definition: its file's stem and its YAML. The same types always give the same bytes.
pub fn crd_yaml() -> Vec<(String, String)> {
    [ActorCluster::crd(), ShardMap::crd()].into_iter().map(|crd| (stem(&crd), yaml(&crd))).collect()
}

fn stem(crd: &CustomResourceDefinition) -> String {
    crd.spec.names.singular.clone().unwrap_or_else(|| crd.spec.names.kind.to_lowercase())
}

fn yaml(crd: &CustomResourceDefinition) -> String {
    // A JSON value sorts its keys, whatever order the fields of the types have.
    let mut value = serde_json::to_value(crd).expect("a definition is plain data");
    whole_numbers(&mut value);
    serde_saphyr::to_string(&value).expect("a JSON value has a YAML form")
}

/// Writes the bounds of integers as integers; Kubernetes' type for a schema has only floats for them.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15) {
                *number = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_definition_reads_back_as_it_was() {
        let yaml = crd_yaml();
        let stems: Vec<_> = yaml.iter().map(|(stem, _)| stem.as_str()).collect();
        assert_eq!(stems, ["actorcluster", "shardmap"]);
        let read: CustomResourceDefinition = serde_saphyr::from_str(&yaml[0].1).unwrap();
        assert_eq!(read, ActorCluster::crd());
        assert_eq!(yaml, crd_yaml());
    }

    #[test]
    fn a_definition_fits_into_the_annotation_of_kubectl_apply_and_has_nothing_that_helm_expands() {
        for (stem, yaml) in crd_yaml() {
            assert!(yaml.len() < 256 * 1024, "{stem} has {} bytes", yaml.len());
            assert!(!yaml.contains("{{"), "{stem} contains a template");
        }
    }

    #[test]
    fn integers_have_the_formats_that_an_api_server_knows() {
        for (stem, yaml) in crd_yaml() {
            let formats = yaml.lines().filter_map(|line| line.trim().strip_prefix("format: "));
            for format in formats {
                assert!(["int32", "int64", "date-time"].contains(&format), "{stem}: {format}");
            }
        }
    }
}
