//! The metrics of a node, for Prometheus.
//!
//! Nothing is recorded on the way of a call: the instruments read the counters that the parts keep anyway, when they are
//! scraped. No metric has a label per actor.

use std::sync::{Arc, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};

use crate::memory;
use crate::node::Shared;

/// A metric, as the reference lists it.
#[derive(Debug, Clone, Copy)]
pub struct MetricInfo {
    /// The name that Prometheus shows.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($name:literal $kind:ident [$($label:literal),*] $help:literal => $read:expr;)*) => {
        /// Every metric of a node.
        pub const METRICS: &[MetricInfo] = &[$(MetricInfo {
            name: $name, kind: stringify!($kind), labels: &[$($label),*], help: $help,
        }),*];

        fn register(meter: &Meter, node: &Weak<Shared>) {
            $(instrument!($kind, meter, node, $name, $help, $read);)*
        }
    };
}

macro_rules! instrument {
    (counter, $meter:ident, $node:ident, $name:literal, $help:literal, $read:expr) => {{
        let node = $node.clone();
        // The exporter appends `_total` to counters.
        let name = $name.strip_suffix("_total").expect("counters end in _total");
        let builder = $meter.u64_observable_counter(name).with_description($help);
        builder.with_callback(move |observer| observe(&node, observer, $read)).build();
    }};
    (gauge, $meter:ident, $node:ident, $name:literal, $help:literal, $read:expr) => {{
        let node = $node.clone();
        let builder = $meter.u64_observable_gauge($name).with_description($help);
        builder.with_callback(move |observer| observe(&node, observer, $read)).build();
    }};
}

