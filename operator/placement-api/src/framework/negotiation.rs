//! Which representation a client takes, from its `Accept` header.
//!
//! Rule: the first media range that can be served wins, in the order in which the client wrote them. That is how the API
//! server itself reads the header; nobody in Kubernetes sends `q` values.

use http::{HeaderMap, header};

use super::errors::ApiError;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Representation {
    /// The objects as they are.
    Objects,
    /// Rows and columns, as `kubectl get` prints them.
    Table(MetaVersion),
    /// Only the metadata of the objects.
    Metadata(MetaVersion),
}

/// The version of `meta.k8s.io` that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVersion {
    /// `v1`
    V1,
    /// `v1beta1`
    V1Beta1,
}

impl MetaVersion {
    /// As `apiVersion` has it.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }

    fn parse(version: &str) -> Option<Self> {
        match version {
            "v1" => Some(Self::V1),
            "v1beta1" => Some(Self::V1Beta1),
            _ => None,
        }
    }
}

/// What `/apis` answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryFormat {
    /// One document with all resources, of this version of `apidiscovery.k8s.io`.
    Aggregated(&'static str),
    /// The list of groups, as before there was such a document.
    Groups,
}

/// How objects are to be written.
pub fn objects(headers: &HeaderMap) -> Result<Representation, ApiError> {
    first(headers, |range| {
        if !range.is_json() {
            return None;
        }
        match range.parameter("as") {
            None => Some(Representation::Objects),
            Some(_) if range.parameter("g") != Some("meta.k8s.io") => None,
            Some(kind) => {
                let version = MetaVersion::parse(range.parameter("v")?)?;
                match kind {
                    "Table" => Some(Representation::Table(version)),
                    "PartialObjectMetadata" | "PartialObjectMetadataList" => {
                        Some(Representation::Metadata(version))
                    }
                    _ => None,
                }
            }
        }
    })
    .ok_or_else(|| ApiError::not_acceptable("application/json, as itself, Table or PartialObjectMetadata"))
}

/// How the groups are to be described.
pub fn discovery(headers: &HeaderMap) -> Result<DiscoveryFormat, ApiError> {
    first(headers, |range| {
        if !range.is_json() {
            return None;
        }
        match range.parameter("as") {
            None => Some(DiscoveryFormat::Groups),
            Some("APIGroupDiscoveryList") if range.parameter("g") == Some("apidiscovery.k8s.io") => {
                match range.parameter("v")? {
                    "v2" => Some(DiscoveryFormat::Aggregated("v2")),
                    "v2beta1" => Some(DiscoveryFormat::Aggregated("v2beta1")),
                    _ => None,
                }
            }
            Some(_) => None,
        }
    })
    .ok_or_else(|| ApiError::not_acceptable("application/json, as itself or as APIGroupDiscoveryList"))
}

/// Whether plain JSON will do.
pub fn json(headers: &HeaderMap) -> Result<(), ApiError> {
    first(headers, |range| (range.is_json() && range.parameter("as").is_none()).then_some(()))
        .ok_or_else(|| ApiError::not_acceptable("application/json"))
}

/// The first media range that `serve` can serve. Without a header everything is taken.
fn first<T>(headers: &HeaderMap, serve: impl Fn(&MediaRange<'_>) -> Option<T>) -> Option<T> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return serve(&MediaRange::parse("*/*"));
    }
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|range| serve(&MediaRange::parse(range)))
}

struct MediaRange<'a> {
    media_type: &'a str,
    parameters: &'a str,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Self {
        let (media_type, parameters) = text.split_once(';').unwrap_or((text, ""));
        Self { media_type: media_type.trim(), parameters }
    }

    fn is_json(&self) -> bool {
        ["application/json", "application/*", "*/*"].iter().any(|t| self.media_type.eq_ignore_ascii_case(t))
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().trim_matches('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())])
    }

    #[test]
    fn the_first_range_that_can_be_served_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                       application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (header, expected) in [
            (kubectl, Ok(Representation::Table(MetaVersion::V1))),
            ("application/json", Ok(Representation::Objects)),
            ("*/*", Ok(Representation::Objects)),
            ("application/vnd.kubernetes.protobuf, application/json", Ok(Representation::Objects)),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1",
                Ok(Representation::Metadata(MetaVersion::V1Beta1)),
            ),
            ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", Ok(Representation::Objects)),
            ("application/json;as=Table;v=v1;g=other, text/html", Err(())),
            ("application/vnd.kubernetes.protobuf", Err(())),
        ] {
            assert_eq!(objects(&accept(header)).map_err(|_| ()), expected, "{header}");
        }
        assert_eq!(objects(&HeaderMap::new()), Ok(Representation::Objects));
    }

    #[test]
    fn the_aggregators_header_gets_the_aggregated_document() {
        let header = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(discovery(&accept(header)), Ok(DiscoveryFormat::Aggregated("v2")));
        assert_eq!(discovery(&accept("application/json")), Ok(DiscoveryFormat::Groups));
        assert_eq!(discovery(&accept("text/plain")).unwrap_err().code, 406);
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "[ -~]{0,80}") {
            let _ = (objects(&accept(&text)), discovery(&accept(&text)), json(&accept(&text)));
        }
    }
}
