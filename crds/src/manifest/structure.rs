//! Holds a tree against a structural schema: types, required and unknown fields, bounds, enumerations, keyed lists. It
//! knows the keywords that the schemas of this crate use.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::Problem;
use super::remedy::{self, write_a};
use super::source::{Content, Entry, Node};
use crate::{ActorCluster, schema};

/// The definition's schema with what an API server adds to it: apiVersion, kind and the fields of the metadata.
pub(super) fn whole_schema() -> Value {
    let mut schema = schema::of::<ActorCluster>();
    let mut metadata = schema::metadata();
    metadata["required"] = json!(["name"]);
    schema["properties"]["metadata"] = metadata;
    schema["properties"]["apiVersion"] = json!({"type": "string", "enum": ["greenroom.dev/v1alpha1"]});
    schema["properties"]["kind"] = json!({"type": "string", "enum": ["ActorCluster"]});
    schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    schema
}

/// What is wrong with the structure.
pub(super) fn check(document: &Node, schema: &Value) -> Vec<Problem> {
    let mut walk = Walk { root: schema, problems: Vec::new() };
    walk.node(document, schema, "");
    walk.problems
}

struct Walk<'a> {
    root: &'a Value,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn wrong(&mut self, node: &Node, field: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::at(node.place, field, message, remedy));
    }

    fn node(&mut self, node: &Node, schema: &Value, path: &str) {
        if node.is_null() && (schema["nullable"] == true || schema.get("default").is_some()) {
            return;
        }
        let number_or_text = schema["x-kubernetes-int-or-string"] == true;
        let wanted =
            if number_or_text { "number or string" } else { schema["type"].as_str().unwrap_or_default() };
        match (wanted, &node.content) {
            ("object", Content::Map(entries)) => self.object(node, entries, schema, path),
            ("array", Content::List(items)) => self.list(items, schema, path),
            ("string" | "number or string", Content::Scalar(Value::String(text))) => {
                self.text(node, text, schema, path)
            }
            ("integer" | "number or string", Content::Scalar(Value::Number(number))) if !number.is_f64() => {
                self.number(node, number.as_f64().unwrap_or(f64::INFINITY), schema, path);
            }
            ("number", Content::Scalar(Value::Number(_)))
            | ("boolean", Content::Scalar(Value::Bool(_)))
            | ("", _) => {}
            (wanted, content) => {
                let message = format!("must be {}, but {}", remedy::kind(wanted), remedy::found(content));
                self.wrong(node, path, message, write_a(wanted, schema));
            }
        }
    }

    fn object(&mut self, node: &Node, entries: &[Entry], schema: &Value, path: &str) {
        let properties = schema["properties"].as_object();
        let others = schema.get("additionalProperties");
        let mut meant = Vec::new();
        for entry in entries {
            let field = join(path, &entry.key);
            match properties.and_then(|properties| properties.get(&entry.key)).or(others) {
                Some(schema) => self.node(&entry.value, schema, &field),
                None => {
                    if let Some(properties) = properties {
                        meant.extend(self.unknown(entry, properties, &field));
                    }
                }
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if node.entry(name).is_none() && !meant.contains(&name) {
                let remedy = remedy::add(name, &schema["properties"][name]);
                self.wrong(node, &join(path, name), "is missing", remedy);
            }
        }
        if let Some(most) = schema["maxProperties"].as_u64()
            && entries.len() as u64 > most
        {
            self.wrong(node, path, format!("has {} entries", entries.len()), format!("keep at most {most}"));
        }
    }

    /// Returns the field that was probably meant, which is then not missing.
    fn unknown<'s>(
        &mut self,
        entry: &Entry,
        siblings: &'s Map<String, Value>,
        field: &str,
    ) -> Option<&'s str> {
        let meant = remedy::nearest(&entry.key, siblings.keys().map(String::as_str));
        let remedy = meant
            .map(remedy::did_you_mean)
            .or_else(|| remedy::elsewhere(&entry.key, self.root))
            .unwrap_or_else(|| remedy::known_fields(siblings));
        self.problems.push(Problem::at(entry.place, field, "is no field that exists here", remedy));
        meant
    }

    fn list(&mut self, items: &[Node], schema: &Value, path: &str) {
        for (index, item) in items.iter().enumerate() {
            self.node(item, &schema["items"], &format!("{path}[{index}]"));
        }
        if let (Some(most), Some(item)) = (schema["maxItems"].as_u64(), items.last())
            && items.len() as u64 > most
        {
            self.wrong(item, path, format!("has {} items", items.len()), format!("keep at most {most}"));
        }
        for key in
            schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str)
        {
            self.repeated(items, key, path);
        }
    }

    fn repeated(&mut self, items: &[Node], key: &str, path: &str) {
        for (index, item) in items.iter().enumerate() {
            let name = item.text(key);
            if name.is_some() && items[..index].iter().any(|earlier| earlier.text(key) == name) {
                let message = format!("has the {key} `{}` of an earlier item", name.unwrap_or_default());
                self.wrong(item, &format!("{path}[{index}]"), message, "remove one of the two");
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Value, path: &str) {
        let length = text.chars().count() as u64;
        if let Some(values) = schema["enum"].as_array() {
            let names: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            if !names.contains(&text) {
                self.wrong(node, path, format!("cannot be `{text}`"), remedy::one_of(text, &names));
            }
        } else if schema["minLength"].as_u64().is_some_and(|least| length < least) {
            self.wrong(
                node,
                path,
                "must not be empty",
                "give a value, or leave the field out for its default",
            );
        } else if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.wrong(node, path, format!("has {length} characters"), format!("use at most {most}"));
        } else if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).expect("the schema's patterns are regular expressions").is_match(text)
        {
            let example = schema["description"].as_str().unwrap_or(pattern);
            self.wrong(
                node,
                path,
                format!("cannot be `{text}`"),
                format!("write what belongs here: {example}"),
            );
        }
    }

    fn number(&mut self, node: &Node, number: f64, schema: &Value, path: &str) {
        let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
        let remedy = || format!("give a number in the range {}", remedy::range(schema));
        if least.is_some_and(|least| number < least) {
            self.wrong(node, path, format!("is too small: {number}"), remedy());
        } else if most.is_some_and(|most| number > most) {
            self.wrong(node, path, format!("is too large: {number}"), remedy());
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
