//! A hash of an object's content that is the same in every build: keys are sorted here, not by how a library was built.
//!
//! A changed hash of a pod template restarts every node, so what goes into it must never depend on chance.

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

/// The hash of a value, as 32 hexadecimal digits.
pub(crate) fn of(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    of_text(&text)
}

/// The hash of a text, as 32 hexadecimal digits.
pub(crate) fn of_text(text: &str) -> String {
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort();
            text.push('{');
            for key in keys {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(&fields[key], text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The vector is fixed: another value would restart the nodes of every cluster when the operator is upgraded.
    #[test]
    fn the_hash_of_an_object_never_changes() {
        let value = json!({"b": [1, "x", true], "a": {"c": null}});
        let turned: Value = serde_json::from_str(r#"{"a": {"c": null}, "b": [1, "x", true]}"#).unwrap();
        assert_eq!(of(&value), of(&turned));
        assert_eq!(of(&value), of_text(r#"{"a":{"c":null,},"b":[1,"x",true,],}"#));
        assert_eq!(of(&value), "34813f6a6a2d23cad1a594e646245d84");
        assert_ne!(of(&value), of(&json!({"b": [1, "x", false], "a": {"c": null}})));
    }
}
