//! Which records the cluster's zone has: those of the specification of DNS for Kubernetes.
//!
//! | name in `cluster.local` | has |
//! |---|---|
//! | `SERVICE.NAMESPACE.svc` | A: its address; headless: of each ready pod; ExternalName: CNAME |
//! | `HOSTNAME.SERVICE.NAMESPACE.svc` | A: of that pod of a headless Service |
//! | `_PORT._PROTOCOL.SERVICE.NAMESPACE.svc` | SRV: port and name; headless: of each pod |
//! | an address in `in-addr.arpa` | PTR: Service, or pod of a headless Service |

use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_server::proto::rr::rdata::{A, CNAME, PTR, SOA, SRV};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use kube::ResourceExt;

const ZONE: &str = "cluster.local";
/// Seconds. Tests want to see changes.
const TTL: u32 = 2;

/// What there is to tell.
pub(super) struct Objects {
    pub(super) services: Vec<Arc<Service>>,
    pub(super) slices: Vec<Arc<EndpointSlice>>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// The name exists; it may have no record of the kind.
    Records(Vec<Record>),
    NoSuchName,
    NotOurs,
}

/// A pod behind a Service.
struct Endpoint<'a> {
    address: Ipv4Addr,
    hostname: String,
    ports: &'a [EndpointPort],
}

/// Answers a question for `name`, in lower case, with or without the last dot.
pub(super) fn answer(objects: &Objects, name: &str, kind: RecordType) -> Answer {
    let name = name.trim_end_matches('.');
    let found = if let Some(reversed) = name.strip_suffix(".in-addr.arpa") {
        objects.reverse(reversed)
    } else if let Some(labels) =
        name.strip_suffix(ZONE).filter(|labels| labels.is_empty() || labels.ends_with('.'))
    {
        let labels: Vec<&str> = labels.split('.').filter(|label| !label.is_empty()).collect();
        objects.forward(&labels)
    } else {
        return Answer::NotOurs;
    };
    let Some(found) = found else { return Answer::NoSuchName };
    let fits = |data: &RData| {
        kind == RecordType::ANY || data.record_type() == kind || matches!(data, RData::CNAME(_))
    };
    let records = found.into_iter().filter(fits).map(|data| Record::from_rdata(absolute(name), TTL, data));
    Answer::Records(records.collect())
}

/// What comes with an answer without records: how long it may be remembered.
pub(super) fn start_of_authority() -> Record {
    let soa = SOA::new(
        absolute(&format!("ns.dns.{ZONE}")),
        absolute(&format!("hostmaster.{ZONE}")),
        1,
        7200,
        1800,
        86400,
        TTL,
    );
    Record::from_rdata(absolute(ZONE), TTL, RData::SOA(soa))
}

impl Objects {
    /// `None` when there is no such name.
    fn forward(&self, labels: &[&str]) -> Option<Vec<RData>> {
        let (rest, service, namespace) = match labels {
            [] | ["svc"] | [_, "svc"] => return Some(Vec::new()),
            [rest @ .., service, namespace, "svc"] => (rest, *service, *namespace),
            _ => return None,
        };
        let object = self.services.iter().find(|object| {
            object.name_any() == service && object.namespace().as_deref() == Some(namespace)
        })?;
        let spec = object.spec.as_ref()?;
        let full_name = format!("{service}.{namespace}.svc.{ZONE}");
        if let (Some(external), "ExternalName") =
            (&spec.external_name, spec.type_.as_deref().unwrap_or_default())
        {
            return rest.is_empty().then(|| vec![RData::CNAME(CNAME(absolute(external)))]);
        }
        match (cluster_address(spec), rest) {
            (Some(address), []) => Some(vec![RData::A(A(address))]),
            (Some(_), [port, protocol]) => some_of(service_ports(spec, port, protocol, &full_name)),
            (Some(_), _) => None,
            (None, []) => {
                some_of(self.behind(namespace, service).map(|pod| RData::A(A(pod.address))).collect())
            }
            (None, [hostname]) => {
                let pods = self.behind(namespace, service).filter(|pod| pod.hostname == *hostname);
                some_of(pods.map(|pod| RData::A(A(pod.address))).collect())
            }
            (None, [port, protocol]) => {
                let pods = self.behind(namespace, service);
                some_of(pods.flat_map(|pod| pod_ports(&pod, port, protocol, &full_name)).collect())
            }
            (None, _) => None,
        }
    }

    fn reverse(&self, reversed: &str) -> Option<Vec<RData>> {
        let address: Vec<&str> = reversed.rsplit('.').collect();
        let address: Ipv4Addr = address.join(".").parse().ok()?;
        let mut names = Vec::new();
        for service in &self.services {
            let Some((spec, namespace)) = service.spec.as_ref().zip(service.namespace()) else { continue };
            let full_name = format!("{}.{namespace}.svc.{ZONE}", service.name_any());
            match cluster_address(spec) {
                Some(own) if own == address => names.push(full_name),
                Some(_) => {}
                None => {
                    let service = service.name_any();
                    let pods = self.behind(&namespace, &service).filter(|pod| pod.address == address);
                    names.extend(pods.map(|pod| format!("{}.{full_name}", pod.hostname)));
                }
            }
        }
        some_of(names.iter().map(|name| RData::PTR(PTR(absolute(name)))).collect())
    }

