//! Whether an object differs from what it should be.
//!
//! It does not as long as what is wanted is a **part** of what is there: an API server adds defaults and a status, and
//! others may add fields of their own. What is no longer wanted is not found that way; the hash annotation, which is a
//! part of what is wanted, differs then.
//!
//! Lists are compared as server-side apply merges them: those with keys item by item, where others may have added some;
//! all others as a whole.

use serde_json::Value;

/// The lists that are merged by keys: how their items look, and the fields that are the key.
const KEYED: [(&str, &[&str]); 12] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("ownerReferences", &["uid"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("conditions", &["type"]),
    ("spec.ports", &["port", "protocol"]),
    ("containers.ports", &["containerPort", "protocol"]),
    ("secrets", &["name"]),
];

/// The first place where an object differs from what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {why}")]
pub struct Difference {
    /// The field's path, for example `spec.template.spec.containers[node].image`.
    pub path: String,
    /// What is there instead.
    pub why: String,
}

/// The first difference between what is wanted and what is there; `None` if there is none.
pub fn differs(desired: &Value, live: &Value) -> Option<Difference> {
    Place(Vec::new()).compare(desired, Some(live))
}

/// The way to a value: fields, and keys of items.
struct Place(Vec<String>);

impl Place {
    fn compare(&mut self, desired: &Value, live: Option<&Value>) -> Option<Difference> {
        match (desired, live) {
            // Whatever is empty, an API server may leave out.
            (desired, None | Some(Value::Null)) if is_empty(desired) => None,
            (_, None | Some(Value::Null)) => self.difference("is missing".to_owned()),
            (Value::Object(desired), Some(Value::Object(live))) => desired
                .iter()
                .find_map(|(field, value)| self.step(field, |place| place.compare(value, live.get(field)))),
            (Value::Array(desired), Some(Value::Array(live))) => self.compare_lists(desired, live),
            (desired, Some(live)) if desired == live => None,
            (desired, Some(live)) => self.difference(format!("is {live}, not {desired}")),
        }
    }

    fn compare_lists(&mut self, desired: &[Value], live: &[Value]) -> Option<Difference> {
        if let Some(keys) = self.keys() {
            return desired.iter().find_map(|item| {
                let key = key_of(item, keys);
                let there = live.iter().find(|other| key_of(other, keys) == key);
                self.step(&format!("[{}]", key.join(",")), |place| place.compare(item, there))
            });
        }
        if desired.len() != live.len() {
            return self.difference(format!("has {} items, not {}", live.len(), desired.len()));
        }
        desired.iter().zip(live).enumerate().find_map(|(index, (item, there))| {
            self.step(&format!("[{index}]"), |place| place.compare(item, Some(there)))
        })
    }

    /// The key of the list at this place, if it has one.
    fn keys(&self) -> Option<&'static [&'static str]> {
        let mut fields = self.0.iter().rev().filter(|part| !part.starts_with('['));
        let (name, parent) = (fields.next()?, fields.next());
        let matches = |pattern: &str| match pattern.split_once('.') {
            Some((above, below)) => parent.is_some_and(|parent| parent == above) && name == below,
            None => name == pattern,
        };
        KEYED.iter().find(|(pattern, _)| matches(pattern)).map(|(_, keys)| *keys)
    }

    fn step<T>(&mut self, part: &str, compare: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(part.to_owned());
        let outcome = compare(self);
        self.0.pop();
        outcome
    }

    fn difference(&self, why: String) -> Option<Difference> {
        let mut path = String::new();
        for part in &self.0 {
            if !path.is_empty() && !part.starts_with('[') {
                path.push('.');
            }
            path.push_str(part);
        }
        Some(Difference { path, why })
    }
}

fn key_of(item: &Value, keys: &[&str]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    keys.iter().map(|key| text(&item[*key])).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}
