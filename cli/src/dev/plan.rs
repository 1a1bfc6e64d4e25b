//! What `greenroom dev` takes from an ActorCluster: the same YAML that a Kubernetes cluster gets, of which some fields
//! mean nothing on one machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use greenroom::config::{NodeArgs, NodeGroup, NodeGroups, StorageEngine};
use greenroom_core::{ShardCount, ShardGroup, ShardLayout};
use greenroom_crds::{ActorCluster, ActorClusterSpec, manifest, names};
use serde::Serialize;

use super::child::Child;
use super::problems;
use super::program::{ANNOTATION, Program};
use super::run::{Launch, What};
use crate::failure::{Failure, OrFail, Result};
use crate::output;

/// A cluster to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Its name.
    pub(crate) name: String,
    /// How many general nodes it has.
    pub(crate) replicas: u16,
    /// How many general shards it has.
    pub(crate) shards: ShardCount,
    /// The groups of nodes that have shards of their own.
    pub(crate) groups: NodeGroups,
    /// What its nodes keep state in.
    pub(crate) engine: StorageEngine,
    /// What the YAML adds to the nodes' environment.
    pub(crate) env: Vec<(String, String)>,
    /// The user's node program, if the YAML names one.
    pub(crate) dev_command: Option<String>,
}

impl Plan {
    /// Reads the YAML; whatever is wrong with it is told with its place.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!("cannot read {}: {error}", path.display()))
                .hint("give the path of a YAML file with an ActorCluster, for example examples/counters/cluster.yaml")
        })?;
        let cluster = manifest::parse(&text).map_err(|problems| problems::failure(path, &text, &problems))?;
        Self::of(&cluster)
    }

    fn of(cluster: &ActorCluster) -> Result<Self> {
        let (metadata, spec) = (&cluster.metadata, &cluster.spec);
        let annotations = metadata.annotations.as_ref();
        // The schema lets neither pass; this only keeps a gap in it from becoming a panic.
        let incomplete = || Failure::new("the ActorCluster has no name or no shards");
        Ok(Self {
            name: metadata.name.clone().ok_or_else(incomplete)?,
            replicas: spec.replicas,
            shards: ShardCount::new(spec.shards).ok_or_else(incomplete)?,
            groups: groups(spec).ok_or_else(incomplete)?,
            engine: engine(&spec.storage.engine)?,
            env: spec
                .env
                .iter()
                .filter_map(|v| literal(&v.name, v.value.as_deref(), v.value_from.is_some()))
                .collect(),
            dev_command: annotations.and_then(|annotations| annotations.get(ANNOTATION)).cloned(),
        })
    }

    /// How the shards are divided.
    pub(crate) fn layout(&self) -> Result<ShardLayout> {
        let group = |group: &NodeGroup| ShardGroup { name: group.name.as_str().into(), shards: group.shards };
        ShardLayout::new(self.shards, self.groups.0.iter().map(group)).or_fail("spec.groups")
    }

    /// How many nodes there are of each group, the general ones first.
    pub(crate) fn replicas_by_group(&self) -> impl Iterator<Item = (Option<&str>, u32)> {
        let groups = self.groups.0.iter().map(|group| (Some(group.name.as_str()), group.replicas));
        std::iter::once((None, u32::from(self.replicas))).chain(groups)
    }

    /// The names of the nodes, in order.
    pub(crate) fn node_names(&self) -> impl Iterator<Item = String> {
        self.nodes().map(|(_, node)| node)
    }

    /// The nodes with their groups, in order.
    fn nodes(&self) -> impl Iterator<Item = (Option<&str>, String)> {
        self.replicas_by_group().flat_map(move |(group, replicas)| {
            let ordinals = 0..u16::try_from(replicas).unwrap_or(u16::MAX);
            ordinals.map(move |ordinal| (group, names::node(&self.name, group, ordinal)))
        })
    }

    /// How each node is started: with `program`, or as the stock node in this process.
    pub(crate) fn launches(
        &self,
        program: Option<&Program>,
        cluster_dir: &Path,
        coordination: &str,
    ) -> Result<Vec<Launch>> {
        let dir = std::path::absolute(cluster_dir).or_fail("cannot tell the current directory")?;
        let launch = |(group, node): (Option<&str>, String)| {
            let (log, data_dir) = (log_file(&dir, &node), dir.join(&node));
            let what = match program {
                Some(program) => What::Child(Child {
                    program: program.path.clone(),
                    args: program.args.clone(),
                    env: self.environment(&node, group, &data_dir, coordination),
                    log: log.clone(),
                }),
                None => What::InProcess(Box::new(self.node_args(&node, group, data_dir, coordination))),
            };
            Launch { node, log, what }
        };
        Ok(self.nodes().map(launch).collect())
    }

    /// The configuration of a node in this process.
    fn node_args(&self, node: &str, group: Option<&str>, data_dir: PathBuf, coordination: &str) -> NodeArgs {
        let any_port = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        NodeArgs {
            cluster: Some(self.name.clone()),
            node: Some(node.to_owned()),
            data_dir: Some(data_dir),
            storage_engine: Some(self.engine),
            coordination: Some(format!("http://{coordination}")),
            replicas: Some(self.replicas.into()),
            shards: Some(self.shards.get()),
            groups: Some(self.groups.clone()),
            group: group.map(str::to_owned),
            gateway_listen: any_port,
            mesh_listen: any_port,
            admin_listen: any_port,
            health_listen: any_port,
            ..NodeArgs::default()
        }
    }

    /// The environment of a node: ours comes last, since a node with other values would not find its cluster.
    fn environment(
        &self,
        node: &str,
        group: Option<&str>,
        data_dir: &Path,
        coordination: &str,
    ) -> Vec<(String, String)> {
        let engine = match self.engine {
            StorageEngine::Sqlite => "sqlite",
            StorageEngine::Memory => "memory",
        };
        let any_port = || "127.0.0.1:0".to_owned();
        // Drain in less than the time after which the node would be killed; the log is a file, which takes no colours.
        let defaults = [("GREENROOM_DRAIN_SECONDS", "25".to_owned()), ("NO_COLOR", "1".to_owned())];
        let ours = [
            ("GREENROOM_CLUSTER", self.name.clone()),
            ("GREENROOM_NODE", node.to_owned()),
            ("GREENROOM_DATA_DIR", data_dir.display().to_string()),
            ("GREENROOM_COORDINATION", format!("http://{coordination}")),
            ("GREENROOM_REPLICAS", self.replicas.to_string()),
            ("GREENROOM_SHARDS", self.shards.get().to_string()),
            ("GREENROOM_GROUPS", self.groups.to_setting()),
            ("GREENROOM_GROUP", group.unwrap_or_default().to_owned()),
            ("GREENROOM_STORAGE_ENGINE", engine.to_owned()),
            ("GREENROOM_GATEWAY_LISTEN", any_port()),
            ("GREENROOM_MESH_LISTEN", any_port()),
            ("GREENROOM_ADMIN_LISTEN", any_port()),
            ("GREENROOM_HEALTH_LISTEN", any_port()),
            ("GREENROOM_EXIT_WITH_PARENT", "true".to_owned()),
        ];
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        defaults.map(owned).into_iter().chain(self.env.iter().cloned()).chain(ours.map(owned)).collect()
    }
}

