//! A cluster of plain processes, through the program that steers it: one after the other, as a user would.
//!
//! It takes the one cluster that a machine can have, so everything is one test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use greenroom_e2e_cluster::image;
use greenroom_e2e_cluster::supply::{Supply, Tool};

/// For how long we look for a change that Kubernetes makes by itself. The longest is a lost node: 16 s to notice it,
/// 10 s until its pods are given up; a busy machine takes longer.
const LIMIT: Duration = Duration::from_secs(90);

const IMAGE: &str = "cluster.local/busybox:1";

/// Two namespaces; a server on each node, each with a volume of its own, and a client that may be let in or not.
const OBJECTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      containers:
      - name: web
        image: cluster.local/busybox:1
        command: [sh, -c, 'echo started >> /data/starts; cp /data/starts /tmp; exec httpd -f -p 8080 -h /data']
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {tcpSocket: {port: http}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOncePod], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, labels: {role: friend}}
spec:
  terminationGracePeriodSeconds: 1
  nodeSelector: {kubernetes.io/hostname: node1}
  containers: [{name: c, image: cluster.local/busybox:1, command: [sh, -c, 'trap exit TERM; while :; do sleep 1; done']}]
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, labels: {role: stranger}}
spec:
  terminationGracePeriodSeconds: 1
  nodeSelector: {kubernetes.io/hostname: node1}
  containers: [{name: c, image: cluster.local/busybox:1, command: [sh, -c, 'trap exit TERM; while :; do sleep 1; done']}]
"#;

const POLICY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: friends-only}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}], ports: [{port: http}]}]
"#;

struct Rig {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
}

impl Rig {
    fn kubectl(&self, line: &str) -> String {
        said(line, self.command(line).output().unwrap())
    }

    fn command(&self, line: &str) -> Command {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl.args(line.split_whitespace()).env("KUBECONFIG", &self.kubeconfig);
        kubectl
    }

    fn apply(&self, yaml: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        self.kubectl(&format!("apply --server-side -f {}", file.path().display()));
    }

    /// Waits until the command says `expected`.
    fn until(&self, line: &str, expected: &str) {
        let start = Instant::now();
        let mut last = String::new();
        while last != expected {
            let waited = start.elapsed();
            assert!(
                waited < LIMIT,
                "{line}: after {waited:?} {last:?}, not {expected:?}\n{}",
                self.kubectl("get pods -A -o wide")
            );
            let output = self.command(line).output().unwrap();
            last = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        }
    }

    /// Whether `pod` can open a connection to `address`; it gives up after a second. The shell's success shows that
    /// the look itself worked.
    fn reaches(&self, pod: &str, address: &str, port: u16) -> bool {
        let shell = format!("if echo | nc -w 1 {address} {port}; then echo open; else echo closed; fi");
        let output = self.command(&format!("exec {pod} -- sh -c")).arg(&shell).output().unwrap();
        match said(&shell, output).lines().last().unwrap_or_default() {
            "open" => true,
            "closed" => false,
            other => panic!("{shell}: {other}"),
        }
    }

    fn until_reaches(&self, pod: &str, address: &str, port: u16, expected: bool) {
        let start = Instant::now();
        while self.reaches(pod, address, port) != expected {
            assert!(start.elapsed() < LIMIT, "{pod} to {address}:{port} is not {expected}");
        }
    }

    fn node_is(&self, node: &str, ready: &str) {
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        self.until(&format!("get node {node} -o {path}"), ready);
    }

    fn web_is_ready(&self, count: &str) {
        self.until("get statefulset web -o jsonpath={.status.readyReplicas}", count);
    }
}

fn said(line: &str, output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs the program.
fn cluster(line: &str) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_greenroom-e2e-cluster")).args(line.split_whitespace()).output();
    said(line, output.unwrap())
}

