//! The schemas as JSON, and what Kubernetes wants of them beyond what the Rust types say.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResourceExt;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{AddNullable, transform_subschemas};
use serde_json::Value;

/// The pattern that the generators of Kubernetes use.
const QUANTITY: &str = concat!(
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))",
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
);

/// Says what a quantity (`500m`, `2Gi`) looks like, which the Kubernetes types leave open: without it a wrong one would
/// be found only when the pods are made. All that may be a number or a string in our resources is a quantity.
pub(crate) fn quantities(schema: &mut Schema) {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        schema.insert("pattern".to_owned(), QUANTITY.into());
        schema.insert("description".to_owned(), "A quantity, for example 500m or 2Gi.".into());
    }
    transform_subschemas(&mut quantities, schema);
}

/// The schema of a resource, as it stands in its definition.
pub(crate) fn of<K: CustomResourceExt>() -> Value {
    let version = K::crd().spec.versions.into_iter().next().expect("the derive makes one version");
    let schema =
        version.schema.and_then(|schema| schema.open_api_v3_schema).expect("the derive makes a schema");
    serde_json::to_value(schema).expect("a schema is plain data")
}

/// The schema of the metadata, which a definition leaves out because every API server knows it.
pub(crate) fn metadata() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let settings = settings
        .with_transform(AddNullable::default())
        .with_transform(kube::core::schema::StructuralSchemaRewriter);
    settings.into_generator().into_root_schema_for::<ObjectMeta>().into()
}
