//! What the spec asks for that cannot be had, or not now.
//!
//! A spec that breaks a rule of its definition changes nothing: the answer is an error. Everything else gives an
//! **effective spec**, which differs from the declared one exactly where a change is refused, with one [`Problem`] for
//! each such place. So a refused change never holds up the others, and a cluster never loses its state by an edit:
//!
//! - `replicas`, also of groups, and the storage stay what they are once there is a StatefulSet. The number of nodes is
//!   read from the annotation that the operator writes there, not from the object's own field: that one may have been
//!   changed by somebody else and is to be put back.
//! - `shards`, `replicas` and the groups are also kept by the pages of a shard map, which outlive the cluster.
//! - Stock nodes keep the image that they were made with when the operator is upgraded, unless the cluster follows.

mod groups;

use std::sync::LazyLock;

use greenroom_crds::{ActorCluster, ActorClusterSpec, Engine, names};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::CustomResourceExt;
use kube::core::cel::{CompiledSchema, ValidationErrors, Validator, compile_schema};
use serde_json::Value;

use crate::observed::{Observed, Settings};
use crate::quantity::canonical;
use crate::reasons::Reason;
use crate::step::{Kind, ObjectKey};

/// Something that the spec asks for and does not get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// Which kind of problem.
    pub reason: Reason,
    /// What is wrong and, after `; `, what to do.
    pub message: String,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid {
    /// The effective spec.
    pub spec: ActorClusterSpec,
    /// The image of the nodes.
    pub image: String,
    /// What was refused.
    pub problems: Vec<Problem>,
}

/// The effective spec of what was observed.
///
/// # Errors
/// The spec cannot be run at all; nothing may be changed on its account.
pub fn validate(observed: &Observed, settings: &Settings) -> Result<Valid, Problem> {
    check_rules(observed)?;
    groups::check_names(observed)?;
    let mut spec = observed.cluster.spec.clone();
    let present = Present::of(observed, None);
    let mut problems: Vec<Problem> = [
        keep_shards(&mut spec, observed),
        groups::keep_groups(&mut spec, observed),
        keep_replicas(&mut spec, observed, present.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect();
    problems.extend(groups::keep_replicas(&mut spec, observed));
    problems.extend(keep_storage(&mut spec, present.as_ref()));
    let image = image(observed, settings, &spec, present.as_ref());
    Ok(Valid { spec, image, problems })
}

/// The rules of the definition, for objects that were stored while another one was in force.
fn check_rules(observed: &Observed) -> Result<(), Problem> {
    let invalid = |message: String| Err(Problem { reason: Reason::InvalidSpec, message });
    let spec = &observed.cluster.spec;
    let of_groups = spec.groups.iter().flat_map(|group| {
        [("a group's replicas", group.replicas, 100), ("a group's shards", group.shards, 16_384)]
    });
    let numbers = [
        ("replicas", spec.replicas, 100),
        ("shards", spec.shards, 16_384),
        ("gateway.port", spec.gateway.port, 65_535),
    ];
    for (field, value, most) in numbers.into_iter().chain(of_groups) {
        if !(1..=most).contains(&value) {
            return invalid(format!("{field} is {value}; set it to a number between 1 and {most}"));
        }
    }
    let object = serde_json::to_value(&observed.cluster).expect("a cluster is plain data");
    let broken =
        Validator::new().validate_compiled(&RULES, &object, None).err().map(ValidationErrors::into_vec);
    match broken.iter().flatten().next() {
        None => Ok(()),
        Some(first) => invalid(format!("{}: {}", first.field_path, first.message)),
    }
}

/// The rules of the definition. They take milliseconds to compile, and a plan is made every few seconds.
static RULES: LazyLock<CompiledSchema> = LazyLock::new(|| {
    let version = ActorCluster::crd().spec.versions.remove(0);
    compile_schema(
        &serde_json::to_value(version.schema.map(|schema| schema.open_api_v3_schema))
            .expect("a schema is plain data"),
    )
});

/// A StatefulSet that exists: that of a group, or of the general nodes.
struct Present<'a>(&'a Value);

impl<'a> Present<'a> {
    fn of(observed: &'a Observed, group: Option<&str>) -> Option<Self> {
        let name = names::stateful_set(observed.cluster.metadata.name.as_deref()?, group);
        observed.children.get(&ObjectKey { kind: Kind::StatefulSet, name }).map(Self)
    }

    fn annotation(&self, name: &str) -> Option<&'a str> {
        self.0["metadata"]["annotations"].get(name)?.as_str()
    }

    fn replicas(&self) -> Option<u16> {
        let noted = self.annotation(names::REPLICAS_ANNOTATION).and_then(|text| text.parse().ok());
        noted.or_else(|| self.0["spec"]["replicas"].as_u64()?.try_into().ok())
    }

    /// The template of the claims; without one the nodes keep their state in memory.
    fn claim(&self) -> Option<&'a Value> {
        self.0["spec"]["volumeClaimTemplates"].get(0)
    }
}

