//! Where a list goes on: the `continue` of a page.
//!
//! Invariant: a token is believed only if a replica of this API signed it, for this very selection, a short time ago. So a
//! page can be asked of any replica, none of which remembers anything, and a forged token gets nobody past a selector.
//!
//! Form: base64url of HMAC-SHA-256 (32 bytes) and the JSON of [`Contents`].

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Version;
use super::errors::ApiError;
use super::selection::Selection;

/// How long a page may be followed by another, in seconds.
pub const LIFETIME_SECONDS: u64 = 300;

const MAC: usize = 32;

/// The key that signs tokens, shared by the replicas.
#[derive(Clone)]
pub struct ContinueKey(hmac::Key);

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Contents<C> {
    /// The version of the list, the same on all its pages.
    version: Version,
    cursor: C,
    selection: String,
    expires: u64,
}

impl ContinueKey {
    /// Takes the key's bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The token of a page. `now` is in seconds since 1970.
    pub fn token<C: Serialize>(
        &self,
        version: Version,
        cursor: C,
        selection: &Selection,
        now: u64,
    ) -> Result<String, ApiError> {
        let contents =
            Contents { version, cursor, selection: digest(selection), expires: now + LIFETIME_SECONDS };
        let json = serde_json::to_vec(&contents)
            .map_err(|error| ApiError::internal(format!("the continue token cannot be made: {error}")))?;
        let mut token = hmac::sign(&self.0, &json).as_ref().to_vec();
        token.extend(json);
        Ok(BASE64URL_NOPAD.encode(&token))
    }

    /// Where the list of that token goes on, and the list's version.
    pub fn open<C: DeserializeOwned>(
        &self,
        token: &str,
        selection: &Selection,
        now: u64,
    ) -> Result<(Version, C), ApiError> {
        let malformed =
            || ApiError::bad_request("the continue token is none of this API; list from the beginning");
        let expired = || {
            ApiError::expired(
                "the provided continue parameter is too old to display a consistent list result; list from the beginning",
            )
        };
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| malformed())?;
        let (mac, json) = bytes.split_at_checked(MAC).ok_or_else(malformed)?;
        // A key that was made anew is no fault of the client: it lists again.
        hmac::verify(&self.0, json, mac).map_err(|_| expired())?;
        let contents: Contents<C> = serde_json::from_slice(json).map_err(|_| malformed())?;
        if contents.selection != digest(selection) {
            return Err(ApiError::bad_request(
                "the continue token is of a list with other selectors; use those again, or list from the beginning",
            ));
        }
        if contents.expires < now {
            return Err(expired());
        }
        Ok((contents.version, contents.cursor))
    }
}

fn digest(selection: &Selection) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, selection.canonical().as_bytes());
    BASE64URL_NOPAD.encode(&digest.as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(namespace: &str) -> Selection {
        Selection { namespace: Some(namespace.into()), ..Selection::default() }
    }

    fn token(key: &ContinueKey) -> String {
        key.token(Version::from_number(7), ("shop", "page-1"), &selection("a"), 1000).unwrap()
    }

    #[test]
    fn a_token_leads_back_to_its_place() {
        let key = ContinueKey::new(b"one");
        let (version, cursor): (_, (String, String)) =
            key.open(&token(&key), &selection("a"), 1000 + LIFETIME_SECONDS).unwrap();
        assert_eq!((version.number(), cursor), (7, ("shop".into(), "page-1".into())));
    }

    #[test]
    fn a_token_is_good_for_its_own_list_only_and_not_for_ever() {
        let key = ContinueKey::new(b"one");
        let open = |token: &str, namespace, now| {
            key.open::<(String, String)>(token, &selection(namespace), now).unwrap_err().code.as_u16()
        };
        assert_eq!(open(&token(&key), "b", 1000), 400);
        assert_eq!(open(&token(&key), "a", 1001 + LIFETIME_SECONDS), 410);
        assert_eq!(open(&token(&ContinueKey::new(b"two")), "a", 1000), 410);
        assert_eq!(open("abc", "a", 1000), 400);
        assert_eq!(open("!", "a", 1000), 400);
    }

    proptest::proptest! {
        #[test]
        fn a_changed_token_is_refused(at in 0usize..60, with in "[A-Za-z0-9_-]") {
            let key = ContinueKey::new(b"one");
            let good = token(&key);
            let mut changed = good.clone();
            changed.replace_range(at..=at, &with);
            let opened = key.open::<(String, String)>(&changed, &selection("a"), 1000);
            proptest::prop_assert!(opened.is_err() || changed == good);
        }
    }
}
