//! The rights that the chart gives: enough for the work, and no more.

use anyhow::Result;
use greenroom_e2e_cluster::ControlPlane;
use serde_json::Value;

use crate::support::{NAMESPACE, WATCHED, apply, chart, install_definitions, objects, output, plane, render};

/// What the operator applies for a cluster, and the shard map's pages, which it only creates: from the tests of what
/// makes them.
fn objects_of_a_cluster() -> (String, String) {
    let folder = chart("../operator/plan/tests/golden/smallest");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    // The API server wants a Role before its binding.
    files.sort();
    let (mut applied, mut created) = (String::new(), String::new());
    for file in files.iter().filter(|file| !file.ends_with("cluster.yaml")) {
        let text = std::fs::read_to_string(file).unwrap() + "---\n";
        let page = text.contains("kind: ShardMap");
        let to = if page { &mut created } else { &mut applied };
        to.push_str(&text.replace("namespace: games", &format!("namespace: {WATCHED}")));
    }
    (applied, created)
}

#[tokio::test]
async fn no_rule_says_everything_and_nobody_lists_secrets() {
    for settings in [&[][..], &["--set=watchNamespaces={watched}"][..]] {
        let rendered = render(settings).await.unwrap();
        let roles = objects(&rendered).into_iter().filter(|o| ["Role", "ClusterRole"].contains(&kind(o)));
        let rules: Vec<Value> = roles.flat_map(|role| role["rules"].as_array().cloned().unwrap()).collect();
        assert!(rules.len() > 10);
        for rule in rules {
            let text = rule.to_string();
            assert!(!text.contains('*') && !text.contains("escalate") && !text.contains("bind\""), "{text}");
            if text.contains("\"secrets\"") {
                assert!(!text.contains("list") && !text.contains("watch"), "{text}");
            }
        }
    }
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

#[tokio::test]
#[ignore = "slow"]
async fn the_operator_can_do_its_work_where_it_watches_and_nowhere_else() {
    let plane = plane().await;
    install_definitions(plane);
    let rights = |rendered: &str| -> String {
        let wanted = objects(rendered)
            .into_iter()
            .filter(|object| kind(object).contains("Role") || kind(object) == "ServiceAccount");
        wanted.map(|object| object.to_string() + "\n---\n").collect()
    };
    // Under names of its own, so that nothing of the other installation lends it a right.
    let narrow = render(&["--set=watchNamespaces={watched},fullnameOverride=narrow"]).await.unwrap();
    let wide = render(&["--set=fullnameOverride=wide"]).await.unwrap();
    for rendered in [&narrow, &wide] {
        apply(plane.kubectl(), &["apply", "-f", "-"], &rights(rendered)).unwrap();
    }
    for (name, everywhere) in [("narrow", false), ("wide", true)] {
        let operator = format!("system:serviceaccount:{NAMESPACE}:{name}-operator");
        let user = format!("--as={operator}");
        let (applied, created) = objects_of_a_cluster();
        // Among them is the Role of the nodes: nobody can give what he does not have.
        apply(plane.kubectl(), &["apply", "--server-side", &user, "-f", "-"], &applied)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        apply(plane.kubectl(), &["create", &user, "-f", "-"], &created)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        apply(plane.kubectl(), &["delete", "-f", "-"], &(applied + &created)).unwrap();

        let may = |verb: &str, resource: &str, namespace: &str| can(plane, &user, verb, resource, namespace);
        assert!(may("patch", "statefulsets.apps", WATCHED).unwrap());
        assert_eq!(may("patch", "statefulsets.apps", "default").unwrap(), everywhere, "{name}");
        assert_eq!(may("get", "secrets", "kube-system").unwrap(), everywhere, "{name}");
        assert!(!may("list", "secrets", WATCHED).unwrap());
        assert!(!may("delete", "persistentvolumeclaims", WATCHED).unwrap());
        assert!(!may("patch", "actorclusters.greenroom.dev", WATCHED).unwrap());
        assert!(may("update", &format!("leases.coordination.k8s.io/{name}-operator"), NAMESPACE).unwrap());
        assert!(!may("update", "leases.coordination.k8s.io/other", NAMESPACE).unwrap());
    }
}

#[tokio::test]
#[ignore = "slow"]
async fn people_who_view_or_edit_a_namespace_view_or_edit_its_clusters() {
    let plane = plane().await;
    let rendered = render(&[]).await.unwrap();
    let roles =
        objects(&rendered).into_iter().filter(|o| o["metadata"]["labels"]["greenroom.dev/for"] == "people");
    for role in roles {
        let verbs = role["rules"].to_string();
        let labels = &role["metadata"]["labels"];
        let viewer = labels["rbac.authorization.k8s.io/aggregate-to-view"] == "true";
        assert_eq!(viewer, !verbs.contains("delete"), "{role}");
        assert!(!verbs.contains("secrets"), "{role}");
        apply(plane.kubectl(), &["apply", "--dry-run=server", "-f", "-"], &role.to_string()).unwrap();
    }
}

fn can(plane: &ControlPlane, user: &str, verb: &str, resource: &str, namespace: &str) -> Result<bool> {
    let mut kubectl = plane.kubectl();
    kubectl.args(["auth", "can-i", verb, resource, "--namespace", namespace, user]);
    let said = kubectl.output()?;
    let text = String::from_utf8(said.stdout)?;
    match text.trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => output(&mut kubectl).map(|_| false),
    }
}