/// The groups, as the settings of a node have them; `None` for one without shards.
fn groups(spec: &ActorClusterSpec) -> Option<NodeGroups> {
    let group = |group: &greenroom_crds::NodeGroup| {
        let shards = ShardCount::new(group.shards)?;
        Some(NodeGroup { name: group.name.clone(), shards, replicas: group.replicas.into() })
    };
    spec.groups.iter().map(group).collect::<Option<_>>().map(NodeGroups)
}

/// The engine of a node by the name that it has in the YAML. The schema knows more names than this version has engines.
fn engine(name: &impl Serialize) -> Result<StorageEngine> {
    let name = serde_json::to_value(name).or_fail("cannot read storage.engine")?;
    serde_json::from_value(name.clone()).map_err(|_| {
        Failure::new(format!("nodes of this version have no engine {name}"))
            .hint("set storage.engine to sqlite or memory")
    })
}

/// A variable whose value stands in the YAML. One that comes from a pod's surroundings is left out with a warning.
fn literal(name: &str, value: Option<&str>, from_elsewhere: bool) -> Option<(String, String)> {
    if from_elsewhere {
        output::warn(format_args!("env {name} has no value here: valueFrom needs a pod; it is left out"));
        return None;
    }
    Some((name.to_owned(), value.unwrap_or_default().to_owned()))
}

