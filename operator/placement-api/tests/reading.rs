//! Each way in which kubectl reads placements, against a real API server and real nodes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use http::{Request, StatusCode, header};
use kube::client::Body;
use serde_json::{Value, json};
use support::{NAMESPACE, World};

const BASE: &str = "/apis/placement.greenroom.dev/v1alpha1";

fn lines(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// The keys of a list, as it is ordered.
fn keys(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["spec"]["key"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn kubectl_reads_placements_in_all_its_ways() {
    let world = World::start().await;
    assert_eq!(world.ok(&["get", "actorplacements", "-n", NAMESPACE]).await, "");
    let (shop, zoo) = (world.cluster("shop", 3).await, world.cluster("zoo", 1).await);
    shop.count(["a", "b", "c", "d,=\\/ü", "e"]).await;
    zoo.count(["a"]).await;
    printing(&world).await;
    selecting(&world).await;
    paging(&world).await;
    explaining(&world).await;
    shop_is_described(&world).await;
    wrong_questions(&world).await;
    documents(&world).await;
    drop((shop, zoo));
    world.api.stop().await;
}

async fn printing(world: &World) {
    let table = world.ok(&["get", "ap", "-n", NAMESPACE]).await;
    let table = lines(&table);
    assert_eq!(table[0], ["NAME", "TYPE", "KEY", "NODE", "AGE"]);
    assert_eq!(table.len(), 7, "{table:?}");
    assert_eq!((table[1][1], table[1][2]), ("Counter", "a"));
    assert!(table[1][0].ends_with(".shop") && table[1][3].starts_with("shop-"), "{table:?}");
    assert!(table[6][0].ends_with(".zoo") && table[6][3] == "zoo-0", "{table:?}");

    let wide = world.ok(&["get", "actorplacements", "-A", "-o", "wide"]).await;
    let wide = lines(&wide);
    let header = ["NAMESPACE", "NAME", "TYPE", "KEY", "NODE", "CLUSTER", "SHARD", "EPOCH", "MAILBOX", "AGE"];
    assert_eq!(wide[0], header);
    assert_eq!((wide[6][0], wide[6][5], wide[6][8]), (NAMESPACE, "zoo", "0"));

    let list = world.json(&["get", "ap", "-n", NAMESPACE]).await;
    assert_eq!(keys(&list), ["a", "b", "c", "d,=\\/ü", "e", "a"]);
    let name = list["items"][0]["metadata"]["name"].as_str().unwrap();
    let one = world.json(&["get", "ap", name, "-n", NAMESPACE]).await;
    assert_eq!(one["spec"], json!({ "cluster": "shop", "type": "Counter", "key": "a" }));
    assert_eq!(one["metadata"]["uid"], list["items"][0]["metadata"]["uid"]);
    assert_eq!(one["metadata"]["ownerReferences"], Value::Null);
    let names = world.ok(&["get", "ap", "-n", NAMESPACE, "-o", "name"]).await;
    assert_eq!(names.lines().next().unwrap(), format!("actorplacement.placement.greenroom.dev/{name}"));

    let sorted = world.ok(&["get", "ap", "-n", NAMESPACE, "--sort-by", "{.spec.key}"]).await;
    let sorted: Vec<_> = lines(&sorted)[1..].iter().map(|line| line[2].to_owned()).collect();
    assert!(sorted.is_sorted() && sorted.len() == 6, "{sorted:?}");
    let all = world.ok(&["get", "greenroom", "-n", NAMESPACE]).await;
    assert_eq!(all.lines().count(), 7, "the category shows them: {all}");
    let path = ["get", "ap", "-n", NAMESPACE, "-o", "jsonpath={.items[*].status.node}"];
    assert_eq!(world.ok(&path).await.split(' ').count(), 6);
}

async fn selecting(world: &World) {
    let selected = async |option: &'static str, selector: &'static str| {
        let list = world.json(&["get", "ap", "-n", NAMESPACE, option, selector]).await;
        keys(&list).join(" ")
    };
    assert_eq!(selected("--field-selector", "spec.key=b").await, "b");
    assert_eq!(selected("--field-selector", "spec.type=Counter,spec.key=a").await, "a a");
    assert_eq!(selected("--field-selector", "spec.type=Counter,spec.key=a,spec.cluster=zoo").await, "a");
    assert_eq!(selected("--field-selector", r"spec.type=Counter,spec.key=d\,\=\\/ü").await, "d,=\\/ü");
    assert_eq!(selected("--field-selector", "spec.type=Ghost").await, "");
    assert_eq!(selected("--field-selector", "spec.type=not a type,spec.key=a").await, "");
    assert_eq!(selected("--field-selector", "status.node=zoo-0").await, "a");
    assert_eq!(selected("--field-selector", "spec.cluster!=shop").await, "a");
    assert_eq!(selected("--field-selector", "metadata.namespace=other").await, "");
    assert_eq!(selected("-l", "greenroom.dev/cluster=zoo").await, "a");
    assert_eq!(selected("-l", "greenroom.dev/cluster in (shop,zoo),!other").await, "a b c d,=\\/ü e a");
    assert_eq!(
        selected("-l", "greenroom.dev/node notin (zoo-0),greenroom.dev/type=Counter").await,
        "a b c d,=\\/ü e"
    );
    let refused = world.kubectl(&["get", "ap", "-A", "--field-selector", "spec.colour=red"]).await;
    let refused = refused.0.unwrap_err();
    assert!(
        refused.contains(r#"field selector "spec.colour" is not supported; the fields are metadata.name, "#),
        "{refused}"
    );
}

async fn paging(world: &World) {
    let whole = world.ok(&["get", "ap", "-A", "-o", "name"]).await;
    assert_eq!(world.ok(&["get", "ap", "-A", "-o", "name", "--chunk-size=2"]).await, whole);
    let list = format!("{BASE}/actorplacements");
    let (mut path, mut found, mut versions) = (format!("{list}?limit=2"), Vec::new(), Vec::new());
    loop {
        let page = world.get(&path).await;
        versions.push(page["metadata"]["resourceVersion"].clone());
        found.extend(keys(&page).into_iter().map(str::to_owned));
        let Some(next) = page["metadata"]["continue"].as_str() else { break };
        path = format!("{list}?limit=2&continue={next}");
    }
    assert_eq!(found, ["a", "b", "c", "d,=\\/ü", "e", "a"]);
    assert!(versions.len() >= 3 && versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    // A continue of another list, and one that nobody signed.
    let other = path
        .replace("actorplacements?", "namespaces/play/actorplacements?")
        .replace("/v1alpha1/actor", "/v1alpha1/namespaces/play/actor");
    assert!(world.kubectl(&["get", "--raw", &other]).await.0.unwrap_err().contains("other selectors"));
    let forged = format!("{list}?continue={}", "A".repeat(80));
    assert!(world.kubectl(&["get", "--raw", &forged]).await.0.unwrap_err().contains("too old"));
}

async fn explaining(world: &World) {
    let resources = world.ok(&["api-resources", "--api-group=placement.greenroom.dev", "-o", "wide"]).await;
    let row = lines(&resources)[1].join(" ");
    assert_eq!(
        row,
        "actorplacements ap placement.greenroom.dev/v1alpha1 true ActorPlacement get,list,watch greenroom"
    );
    for (path, part) in [
        ("actorplacements", "An actor that is in memory now, and where."),
        ("ap.spec", "The actor's key."),
        ("ap.status.shard", "The shard that the actor belongs to."),
        ("ap.metadata.labels", "Map of string keys and values"),
    ] {
        let explained = world.ok(&["explain", path]).await;
        let flat = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("KIND: ActorPlacement") && flat.contains(part), "{path}: {explained}");
    }
    let recursive = world.ok(&["explain", "ap", "--recursive"]).await;
    assert!(recursive.contains("activatedAt"), "{recursive}");
}

async fn shop_is_described(world: &World) {
    let names =
        world.ok(&["get", "ap", "-n", NAMESPACE, "-o", "name", "--field-selector", "spec.key=b"]).await;
    let described = world.ok(&["describe", names.trim(), "-n", NAMESPACE]).await;
    for part in ["Key:      b", "Node:", "Shard:", "greenroom.dev/cluster=shop", "Events:"] {
        assert!(described.contains(part), "{described}");
    }
}

async fn wrong_questions(world: &World) {
    let refused = async |args: &[&str]| world.kubectl(args).await.0.unwrap_err();
    let missing = refused(&["get", "ap", "counter-none.shop", "-n", NAMESPACE]).await;
    assert!(
        missing.contains(r#"actorplacements.placement.greenroom.dev "counter-none.shop" not found"#),
        "{missing}"
    );
    let deleted = refused(&["delete", "ap", "--all", "-n", NAMESPACE]).await;
    assert!(deleted.contains("does not allow this method"), "{deleted}");
    let versions = refused(&[
        "get",
        "--raw",
        &format!("{BASE}/actorplacements?resourceVersion=7&resourceVersionMatch=Exact"),
    ])
    .await;
    assert!(versions.contains("past version"), "{versions}");
    let path = refused(&["get", "--raw", &format!("{BASE}/others")]).await;
    assert!(path.contains("could not find"), "{path}");
}

async fn documents(world: &World) {
    let ask = async |path: &str, accept: &str, etag: Option<&str>| {
        let mut request = Request::get(path).header(header::ACCEPT, accept);
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        world.kube.send(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let whole = ask(BASE, "application/json", None).await;
    assert_eq!(whole.status(), StatusCode::OK);
    let etag = whole.headers()[header::ETAG].to_str().unwrap();
    assert_eq!(ask(BASE, "application/json", Some(etag)).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(ask(BASE, "text/html", None).await.status(), StatusCode::NOT_ACCEPTABLE);
    let list = format!("{BASE}/actorplacements");
    let protobuf = ask(&list, "application/vnd.kubernetes.protobuf", None).await;
    assert_eq!(protobuf.status(), StatusCode::NOT_ACCEPTABLE);
    // The API server's own document has ours in it, so it has read and understood it.
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let all = world
        .kube
        .request_text(Request::get("/apis").header(header::ACCEPT, aggregated).body(Vec::new()).unwrap());
    let all: Value = serde_json::from_str(&all.await.unwrap()).unwrap();
    let groups = all["items"].as_array().unwrap();
    let ours = groups.iter().find(|group| group["metadata"]["name"] == "placement.greenroom.dev").unwrap();
    assert_eq!(ours["versions"][0]["freshness"], "Current");
    assert_eq!(ours["versions"][0]["resources"][0]["verbs"], json!(["get", "list", "watch"]));
}
