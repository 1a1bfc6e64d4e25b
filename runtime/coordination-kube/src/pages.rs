//! Reading and writing a page.
//!
//! A read asks without a resourceVersion, so the API server reads through to etcd, past its caches. A write replaces the
//! object and names the version that it was made from; the API server refuses it if another stands there by then.
//!
//! Whatever else goes wrong with a write leaves its outcome unknown, also where the API server has surely refused it:
//! "unknown" is the weaker claim, and the log says what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_cluster::coordination::{ReadError, Version, Versioned, WriteError};
use greenroom_core::ShardCount;
use greenroom_core::map::Page;
use greenroom_crds::{ShardMap, names};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::{Api, Client, Error};
use parking_lot::Mutex;

use crate::complaint::Complaint;
use crate::error::in_full;
use crate::page;

/// How long one request may take.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The pages of one cluster.
pub(crate) struct Pages {
    pub(crate) api: Api<DynamicObject>,
    cluster: String,
    shards: ShardCount,
    /// The newest object of each page that was seen: what a write keeps of it.
    seen: Mutex<BTreeMap<u16, (Version, DynamicObject)>>,
    writing: Complaint,
    reading: Complaint,
}

impl Pages {
    pub(crate) fn new(client: Client, namespace: &str, cluster: &str, shards: ShardCount) -> Self {
        let resource = ApiResource::erase::<ShardMap>(&());
        Self {
            api: Api::namespaced_with(client, namespace, &resource),
            cluster: cluster.to_owned(),
            shards,
            seen: Mutex::default(),
            writing: Complaint::about("writing the shard map".into()),
            reading: Complaint::about("reading the shard map".into()),
        }
    }

    /// The name of the page's object; none if the map has no such page.
    pub(crate) fn name(&self, page: u16) -> Option<String> {
        (page < self.shards.pages()).then(|| names::shard_map(&self.cluster, page))
    }

    pub(crate) async fn read(&self, page: u16) -> Result<Versioned<Page>, ReadError> {
        let name = self.name(page).ok_or(ReadError::NoSuchPage { page })?;
        let found = match in_time(self.api.get(&name)).await {
            Ok(object) => self.learn(page, object),
            Err(error) => {
                let message = self.explain(&error);
                if matches!(&error, Error::Api(status) if is_missing(status)) {
                    self.reading.say(&message);
                    return Err(ReadError::NoSuchPage { page });
                }
                Err(message)
            }
        };
        match found {
            Ok(page) => {
                self.reading.take_back();
                Ok(page)
            }
            Err(message) => {
                self.reading.say(&message);
                Err(ReadError::Unavailable(message))
            }
        }
    }

    pub(crate) async fn write(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> Result<Versioned<Page>, WriteError> {
        let unknown = |message: String| {
            self.writing.say(&message);
            WriteError::Unknown(message)
        };
        let name = self.name(page).ok_or_else(|| unknown(format!("the shard map has no page {page}")))?;
        let object = match self.seen_at(page, base) {
            Some(object) => object,
            None => self.read_at(page, base).await?,
        };
        let object = page::with_content(&object, &content).map_err(unknown)?;
        let written = match in_time(self.api.replace(&name, &PostParams::default(), &object)).await {
            Ok(written) => self.learn(page, written).map_err(unknown)?,
            // The version has changed, or the object was made anew.
            Err(Error::Api(status)) if status.is_conflict() => {
                self.read_at(page, base).await?;
                return Err(unknown(format!("the API server says {}", status.message)));
            }
            Err(error) => return Err(unknown(self.explain(&error))),
        };
        self.writing.take_back();
        Ok(written)
    }

    /// The object at this version, read now; a conflict if the page has another.
    async fn read_at(&self, page: u16, base: Version) -> Result<DynamicObject, WriteError> {
        let current = self.read(page).await.map_err(|error| WriteError::Unknown(error.to_string()))?;
        match self.seen_at(page, base) {
            Some(object) if current.version == base => Ok(object),
            _ => Err(WriteError::Conflict(Box::new(current))),
        }
    }

    fn seen_at(&self, page: u16, version: Version) -> Option<DynamicObject> {
        let seen = self.seen.lock();
        seen.get(&page).filter(|(seen, _)| *seen == version).map(|(_, object)| object.clone())
    }

    /// The page that the object holds. The object is kept if it is newer than the one known.
    pub(crate) fn learn(&self, page: u16, object: DynamicObject) -> Result<Versioned<Page>, String> {
        let content = page::parse(page, &object)?;
        let mut seen = self.seen.lock();
        if seen.get(&page).is_none_or(|(version, _)| *version < content.version) {
            seen.insert(page, (content.version, object));
        }
        Ok(content)
    }

    /// What went wrong, and what to do about it where waiting does not help.
    pub(crate) fn explain(&self, error: &Error) -> String {
        let Error::Api(status) = error else { return in_full(error) };
        let (code, message) = (status.code, &status.message);
        let objects = names::node_objects(&self.cluster);
        match code {
            401 => format!(
                "the API server does not know this node ({message}); give it the ServiceAccount {objects}"
            ),
            403 => format!(
                "the API server forbids it ({message}); bind the Role {objects} to the node's ServiceAccount"
            ),
            404 if is_missing(status) => format!("{message}; the operator makes it, see that it runs"),
            404 => format!("the API server has no ShardMap ({message}); install the chart greenroom-crds"),
            400..=499 if code != 408 && code != 429 => {
                format!(
                    "the API server refuses it ({code}: {message}); install the greenroom-crds of this version"
                )
            }
            _ => format!("the API server says {code}: {message}"),
        }
    }
}

/// True if an object is missing, and not its whole kind.
fn is_missing(status: &kube::core::Status) -> bool {
    status.code == 404 && status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

/// The answer, or an error when there is none in time.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Err(Error::Service(format!("no answer within {ANSWER_WITHIN:?}").into()));
    tokio::time::timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(late)
}
