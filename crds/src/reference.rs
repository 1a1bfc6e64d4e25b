//! The reference page of `ActorCluster`, made from its schema.

/// The reference of `ActorCluster` as Markdown.
pub fn reference_markdown() -> String {
    String::new()
}
