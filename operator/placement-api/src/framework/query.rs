//! The query of a list or watch: `ListOptions`, with the checks of the API server.

use std::time::Duration;

use serde::Deserialize;

use super::Since;
use super::errors::ApiError;
use super::version::Version;

/// The most objects of a page, also of one that asks for no limit.
pub const MAX_LIMIT: usize = 5_000;
/// How long a watch without `timeoutSeconds` lasts.
pub const WATCH_SECONDS: u64 = 1_800;
/// The longest watch.
const MAX_WATCH_SECONDS: u64 = 86_400;

/// What stands in the query. Everything is text: an empty value is as good as none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Query {
    /// By label.
    pub label_selector: String,
    /// By field.
    pub field_selector: String,
    /// The page before.
    #[serde(rename = "continue")]
    pub continuation: String,
    /// How much of the object a row of a table carries.
    pub include_object: String,
    limit: String,
    resource_version: String,
    resource_version_match: String,
    watch: String,
    timeout_seconds: String,
    allow_watch_bookmarks: String,
    send_initial_events: String,
}

/// What the rows of a table carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The metadata.
    Metadata,
    /// The whole object.
    Object,
}

/// How a watch is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchOptions {
    /// Where it begins.
    pub since: Since,
    /// Whether bookmarks are wanted.
    pub bookmarks: bool,
    /// Whether the end of the first objects is to be marked.
    pub mark_initial: bool,
    /// When it ends.
    pub timeout: Duration,
}

impl Query {
    /// `list` or `watch`.
    pub fn verb(&self) -> &'static str {
        if boolean("watch", &self.watch) == Ok(true) { "watch" } else { "list" }
    }

    /// Refuses what is neither.
    pub fn check(&self) -> Result<(), ApiError> {
        boolean("watch", &self.watch).map(|_| ())
    }

    /// How many objects a page may have.
    pub fn limit(&self) -> Result<usize, ApiError> {
        match number("limit", &self.limit)? {
            0 => Ok(MAX_LIMIT),
            limit => Ok(usize::try_from(limit).map_or(MAX_LIMIT, |limit| limit.min(MAX_LIMIT))),
        }
    }

    /// How much of the object a row of a table carries.
    pub fn include_object(&self) -> Result<IncludeObject, ApiError> {
        match self.include_object.as_str() {
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "None" => Ok(IncludeObject::None),
            "Object" => Ok(IncludeObject::Object),
            other => Err(ApiError::bad_request(format!(
                "includeObject {other:?} is not known; use None, Metadata or Object"
            ))),
        }
    }

    /// Refuses what a list cannot be asked. There is only the present: an exact version is never at hand.
    pub fn check_list(&self) -> Result<(), ApiError> {
        self.check_no_initial_events()?;
        if !self.resource_version.is_empty() {
            self.resource_version.parse::<Version>()?;
        }
        match self.resource_version_match.as_str() {
            "" | "NotOlderThan" => Ok(()),
            "Exact" => Err(ApiError::expired(
                "objects of a past version are not kept; list without resourceVersionMatch=Exact",
            )),
            other => Err(ApiError::invalid(format!(
                "resourceVersionMatch {other:?} is not known; use NotOlderThan or leave it out"
            ))),
        }
    }

    fn check_no_initial_events(&self) -> Result<(), ApiError> {
        if self.send_initial_events.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid("sendInitialEvents is for watches; leave it out of a list"))
    }

    /// How a watch is to go.
    pub fn watch_options(&self) -> Result<WatchOptions, ApiError> {
        let bookmarks = boolean("allowWatchBookmarks", &self.allow_watch_bookmarks)?;
        let mark_initial = boolean("sendInitialEvents", &self.send_initial_events)?;
        let version = match self.resource_version.as_str() {
            "" | "0" => None,
            text => Some(text.parse::<Version>()?),
        };
        if self.send_initial_events.is_empty() != self.resource_version_match.is_empty() {
            return Err(ApiError::invalid(
                "sendInitialEvents and resourceVersionMatch=NotOlderThan belong together; set both or neither",
            ));
        }
        let since = match version {
            Some(version) if !mark_initial => Since::Version(version),
            _ => Since::Now,
        };
        let seconds = match number("timeoutSeconds", &self.timeout_seconds)? {
            0 => WATCH_SECONDS,
            seconds => seconds.min(MAX_WATCH_SECONDS),
        };
        Ok(WatchOptions { since, bookmarks, mark_initial, timeout: Duration::from_secs(seconds) })
    }
}

fn number(name: &str, text: &str) -> Result<u64, ApiError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        ApiError::bad_request(format!("{name} {text:?} is no number; use one from 0 on, or leave it out"))
    })
}

/// As the API server reads booleans: a parameter that is there without a value is true.
fn boolean(name: &str, text: &str) -> Result<bool, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "" | "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        _ => Err(ApiError::bad_request(format!("{name} {text:?} is not valid; use true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_capped_and_numbers_checked() {
        let limit = |limit: &str| Query { limit: limit.into(), ..Query::default() }.limit();
        assert_eq!(limit("").unwrap(), MAX_LIMIT);
        assert_eq!(limit("500").unwrap(), 500);
        assert_eq!(limit("1000000").unwrap(), MAX_LIMIT);
        assert_eq!(limit("-1").unwrap_err().code, 400);
    }

    #[test]
    fn a_watch_begins_where_it_is_told() {
        let options = |version: &str, initial: &str, versions: &str| {
            Query {
                resource_version: version.into(),
                send_initial_events: initial.into(),
                resource_version_match: versions.into(),
                ..Query::default()
            }
            .watch_options()
        };
        assert_eq!(options("", "", "").unwrap().since, Since::Now);
        assert_eq!(options("0", "", "").unwrap().since, Since::Now);
        assert_eq!(options("14", "", "").unwrap().since, Since::Version(Version::from_number(14)));
        let marked = options("14", "true", "NotOlderThan").unwrap();
        assert_eq!((marked.since, marked.mark_initial), (Since::Now, true));
        assert_eq!(options("14", "true", "").unwrap_err().code, 422);
        assert_eq!(options("x", "", "").unwrap_err().code, 400);
    }
}