/// Links, mounts, control groups, and processes below `folder`, that a cluster made.
fn traces() -> Vec<String> {
    let mut found = Vec::new();
    let entries = |path: &str| std::fs::read_dir(path).into_iter().flatten().flatten();
    found.extend(entries("/sys/class/net").chain(entries("/run/netns")).map(|entry| entry.path()));
    found.extend(
        entries("/sys/fs/cgroup")
            .map(|hierarchy| hierarchy.path().join("grcl"))
            .filter(|group| group.exists()),
    );
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("grcl")));
    let folder = greenroom_e2e_cluster::supply::cache_dir().unwrap().join("cluster");
    let works_here = |process: &Path| {
        let arguments = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        arguments.contains(&*folder.to_string_lossy())
    };
    found.extend(entries("/proc").map(|entry| entry.path()).filter(|process| works_here(process)));
    found.extend(folder.exists().then_some(folder.clone()));
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let ours =
        mounts.lines().filter(|line| line.contains("grcl") || line.contains(&*folder.to_string_lossy()));
    found.iter().map(|path| path.display().to_string()).chain(ours.map(str::to_owned)).collect()
}

#[test]
#[ignore = "slow"]
fn pods_run_find_each_other_keep_their_volumes_and_survive_the_loss_of_nodes() {
    if !is_allowed() {
        return;
    }
    let rig = start();
    volumes_outlive_pods(&rig);
    names_and_services_lead_to_pods(&rig);
    policies_let_in_whom_they_name(&rig);
    a_node_that_loses_power_comes_back(&rig);
    a_partition_is_noticed_and_heals(&rig);
    a_paused_node_is_noticed_and_goes_on(&rig);
    pods_outlive_the_control_plane(&rig);

    cluster("down");
    assert_eq!(traces(), Vec::<String>::new());
}

/// A cluster changes the machine's network, so it is started only where somebody said so. A skip is not captured, and
/// is a failure under CI.
fn is_allowed() -> bool {
    let is_set = |name, value| std::env::var(name).is_ok_and(|set| set == value);
    let reason = if !rustix::process::geteuid().is_root() {
        "it needs root; run the tests with sudo"
    } else if !is_set("E2E_RIGS", "1") && !is_set("CI", "true") {
        "it changes the machine's network; add --install to `cargo xtask test`, or set E2E_RIGS=1"
    } else {
        return true;
    };
    assert!(!is_set("CI", "true"), "{reason}");
    let mut screen = std::io::stderr().lock();
    writeln!(screen, "SKIPPED: the cluster of plain processes: {reason}").unwrap();
    false
}

