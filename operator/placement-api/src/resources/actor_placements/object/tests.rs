//! What clients see of a placement, and of the resource.

use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::framework::answer::Writer;
use crate::framework::negotiation::{MetaVersion, Representation};
use crate::framework::openapi::OpenApi;
use crate::framework::query::IncludeObject;
use crate::framework::table::Tables;
use crate::framework::{Description, answer, discovery::Discovery};
use crate::nodes::{ClusterId, NodePod};

fn held() -> Held {
    let node = NodePod {
        cluster: ClusterId::new("play", "shop"),
        name: "shop-1".into(),
        uid: "b7d8".into(),
        address: String::new(),
        host: Some("host-a".into()),
        only_process_since: None,
    };
    let placement = greenroom_proto::v1::Placement {
        name: "counter-hxvdxvmwyyt7dwpma4liupvy74".into(),
        r#type: "Counter".into(),
        key: "page-1".into(),
        node: "shop-1".into(),
        shard: 780,
        epoch: 3,
        activated_unix_ms: 1_790_000_000_123,
        mailbox: 2,
    };
    Held { node: node.into(), placement }
}

fn writer(representation: Representation) -> Writer {
    let description = Description::of::<ActorPlacement>();
    Writer { description, representation, include: IncludeObject::Metadata }
}

#[test]
fn an_object_is_flat_and_readable() {
    let object = writer(Representation::Objects).one(&ActorPlacement::of(&held(), None));
    let uid = object["metadata"]["uid"].clone();
    assert_eq!(
        object,
        json!({
            "apiVersion": "placement.greenroom.dev/v1alpha1",
            "kind": "ActorPlacement",
            "metadata": {
                "name": "counter-hxvdxvmwyyt7dwpma4liupvy74.shop",
                "namespace": "play",
                "uid": uid,
                "resourceVersion": "3580000000246000",
                "creationTimestamp": "2026-09-21T14:13:20Z",
                "labels": {
                    "greenroom.dev/cluster": "shop",
                    "greenroom.dev/node": "shop-1",
                    "greenroom.dev/type": "Counter",
                },
            },
            "spec": { "cluster": "shop", "type": "Counter", "key": "page-1" },
            "status": {
                "node": "shop-1",
                "host": "host-a",
                "shard": 780,
                "epoch": 3,
                "mailbox": 2,
                "activatedAt": "2026-09-21T14:13:20Z",
            },
        })
    );
}

#[test]
fn each_activation_has_a_uid_of_its_own() {
    let uid_after = |change: fn(&mut Held)| {
        let mut held = held();
        change(&mut held);
        uid(&held)
    };
    let same = uid_after(|held| held.placement.mailbox = 9);
    assert_eq!(same, uid(&held()));
    assert_eq!(same.get_version_num(), 8);
    for other in [
        uid_after(|held| held.placement.activated_unix_ms += 1),
        uid_after(|held| held.placement.epoch += 1),
        uid_after(|held| held.placement.key = "page-2".into()),
    ] {
        assert_ne!(other, same);
    }
}

#[test]
fn every_selectable_field_has_a_value() {
    let object = ActorPlacement::of(&held(), None);
    let fields = &Description::of::<ActorPlacement>().fields;
    assert_eq!(
        fields[..],
        ["metadata.name", "metadata.namespace", "spec.cluster", "spec.type", "spec.key", "status.node"]
    );
    for field in &fields[2..] {
        assert!(object.field(field).is_some(), "{field}");
    }
}

#[test]
fn labels_are_valid_whatever_the_type_is() {
    let mut held = held();
    held.placement.r#type = format!("{}_._", "a".repeat(61));
    let labels = ActorPlacement::of(&held, None).metadata.labels.unwrap();
    assert_eq!(labels[TYPE_LABEL], "a".repeat(61));
}

#[test]
fn a_table_is_what_kubectl_prints() {
    let tables = Tables {
        description: Description::of::<ActorPlacement>(),
        version: MetaVersion::V1,
        include: IncludeObject::None,
        now: Timestamp::from_second(1_790_000_133).unwrap(),
    };
    let rows = vec![tables.row(&ActorPlacement::of(&held(), None))];
    let table = tables.table(rows, json!({ "resourceVersion": "14" }));
    insta::assert_snapshot!("table", serde_json::to_string_pretty(&table).unwrap());
}

#[test]
fn the_metadata_alone_is_offered_too() {
    let items = [ActorPlacement::of(&held(), None)];
    let writer = writer(Representation::Metadata(MetaVersion::V1));
    let list = writer.list(&items, Version::from_number(14), Some("token")).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["metadata"], json!({ "resourceVersion": "14", "continue": "token" }));
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0]["spec"], Value::Null);
}

#[test]
fn a_bookmark_has_the_kind_and_a_version() {
    let mark = json!({ "k8s.io/initial-events-end": "true" });
    let object = writer(Representation::Objects).bookmark(Version::from_number(14), mark.clone());
    assert_eq!(object["kind"], "ActorPlacement");
    assert_eq!(object["metadata"], json!({ "resourceVersion": "14", "annotations": mark }));
    let table =
        writer(Representation::Table(MetaVersion::V1)).bookmark(Version::from_number(14), Value::Null);
    assert_eq!(table["rows"][0]["cells"].as_array().unwrap().len(), 9);
    assert_eq!(table["rows"][0]["object"]["metadata"]["resourceVersion"], "14");
}

#[test]
fn warnings_are_plain_text_in_the_header() {
    let mut headers = HeaderMap::new();
    answer::warn(&mut headers, &["node \"a\" is\nsilent ü".to_owned()]);
    assert_eq!(headers["warning"], r#"299 - "node \"a\" issilent ""#);
}

#[tokio::test]
async fn discovery_is_complete_and_known_documents_are_not_sent_again() {
    let discovery = Discovery::new(&[Description::of::<ActorPlacement>()]);
    let accept = |value: &str| HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())]);
    let aggregated = accept("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let answer = discovery.root(&aggregated).unwrap();
    assert_eq!(
        answer.headers()[header::CONTENT_TYPE],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let mut again = aggregated.clone();
    again.insert(header::IF_NONE_MATCH, answer.headers()[header::ETAG].clone());
    assert_eq!(discovery.root(&again).unwrap().status(), 304);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    insta::assert_snapshot!("discovery", pretty(&body));
    let resources = discovery.resources(&accept("application/json")).unwrap();
    let body = axum::body::to_bytes(resources.into_body(), 1 << 20).await.unwrap();
    insta::assert_snapshot!("resources", pretty(&body));
}

#[tokio::test]
async fn open_api_has_what_explain_looks_for() {
    let open_api = OpenApi::new(&[Description::of::<ActorPlacement>()]);
    let body = open_api.document.serve(&HeaderMap::new()).into_body();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut document: Value = serde_json::from_slice(&body).unwrap();
    let meta = document["components"]["schemas"]["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].take();
    assert!(meta["properties"]["labels"]["description"].is_string(), "{meta}");
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&document).unwrap());
}

fn pretty(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}
