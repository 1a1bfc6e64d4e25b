//! Resource versions: a moment on a hybrid logical clock, and whether the list that was read then was whole.
//!
//! As Kubernetes wants them: decimal, comparable, growing. The last bit marks a list that lacks somebody's objects; a
//! watch from there first tells everything that is there. Version 0 stands for "any".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::errors::ApiError;

/// A resource version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a moment, in microseconds since 1970.
    pub fn new(stamp: u64, partial: bool) -> Self {
        Self(stamp << 1 | u64::from(partial))
    }

    /// The number that clients see.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The version that clients see as this number.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The moment, in microseconds since 1970.
    pub fn stamp(self) -> u64 {
        self.0 >> 1
    }

    /// Whether what was read then lacked something.
    pub fn is_partial(self) -> bool {
        self.0 & 1 == 1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = ApiError;
    fn from_str(text: &str) -> Result<Self, ApiError> {
        text.parse().map(Self).map_err(|_| {
            ApiError::bad_request(format!(
                "resourceVersion {text:?} is no number; use one that a list or an event had"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_grow_with_time_and_remember_what_was_missing() {
        let (whole, partial) =
            (Version::new(1_790_000_000_000_000, false), Version::new(1_790_000_000_000_000, true));
        assert!(whole < partial && partial < Version::new(1_790_000_000_000_001, false));
        assert_eq!(partial.to_string().parse::<Version>().unwrap(), partial);
        assert!(partial.is_partial() && !whole.is_partial());
        assert_eq!(partial.stamp(), whole.stamp());
        assert_eq!("x".parse::<Version>().unwrap_err().code, 400);
    }
}
