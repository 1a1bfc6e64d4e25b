//! What `kubectl get` prints: a Table, made as the API server makes it for custom resources, from the printer columns.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::negotiation::MetaVersion;
use super::query::IncludeObject;
use super::{Description, Object};
use crate::framework::answer;

/// Writes tables of one resource at one moment.
pub struct Tables<'a> {
    /// The resource.
    pub description: &'a Description,
    /// The version of Table that was asked for.
    pub version: MetaVersion,
    /// What rows carry.
    pub include: IncludeObject,
    /// From when ages are counted.
    pub now: Timestamp,
}

impl Tables<'_> {
    /// A table of these rows.
    pub fn table(&self, rows: Vec<Value>, metadata: Value) -> Value {
        json!({
            "kind": "Table",
            "apiVersion": self.version.api_version(),
            "metadata": metadata,
            "columnDefinitions": self.columns(),
            "rows": rows,
        })
    }

    /// The row of a bookmark: nothing to print, only the object.
    pub fn empty_row(&self, object: Value) -> Value {
        json!({ "cells": vec![Value::Null; self.columns().len()], "object": object })
    }

    fn columns(&self) -> Vec<Value> {
        let name = json!({
            "name": "Name",
            "type": "string",
            "format": "name",
            "description": "The name of the object, unique in its namespace.",
            "priority": 0,
        });
        let printed = self.printer_columns().map(|column| {
            json!({
                "name": column.name,
                "type": column.type_,
                "format": column.format.as_deref().unwrap_or_default(),
                "description": column.description.as_deref().unwrap_or_default(),
                "priority": column.priority.unwrap_or(0),
            })
        });
        std::iter::once(name).chain(printed).collect()
    }

    /// The row of an object.
    pub fn row<O: Object>(&self, object: &O) -> Value {
        let value = answer::object(object);
        let name = value["metadata"]["name"].clone();
        let cells = self.printer_columns().map(|column| {
            let cell = column.json_path.split('.').skip(1).fold(&value, |value, field| &value[field]);
            match column.type_.as_str() {
                "date" => Value::String(age(cell.as_str(), self.now)),
                _ => cell.clone(),
            }
        });
        let mut row = json!({ "cells": std::iter::once(name).chain(cells).collect::<Vec<_>>() });
        match self.include {
            IncludeObject::None => {}
            IncludeObject::Metadata => row["object"] = answer::metadata(&value, self.version),
            IncludeObject::Object => row["object"] = value,
        }
        row
    }

    fn printer_columns(
        &self,
    ) -> impl Iterator<
        Item = &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition,
    >{
        self.description.crd.spec.versions[0].additional_printer_columns.iter().flatten()
    }
}

fn age(since: Option<&str>, now: Timestamp) -> String {
    match since.and_then(|since| since.parse::<Timestamp>().ok()) {
        Some(since) => human_duration(now.as_second().saturating_sub(since.as_second())),
        None => "<unknown>".to_owned(),
    }
}

/// A duration as kubectl writes it: two units where the second still says something.
fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |unit: i64, name: &str, rest: i64, rest_name: &str| {
        let (first, second) = (seconds / unit, seconds % unit / rest);
        if second == 0 { format!("{first}{name}") } else { format!("{first}{name}{second}{rest_name}") }
    };
    match seconds {
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(MINUTE, "m", 1, "s"),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(HOUR, "h", MINUTE, "m"),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(DAY, "d", HOUR, "h"),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (133, "2m13s"),
            (601, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_520, "3h12m"),
            (86_400, "24h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (63_072_000, "2y"),
            (66_000_000, "2y33d"),
            (400_000_000, "12y"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
        assert_eq!(age(None, Timestamp::UNIX_EPOCH), "<unknown>");
    }
}
