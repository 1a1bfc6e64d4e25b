//! What the chart renders: golden, valid for an API server with every switch, and strict about what it is given.

use serde_json::{Value, json};

use crate::support::{Settings, apply, chart, helm, install_definitions, objects, output, plane, render};

/// Every documented switch, alone or with what it needs.
const SWITCHES: &[Settings] = &[
    &[],
    &["--set=image.registry=mirror.example:5000,image.repository=a/b,image.tag=1.2"],
    &["--set=image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000"],
    &["--set=image.pullPolicy=Always,imagePullSecrets[0].name=registry,nodeImage=example.org/node:2"],
    &["--set=watchNamespaces={watched,greenroom-system}"],
    &["--set=crds.enabled=false"],
    &["--set=replicas=1,resources=null,podAnnotations.a=b,extraEnv[0].name=A,extraEnv[0].value=b"],
    &["--set=serviceAccount.create=false,serviceAccount.name=mine,placementApi.serviceAccount.create=false"],
    &["--set=serviceAccount.annotations.a=b"],
    &["--set=placementApi.enabled=false"],
    &["--set=placementApi.replicas=3,placementApi.extraEnv[0].name=A,placementApi.extraEnv[0].value=b"],
    &["--set=rbac.create=false"],
    &["--set=rbac.aggregateUserRoles=false"],
    &["--set=podDisruptionBudget.enabled=false"],
    &["--set=networkPolicy.enabled=false"],
    &[
        "--set=networkPolicy.apiServerCidrs={10.0.0.1/32,fd00::1/128}",
        "--set-json=networkPolicy.extraEgress=[{\"ports\":[{\"port\":4317}]}]",
    ],
    &["--set=priorityClassName=system-cluster-critical,nodeSelector.disk=ssd"],
    &["--set-json=tolerations=[{\"key\":\"a\",\"operator\":\"Exists\"}]"],
    &[
        "--set-json=affinity={\"nodeAffinity\":{}}",
        "--set-json=topologySpreadConstraints=[{\"maxSkew\":2,\"topologyKey\":\"rack\",\"whenUnsatisfiable\":\"DoNotSchedule\"}]",
    ],
    &["--set=logLevel=debug,logFormat=text,otlpEndpoint=http://collector:4317"],
    &[
        "--set=metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true",
    ],
    &["--set=metrics.podMonitor.enabled=true,metrics.podMonitor.labels.a=b,watchNamespaces={watched}"],
    &["--set=commonLabels.team=x,commonAnnotations.why=y,rbac.aggregateUserRoles=true"],
    &["--set=fullnameOverride=other,namespaceOverride=watched,clusterDomain=example.internal"],
    &[
        "--set-json=extraObjects=[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"{{ .Release.Name }}-extra\"}}]",
    ],
];

/// Kinds of the Prometheus operator, as far as the API server has to know them here.
const MONITORING: [(&str, &str); 2] = [("podmonitors", "PodMonitor"), ("prometheusrules", "PrometheusRule")];

#[tokio::test]
async fn helm_finds_nothing_to_complain_about() {
    for name in ["greenroom", "greenroom-crds"] {
        output(helm().await.args(["lint", "--strict"]).arg(chart(name))).unwrap();
    }
}

#[tokio::test]
async fn the_default_render_is_as_it_was() {
    let rendered = render(&["--set=crds.enabled=false"]).await.unwrap();
    insta::assert_snapshot!("default", rendered);
}

#[tokio::test]
async fn values_that_do_not_exist_or_have_the_wrong_type_are_refused() {
    let refused = [
        ("--set=replica=1", "replica"),
        ("--set=image.tagg=1", "tagg"),
        ("--set-string=replicas=two", "replicas"),
        ("--set=image.pullPolicy=Sometimes", "pullPolicy"),
        ("--set=image.digest=sha256:12", "digest"),
        ("--set=placementApi.serviceAccount.creat=true", "creat"),
        ("--set=imagePullSecrets={registry}", "imagePullSecrets"),
    ];
    for (setting, named) in refused {
        let error = render(&[setting]).await.expect_err(setting).to_string();
        assert!(error.contains(named) && error.contains("schema"), "{setting}: {error}");
    }
    assert!(render(&["--set=global.imageRegistry=x"]).await.is_ok());
}

#[tokio::test]
#[ignore = "slow"]
async fn every_switch_renders_what_an_api_server_takes() {
    let plane = plane().await;
    for (plural, kind) in MONITORING {
        apply(plane.kubectl(), &["apply", "-f", "-"], &stub(plural, kind)).unwrap();
    }
    install_definitions(plane);
    for settings in SWITCHES {
        let rendered = render(settings).await.unwrap();
        let dry = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        apply(plane.kubectl(), &dry, &rendered).unwrap_or_else(|error| panic!("{settings:?}: {error}"));
        for pod in pods(&rendered) {
            apply(plane.kubectl(), &dry, &pod.to_string())
                .unwrap_or_else(|error| panic!("{settings:?}: a pod is refused: {error}"));
        }
    }
}

#[tokio::test]
async fn one_registry_moves_every_image() {
    let rendered = render(&["--set=image.registry=mirror.example"]).await.unwrap();
    let images: Vec<_> = rendered.lines().filter(|line| line.contains("/greenroom:")).collect();
    assert_eq!(images.len(), 3, "{images:?}");
    assert!(images.iter().all(|line| line.contains(" mirror.example/greenroom:")), "{images:?}");
}

#[tokio::test]
async fn charts_and_programs_have_one_version() {
    for name in ["greenroom", "greenroom-crds"] {
        let chart = std::fs::read_to_string(chart(name).join("Chart.yaml")).unwrap();
        let chart: Value = serde_saphyr::from_str(&chart).unwrap();
        assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"), "{name}");
        assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"), "{name}");
    }
}

/// The pods that the Deployments would make; there is nobody to make them, and it is they whom the pod security
/// standard of the namespace binds.
fn pods(rendered: &str) -> Vec<Value> {
    let deployments = objects(rendered).into_iter().filter(|object| object["kind"] == "Deployment");
    let pods = deployments.map(|deployment| {
        let mut template = deployment["spec"]["template"].clone();
        template["metadata"]["name"] = deployment["metadata"]["name"].clone();
        template["metadata"]["namespace"] = deployment["metadata"]["namespace"].clone();
        // A pod needs its account, a Deployment does not; the default one is not made without a controller-manager.
        template["spec"]["automountServiceAccountToken"] = false.into();
        template["spec"].as_object_mut().unwrap().remove("serviceAccountName");
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"] })
    });
    pods.collect()
}

fn stub(plural: &str, kind: &str) -> String {
    let schema =
        json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.monitoring.coreos.com") },
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": { "plural": plural, "kind": kind },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }],
        },
    })
    .to_string()
}