fn start() -> Rig {
    let runs = cluster("status").contains(r#""ready": true"#);
    assert!(!runs, "a cluster runs on this machine; end it with `cargo xtask cluster down`");
    a_start_that_was_killed_is_cleaned_up();
    cluster("up --install");
    let again = Instant::now();
    let said = cluster("up");
    assert!(said.starts_with("export KUBECONFIG=") && again.elapsed() < Duration::from_secs(3), "{said}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let kubectl = runtime.block_on(Supply::ensure(&[Tool::Kubectl])).unwrap().path(Tool::Kubectl);
    let rig = Rig { kubectl, kubeconfig: cluster("kubeconfig").into() };

    // node3 gets the image when it starts, the others while they run.
    cluster("node kill node3");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("busybox.tar");
    image::busybox(IMAGE).unwrap().write(&archive).unwrap();
    cluster(&format!("load-image {}", archive.display()));
    cluster("node start node3");
    rig.node_is("node3", "True");
    rig.apply(OBJECTS);
    rig.web_is_ready("3");
    let nodes = rig.kubectl("get pods -l app=web -o jsonpath={.items[*].spec.nodeName}");
    let mut nodes: Vec<&str> = nodes.split(' ').collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node1", "node2", "node3"]);
    rig.kubectl("wait --for=condition=Ready pod/friend pod/stranger --timeout=60s");
    rig
}

fn a_start_that_was_killed_is_cleaned_up() {
    let mut up = Command::new(env!("CARGO_BIN_EXE_greenroom-e2e-cluster"));
    let mut up = up.args(["up", "--install"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let steps = BufReader::new(up.stderr.take().unwrap()).lines().map(Result::unwrap);
    // The API server runs, and the nodes are about to.
    assert!(steps.into_iter().any(|step| step.contains("API server")));
    up.kill().unwrap();
    up.wait().unwrap();
    assert!(!traces().is_empty());
    cluster("down");
    assert_eq!(traces(), Vec::<String>::new());
}

fn volumes_outlive_pods(rig: &Rig) {
    let (uid, starts) = ("get pod web-0 -o jsonpath={.metadata.uid}", "exec web-0 -- cat /data/starts");
    let (before, begun) = (rig.kubectl(uid), rig.kubectl(starts));
    rig.kubectl("delete pod web-0");
    rig.web_is_ready("3");
    assert_ne!(rig.kubectl(uid), before);
    // A container may have been started again meanwhile; what it wrote before is there in any case.
    let now = rig.kubectl(starts);
    assert!(now.starts_with(&begun) && now.len() > begun.len(), "{begun:?}, then {now:?}");
}

fn names_and_services_lead_to_pods(rig: &Rig) {
    let address = rig.kubectl("get service web -o jsonpath={.spec.clusterIP}");
    rig.until_reaches("friend", &address, 80, true);
    rig.until_reaches("friend", "web", 80, true);
    rig.until_reaches("friend", "web.default.svc.cluster.local", 80, true);
    assert!(!rig.reaches("friend", "nobody.default.svc.cluster.local", 80));
    rig.until_reaches("friend", "kubernetes.default", 443, true);
    // The way of webhooks and extension API servers: from the API server to a pod.
    let starts = rig.kubectl("get --raw /api/v1/namespaces/default/services/web:http/proxy/starts");
    assert!(starts.starts_with("started"), "{starts}");
}

/// To a pod on the client's own node, and to one on another: the packets take different ways.
fn policies_let_in_whom_they_name(rig: &Rig) {
    let addresses = rig.kubectl("get pods -l app=web -o jsonpath={.items[*].status.podIP}");
    let addresses: Vec<&str> = addresses.split(' ').collect();
    let both = |expected| {
        for address in &addresses {
            rig.until_reaches("stranger", address, 8080, expected);
            rig.until_reaches("friend", address, 8080, true);
        }
    };
    both(true);
    rig.apply(POLICY);
    both(false);
    rig.kubectl("delete networkpolicy friends-only");
    both(true);
}

fn a_node_that_loses_power_comes_back(rig: &Rig) {
    let node = rig.kubectl("get pod web-1 -o jsonpath={.spec.nodeName}");
    cluster(&format!("node kill {node}"));
    rig.node_is(&node, "Unknown");
    // Its pod is given up, and waits for its volume, thus for the node.
    rig.until("get pod web-1 -o jsonpath={.metadata.deletionGracePeriodSeconds}", "1");
    cluster(&format!("node start {node}"));
    rig.node_is(&node, "True");
    rig.web_is_ready("3");
    assert_eq!(rig.kubectl("get pod web-1 -o jsonpath={.spec.nodeName}"), node);
    assert_eq!(rig.kubectl("exec web-1 -- cat /data/starts"), "started\nstarted");
}

fn a_partition_is_noticed_and_heals(rig: &Rig) {
    cluster("node partition node2");
    rig.node_is("node2", "Unknown");
    assert!(cluster("status").contains("partitioned"));
    cluster("node heal node2");
    rig.node_is("node2", "True");
    rig.web_is_ready("3");
}

fn a_paused_node_is_noticed_and_goes_on(rig: &Rig) {
    cluster("node pause node3");
    rig.node_is("node3", "Unknown");
    cluster("node unpause node3");
    rig.node_is("node3", "True");
    rig.web_is_ready("3");
}

fn pods_outlive_the_control_plane(rig: &Rig) {
    let ids = "get pods -l app=web -o jsonpath={.items[*].status.containerStatuses[0].containerID}";
    let before = rig.kubectl(ids);
    cluster("node kill control-plane");
    cluster("node start control-plane");
    for node in ["node1", "node2", "node3"] {
        rig.node_is(node, "True");
    }
    rig.web_is_ready("3");
    assert_eq!(rig.kubectl(ids), before);
    cluster("node pause control-plane");
    let answer = rig.command("get --raw /readyz --request-timeout=1s").output().unwrap();
    assert!(!answer.status.success(), "a paused control plane answers");
    cluster("node unpause control-plane");
    rig.until("get --raw /readyz", "ok");
}