/// What an instrument reads from the node: values with their labels.
type Observe<'a> = &'a mut dyn FnMut(u64, &[(&'static str, &str)]);

fn observe(node: &Weak<Shared>, observer: &dyn AsyncInstrument<u64>, read: impl Fn(&Shared, Observe<'_>)) {
    let Some(node) = node.upgrade() else { return };
    read(&node, &mut |value, labels| {
        let labels: Vec<_> =
            labels.iter().map(|(key, value)| KeyValue::new(*key, (*value).to_owned())).collect();
        observer.observe(value, &labels);
    });
}

metrics! {
    "greenroom_activations" gauge ["type"] "Actors in memory." => |node, observe| {
        for info in node.engine.types() {
            observe(info.activations, &[("type", info.name)]);
        }
    };
    "greenroom_calls_total" counter ["type"] "Calls answered by actors of this node." => |node, observe| {
        for info in node.engine.types() {
            observe(info.calls, &[("type", info.name)]);
        }
    };
    "greenroom_method_calls_total" counter ["type", "method", "outcome"] "Calls answered by actors of this node, by method: ok, failed." => |node, observe| {
        for info in node.engine.types() {
            for method in info.methods {
                let labels = |outcome| [("type", info.name), ("method", method.name), ("outcome", outcome)];
                observe(method.calls.saturating_sub(method.failed), &labels("ok"));
                observe(method.failed, &labels("failed"));
            }
        }
    };
    "greenroom_calls_failed_total" counter ["type", "kind"] "Calls answered with an error, by kind." => |node, observe| {
        for info in node.engine.types() {
            for (kind, count) in info.failed {
                observe(count, &[("type", info.name), ("kind", kind)]);
            }
        }
    };
    "greenroom_deactivations_total" counter ["reason"] "Actors that left memory, by reason: idle, shed (memory was scarce), asked, drained." => |node, observe| {
        for (why, count) in node.engine.departures() {
            observe(count, &[("reason", why.as_str())]);
        }
    };
    "greenroom_activations_refused_total" counter [] "Calls refused because there was no memory for another actor." => |node, observe| {
        observe(node.engine.refused_for_memory(), &[]);
    };
    "greenroom_memory_bytes" gauge ["kind"] "What the process takes (`resident`), and its limits (`soft`, `hard`), if it has any." => |node, observe| {
        if let Some(resident) = memory::resident() {
            observe(resident, &[("kind", "resident")]);
        }
        if let Some(limits) = node.memory_limits() {
            observe(limits.soft, &[("kind", "soft")]);
            observe(limits.hard, &[("kind", "hard")]);
        }
    };
    "greenroom_turns_running" gauge [] "Turns that are running or waiting." => |node, observe| {
        observe(node.engine.stats().running, &[]);
    };
    "greenroom_shards" gauge ["state"] "Shards that this node owns, and those of them that it serves." => |node, observe| {
        let (owned, serving) = node.shards();
        observe(owned, &[("state", "owned")]);
        observe(serving, &[("state", "serving")]);
    };
    "greenroom_commits_total" counter [] "Records that were made durable." => |node, observe| {
        observe(node.commits(), &[]);
    };
    "greenroom_commit_groups_total" counter [] "Syncs of the store: records of all shards share one." => |node, observe| {
        observe(node.commit_groups(), &[]);
    };
    "greenroom_dead_letters_total" counter ["kind"] "Messages that nobody took, by kind of error." => |node, observe| {
        for (kind, count) in node.engine.dead_letters().counts() {
            observe(count, &[("kind", kind)]);
        }
    };
    "greenroom_dead_letters_dropped_total" counter [] "Durable dead letters that had to make room or were too old." => |node, observe| {
        observe(node.engine.dead_letters().dropped(), &[]);
    };
    "greenroom_reminder_ticks_total" counter ["outcome"] "Ticks of reminders: done, failed (an attempt that will be repeated), given_up (a dead letter), skipped (missed, and not to be made up for)." => |node, observe| {
        let stats = node.engine.reminder_stats();
        observe(stats.ticks, &[("outcome", "done")]);
        observe(stats.failures, &[("outcome", "failed")]);
        observe(stats.given_up, &[("outcome", "given_up")]);
        observe(stats.skipped, &[("outcome", "skipped")]);
    };
    "greenroom_ticks_total" counter ["outcome"] "Ticks of simulations: done, skipped (the actor could not take them in time)." => |node, observe| {
        let stats = node.engine.tick_stats();
        observe(stats.done, &[("outcome", "done")]);
        observe(stats.skipped, &[("outcome", "skipped")]);
    };
    "greenroom_mesh_one_way_total" counter ["outcome"] "Messages on the mesh that nobody answers: received, lost (their link ended before they left)." => |node, observe| {
        let stats = node.mesh_counts();
        observe(stats.one_way_in, &[("outcome", "received")]);
        observe(stats.one_way_lost, &[("outcome", "lost")]);
    };
    "greenroom_mesh_links" gauge [] "Open links to other nodes." => |node, observe| {
        observe(node.mesh_counts().links, &[]);
    };
    "greenroom_mesh_frames_total" counter ["direction"] "Frames on the mesh." => |node, observe| {
        let stats = node.mesh_counts();
        observe(stats.frames_out, &[("direction", "out")]);
        observe(stats.frames_in, &[("direction", "in")]);
    };
    "greenroom_mesh_envelopes_total" counter ["direction"] "Envelopes on the mesh; many share a frame." => |node, observe| {
        let stats = node.mesh_counts();
        observe(stats.envelopes_out, &[("direction", "out")]);
        observe(stats.envelopes_in, &[("direction", "in")]);
    };
    "greenroom_mesh_errors_total" counter ["reason"] "Hellos refused, links closed for what they sent, connections that were no node's, TLS handshakes without a node's certificate." => |node, observe| {
        let stats = node.mesh_counts();
        observe(stats.refused_hellos, &[("reason", "hello")]);
        observe(stats.protocol_errors, &[("reason", "protocol")]);
        observe(stats.strangers, &[("reason", "stranger")]);
        observe(stats.refused_handshakes, &[("reason", "tls")]);
    };
    "greenroom_connections_total" counter ["port", "outcome"] "Connections of each port: accepted, refused (too many), broken (by what they sent), untrusted (no valid certificate)." => |node, observe| {
        for (port, outcomes) in node.port_counts() {
            for (outcome, count) in outcomes {
                observe(count, &[("port", port), ("outcome", outcome)]);
            }
        }
    };
    "greenroom_certificate_expiry_timestamp_seconds" gauge [] "When this node's certificate stops being valid, in Unix time; absent without TLS." => |node, observe| {
        if let Some(seconds) = node.certificate_expires() {
            observe(seconds, &[]);
        }
    };
    "greenroom_gateway_calls_total" counter ["outcome"] "Calls of clients: answered, failed, refused (not well formed)." => |node, observe| {
        let (calls, failed, refused) = node.gateway_counts();
        observe(calls.saturating_sub(failed + refused), &[("outcome", "answered")]);
        observe(failed, &[("outcome", "failed")]);
        observe(refused, &[("outcome", "refused")]);
    };
}

/// The metrics of one node.
pub(crate) struct Metrics {
    registry: Registry,
    /// Holds the instruments; dropping it ends them.
    provider: SdkMeterProvider,
}

impl Metrics {
    /// No instruments yet: [`read_from`](Self::read_from) adds them, once the node is put together.
    pub(crate) fn new() -> Result<Self, String> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { registry, provider: SdkMeterProvider::builder().with_reader(exporter).build() })
    }

    /// Reads from this node for as long as it lives.
    pub(crate) fn read_from(&self, node: &Arc<Shared>) {
        register(&self.provider.meter("greenroom"), &Arc::downgrade(node));
    }

    /// The text that Prometheus scrapes.
    pub(crate) fn text(&self) -> Result<String, String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(|error| error.to_string())?;
        String::from_utf8(text).map_err(|error| error.to_string())
    }
}