/// Where a node's output goes.
pub(crate) fn log_file(cluster_dir: &Path, node: &str) -> PathBuf {
    cluster_dir.join(format!("{node}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Plan {
        /// A plan with these numbers.
        pub(crate) fn for_test(replicas: u16, shards: u16) -> Self {
            Self {
                name: "demo".into(),
                replicas,
                shards: ShardCount::new(shards).unwrap(),
                groups: NodeGroups::default(),
                engine: StorageEngine::Sqlite,
                env: Vec::new(),
                dev_command: None,
            }
        }
    }

    #[test]
    fn the_yaml_of_a_cluster_becomes_a_plan() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.yaml");
        let yaml = "
            apiVersion: greenroom.dev/v1alpha1
            kind: ActorCluster
            metadata:
              name: demo
              annotations: {greenroom.dev/dev-command: ./my-node --fast}
            spec:
              replicas: 2
              shards: 64
              storage: {engine: memory}
              env:
              - {name: COLOUR, value: red}
              - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        ";
        std::fs::write(&path, yaml).unwrap();
        let expected = Plan {
            engine: StorageEngine::Memory,
            env: vec![("COLOUR".into(), "red".into())],
            dev_command: Some("./my-node --fast".into()),
            ..Plan::for_test(2, 64)
        };
        assert_eq!(Plan::read(&path).unwrap(), expected);
    }

    #[test]
    fn each_node_of_a_group_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.yaml");
        let yaml = "
            apiVersion: greenroom.dev/v1alpha1
            kind: ActorCluster
            metadata: {name: demo}
            spec:
              replicas: 1
              shards: 8
              groups:
              - {name: gpu, replicas: 2, shards: 4}
        ";
        std::fs::write(&path, yaml).unwrap();
        let plan = Plan::read(&path).unwrap();
        assert_eq!(plan.node_names().collect::<Vec<_>>(), ["demo-0", "demo-gpu-0", "demo-gpu-1"]);
        assert_eq!(plan.layout().unwrap().to_string(), "8 and gpu=4");
        let program = Program { path: "/bin/node".into(), args: Vec::new(), stock: false };
        let launches = plan.launches(Some(&program), Path::new("/data/demo"), "127.0.0.1:9").unwrap();
        for (launch, group) in launches.iter().zip(["", "gpu", "gpu"]) {
            let What::Child(child) = &launch.what else { panic!("it is a process") };
            let set = |name: &str, value: &str| child.env.contains(&(name.to_owned(), value.to_owned()));
            assert!(set("GREENROOM_GROUPS", "gpu=4x2") && set("GREENROOM_GROUP", group), "{:?}", child.env);
        }
        let stock = plan.launches(None, Path::new("/data/demo"), "127.0.0.1:9").unwrap();
        let What::InProcess(args) = &stock[2].what else { panic!("it is in this process") };
        let config = args.clone().resolve().unwrap();
        assert_eq!((config.group.as_deref(), config.groups.to_setting().as_str()), (Some("gpu"), "gpu=4x2"));
    }

    #[test]
    fn a_yaml_that_is_wrong_or_missing_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.yaml");
        let missing = Plan::read(&path).unwrap_err().to_string();
        assert!(missing.contains("cannot read") && missing.contains("hint:"), "{missing}");
        std::fs::write(
            &path,
            "apiVersion: greenroom.dev/v1alpha1\nkind: ActorCluster\nspec:\n  replicas: three\n",
        )
        .unwrap();
        let wrong = Plan::read(&path).unwrap_err().to_string();
        assert!(wrong.contains("cluster.yaml:4:") && wrong.contains("replicas"), "{wrong}");
    }

    #[test]
    fn a_node_gets_what_it_needs_and_the_yaml_cannot_take_it_away() {
        let env =
            vec![("GREENROOM_NODE".to_owned(), "other".to_owned()), ("COLOUR".to_owned(), "red".to_owned())];
        let plan = Plan { env, ..Plan::for_test(2, 8) };
        let program = Program { path: "/bin/node".into(), args: vec!["node".into()], stock: true };
        let launches = plan.launches(Some(&program), Path::new("/data/demo"), "127.0.0.1:9").unwrap();
        let What::Child(child) = &launches[1].what else { panic!("it is a process") };
        let value = |name: &str| child.env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(value("GREENROOM_NODE"), Some("demo-1"));
        assert_eq!(value("GREENROOM_DATA_DIR"), Some("/data/demo/demo-1"));
        assert_eq!(value("GREENROOM_COORDINATION"), Some("http://127.0.0.1:9"));
        assert_eq!(value("GREENROOM_EXIT_WITH_PARENT"), Some("true"));
        assert_eq!(value("COLOUR"), Some("red"));
        assert_eq!(child.log, Path::new("/data/demo/demo-1.log"));
    }
}
