//! Prints the values as people read them: `values.yaml` with comments, and a table.
//!
//! The order is that of the fields in the source, so both begin with what matters most; a JSON object would sort them.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

const WIDTH: usize = 100;
const BEGIN: &str = "<!-- values: made by `cargo xtask generate`, do not edit -->\n";
const END: &str = "<!-- end of values -->";

/// A JSON value whose objects keep the order of their fields.
pub(super) enum Tree {
    Object(Vec<(String, Tree)>),
    Leaf(Value),
}

impl Tree {
    /// What `value` looks like when it is written as JSON.
    pub(super) fn of(value: &impl serde::Serialize) -> Result<Self> {
        Ok(serde_json::from_str(&serde_json::to_string(value)?)?)
    }

    fn json(&self) -> String {
        match self {
            Self::Leaf(value) => value.to_string(),
            Self::Object(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{name:?}: {}", value.json())).collect();
                format!("{{{}}}", fields.join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value of the chart")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(if fields.is_empty() {
            Tree::Leaf(Value::Object(Default::default()))
        } else {
            Tree::Object(fields)
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(Tree::Leaf(Value::Array(values)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
}

/// `values.yaml`: the defaults, each with its description above it.
pub(super) fn values_yaml(defaults: &Tree, schema: &Value) -> Result<String> {
    let mut text =
        "# Made by `cargo xtask generate` from xtask/src/generate/chart/values.rs; do not edit.\n".to_owned();
    write_fields(&mut text, defaults, schema, 0)?;
    Ok(text)
}

fn write_fields(text: &mut String, tree: &Tree, schema: &Value, depth: usize) -> Result<()> {
    let Tree::Object(fields) = tree else { return Ok(()) };
    let indent = "  ".repeat(depth);
    for (name, value) in fields {
        let schema = &schema["properties"][name];
        if depth == 0 {
            text.push('\n');
        }
        if let Some(description) = schema["description"].as_str() {
            for line in wrapped(description, WIDTH - indent.len() - 2) {
                writeln!(text, "{indent}# {line}")?;
            }
        }
        match value {
            Tree::Object(_) => {
                writeln!(text, "{indent}{name}:")?;
                write_fields(text, value, schema, depth + 1)?;
            }
            Tree::Leaf(value) => writeln!(text, "{indent}{name}: {}", scalar(value)?)?,
        }
    }
    Ok(())
}

/// A value that fits on its line.
fn scalar(value: &Value) -> Result<String> {
    Ok(serde_saphyr::to_string(value)?.trim_end().to_owned())
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The values as a table, nested ones by their path.
pub(super) fn table(defaults: &Tree, schema: &Value) -> String {
    let mut text = "| Value | Type | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    write_rows(&mut text, defaults, schema, "");
    text
}

fn write_rows(text: &mut String, tree: &Tree, schema: &Value, prefix: &str) {
    let (Tree::Object(fields), Some(properties)) = (tree, schema["properties"].as_object()) else { return };
    for (name, value) in fields {
        let schema = properties.get(name).unwrap_or(&Value::Null);
        let path = format!("{prefix}{name}");
        let meaning = schema["description"].as_str().unwrap_or_default();
        let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        // An object that is handed on as it is has no fields that could be described.
        let (kind, default) = if schema["properties"].is_object() {
            (String::new(), String::new())
        } else {
            (type_name(schema), format!("`{}`", value.json()))
        };
        text.push_str(&format!("| `{path}` | {kind} | {default} | {meaning} |\n"));
        write_rows(text, value, schema, &format!("{path}."));
    }
}

fn type_name(schema: &Value) -> String {
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        return choices.join(" ");
    }
    match (schema["type"].as_str(), &schema["items"]) {
        (Some("array"), items) => format!("list of {}", items["type"].as_str().unwrap_or("objects")),
        (Some(name), _) => name.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

/// The page with the table between its two marks.
pub(super) fn with_table(page: &str, table: &str) -> Result<String> {
    let (head, rest) =
        page.split_once(BEGIN).context("the chart's README has lost the mark before its table")?;
    let (_, tail) = rest.split_once(END).context("the chart's README has lost the mark behind its table")?;
    Ok(format!("{head}{BEGIN}{table}{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> (Tree, Value) {
        let tree = serde_json::from_str(r#"{"z": {"b": "", "a": 2}, "y": []}"#).unwrap();
        let z = json!({ "description": "About z.", "properties": {
            "b": { "type": "string", "description": "A | b." },
            "a": { "type": "integer" },
        } });
        (tree, json!({ "properties": { "z": z, "y": { "type": "array", "items": {} } } }))
    }

    #[test]
    fn values_keep_their_order_and_carry_their_descriptions() {
        let (tree, schema) = example();
        let yaml = values_yaml(&tree, &schema).unwrap();
        let (_, body) = yaml.split_once("\n\n").unwrap();
        assert_eq!(body, "# About z.\nz:\n  # A | b.\n  b: \"\"\n  a: 2\n\ny: []\n");
    }

    #[test]
    fn the_table_replaces_the_one_before() {
        let (tree, schema) = example();
        let page = format!("# Chart\n{BEGIN}old\n{END}\nrest\n");
        let page = with_table(&page, &table(&tree, &schema)).unwrap();
        assert!(page.contains("| `z` |  |  | About z. |\n| `z.b` | string | `\"\"` | A \\| b. |\n| `z.a` | integer | `2` |  |\n"), "{page}");
        assert!(!page.contains("old") && page.ends_with("\nrest\n"), "{page}");
        assert!(with_table("", "").is_err());
    }

    #[test]
    fn long_descriptions_are_wrapped() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    }
}