/// A shard map that exists decides about the number of shards.
fn keep_shards(spec: &mut ActorClusterSpec, observed: &Observed) -> Option<Problem> {
    let kept = observed.pages.iter().find_map(|page| page.shards)?;
    if kept == spec.shards {
        return None;
    }
    let asked = std::mem::replace(&mut spec.shards, kept);
    Some(Problem {
        reason: Reason::ShardsRefused,
        message: format!(
            "the shard map that was kept has {kept} shards, not {asked}; make the ActorCluster with shards: {kept}, \
             or delete the ShardMaps and volumes of the earlier one, and the state in them"
        ),
    })
}

/// The number of nodes stays: with fewer, shards would have no owner; more would get none.
fn keep_replicas(
    spec: &mut ActorClusterSpec,
    observed: &Observed,
    present: Option<&Present>,
) -> Option<Problem> {
    let kept = match present {
        Some(present) => present.replicas(),
        None => observed.pages.iter().find_map(|page| page.replicas),
    };
    kept_replicas(&mut spec.replicas, kept, "an existing cluster")
}

/// Puts the number back that was kept, if there is one.
fn kept_replicas(replicas: &mut u16, kept: Option<u16>, whose: &str) -> Option<Problem> {
    let kept = kept.filter(|kept| kept != replicas)?;
    let asked = std::mem::replace(replicas, kept);
    Some(Problem {
        reason: Reason::ScaleRefused,
        message: format!(
            "this version cannot change the number of nodes of {whose} from {kept} to {asked}, its shards would not move \
             along; set replicas back to {kept}"
        ),
    })
}

/// The templates of claims cannot be changed, and stored state stays in its engine.
fn keep_storage(spec: &mut ActorClusterSpec, present: Option<&Present>) -> Option<Problem> {
    let present = present?;
    let refused = |field: &str, asked: &str, kept: &str| {
        Some(Problem {
            reason: Reason::StorageChangeRefused,
            message: format!(
                "this version cannot change storage.{field} of an existing cluster from {kept} to {asked}; set it \
                 back to {kept}, or make a new ActorCluster"
            ),
        })
    };
    let Some(claim) = present.claim() else {
        let asked = std::mem::replace(&mut spec.storage.engine, Engine::Memory);
        return if asked == Engine::Memory { None } else { refused("engine", "sqlite", "memory") };
    };
    let asked = std::mem::replace(&mut spec.storage.engine, Engine::Sqlite);
    if asked != Engine::Sqlite {
        return refused("engine", "memory", "sqlite");
    }
    let class = claim["spec"]["storageClassName"].as_str().map(str::to_owned);
    let asked = std::mem::replace(&mut spec.storage.storage_class_name, class.clone());
    let size = claim["spec"]["resources"]["requests"]["storage"].as_str().unwrap_or_default();
    let asked_size = std::mem::replace(&mut spec.storage.size, Quantity(size.to_owned())).0;
    if asked != class {
        let named = |class: Option<String>| class.unwrap_or_else(|| "the default class".into());
        return refused("storageClassName", &named(asked), &named(class));
    }
    if canonical(&asked_size) == canonical(size) { None } else { refused("size", &asked_size, size) }
}

/// The image of the nodes. A user's is taken as it is. Stock nodes stay at the image that they were made with, so that
/// an upgrade of the operator restarts no node, until the user says that they follow.
fn image(
    observed: &Observed,
    settings: &Settings,
    spec: &ActorClusterSpec,
    present: Option<&Present>,
) -> String {
    if let Some(image) = &spec.image {
        return image.clone();
    }
    let annotations = observed.cluster.metadata.annotations.as_ref();
    let follows = annotations
        .and_then(|annotations| annotations.get(names::FOLLOW_STOCK_IMAGE_ANNOTATION))
        .is_some_and(|follows| follows == "true");
    let kept =
        present.filter(|_| !follows).and_then(|present| present.annotation(names::STOCK_IMAGE_ANNOTATION));
    kept.unwrap_or(&settings.node_image).to_owned()
}