    /// The ready pods behind a Service.
    fn behind<'a>(&'a self, namespace: &'a str, service: &'a str) -> impl Iterator<Item = Endpoint<'a>> {
        let slices = self.slices.iter().filter(move |slice| {
            slice.namespace().as_deref() == Some(namespace)
                && slice.address_type == "IPv4"
                && slice.labels().get("kubernetes.io/service-name").is_some_and(|name| name == service)
        });
        slices.flat_map(|slice| {
            let ports = slice.ports.as_deref().unwrap_or_default();
            let is_ready = |ready: Option<bool>| ready.unwrap_or(true);
            slice
                .endpoints
                .iter()
                .filter(move |pod| is_ready(pod.conditions.as_ref().and_then(|conditions| conditions.ready)))
                .flat_map(move |pod| {
                    pod.addresses.iter().filter_map(move |address| {
                        let hostname = pod.hostname.clone().unwrap_or_else(|| address.replace('.', "-"));
                        Some(Endpoint { address: address.parse().ok()?, hostname, ports })
                    })
                })
        })
    }
}

/// The address of a Service that has one.
fn cluster_address(spec: &ServiceSpec) -> Option<Ipv4Addr> {
    spec.cluster_ip.as_deref()?.parse().ok()
}

fn service_ports(spec: &ServiceSpec, port: &str, protocol: &str, target: &str) -> Vec<RData> {
    let ports = spec.ports.iter().flatten();
    let asked = ports.filter(|own| is_asked(own.name.as_deref(), own.protocol.as_deref(), port, protocol));
    asked.map(|own| srv(own.port, target)).collect()
}

fn pod_ports(pod: &Endpoint<'_>, port: &str, protocol: &str, service: &str) -> Vec<RData> {
    let asked =
        pod.ports.iter().filter(|own| is_asked(own.name.as_deref(), own.protocol.as_deref(), port, protocol));
    asked.filter_map(|own| Some(srv(own.port?, &format!("{}.{service}", pod.hostname)))).collect()
}

/// Whether a port is the one of `_NAME._PROTOCOL`.
fn is_asked(name: Option<&str>, protocol: Option<&str>, asked_name: &str, asked_protocol: &str) -> bool {
    let protocol = protocol.unwrap_or("TCP").to_ascii_lowercase();
    asked_name.strip_prefix('_') == Some(name.unwrap_or_default())
        && asked_protocol.strip_prefix('_') == Some(protocol.as_str())
}

fn srv(port: i32, target: &str) -> RData {
    RData::SRV(SRV::new(0, 100, u16::try_from(port).unwrap_or_default(), absolute(target)))
}

/// A name without any record does not exist.
fn some_of(records: Vec<RData>) -> Option<Vec<RData>> {
    (!records.is_empty()).then_some(records)
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap_or_else(|_| Name::root());
    name.set_fqdn(true);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects() -> Objects {
        let service = |name: &str, spec: serde_json::Value| {
            let object = serde_json::json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
            Arc::new(serde_json::from_value(object).unwrap())
        };
        let ports = serde_json::json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
        let slice = serde_json::json!({
            "metadata": {"name": "db-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
            "addressType": "IPv4", "ports": ports,
            "endpoints": [
                {"addresses": ["10.0.0.1"], "hostname": "db-0", "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "hostname": "db-1", "conditions": {"ready": false}},
            ],
        });
        Objects {
            services: vec![
                service("web", serde_json::json!({"clusterIP": "10.1.0.7", "ports": ports})),
                service("db", serde_json::json!({"clusterIP": "None", "ports": ports})),
                service("far", serde_json::json!({"type": "ExternalName", "externalName": "example.org"})),
            ],
            slices: vec![Arc::new(serde_json::from_value(slice).unwrap())],
        }
    }

    fn data(name: &str, kind: RecordType) -> String {
        match answer(&objects(), name, kind) {
            Answer::Records(records) => {
                records.iter().map(|record| record.data.to_string()).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_of_name_has_its_records() {
        for (name, kind, expected) in [
            ("web.shop.svc.cluster.local.", RecordType::A, "10.1.0.7"),
            ("web.shop.svc.cluster.local", RecordType::AAAA, ""),
            (
                "_http._tcp.web.shop.svc.cluster.local",
                RecordType::SRV,
                "0 100 80 web.shop.svc.cluster.local.",
            ),
            ("db.shop.svc.cluster.local", RecordType::A, "10.0.0.1"),
            ("db-0.db.shop.svc.cluster.local", RecordType::A, "10.0.0.1"),
            ("db-1.db.shop.svc.cluster.local", RecordType::A, "NoSuchName"),
            (
                "_http._tcp.db.shop.svc.cluster.local",
                RecordType::SRV,
                "0 100 80 db-0.db.shop.svc.cluster.local.",
            ),
            ("far.shop.svc.cluster.local", RecordType::A, "example.org."),
            ("7.0.1.10.in-addr.arpa", RecordType::PTR, "web.shop.svc.cluster.local."),
            ("1.0.0.10.in-addr.arpa", RecordType::PTR, "db-0.db.shop.svc.cluster.local."),
            ("none.shop.svc.cluster.local", RecordType::A, "NoSuchName"),
            ("example.org", RecordType::A, "NotOurs"),
            ("notcluster.local", RecordType::A, "NotOurs"),
        ] {
            assert_eq!(data(name, kind), expected, "{name} {kind}");
        }
    }
}
