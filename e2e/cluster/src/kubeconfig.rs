//! Kubeconfig files, with everything embedded: a file can be copied and still works.

use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::error::{Doing, Result};
use crate::pki::Identity;

/// How a user shows who they are.
pub(crate) enum Credential<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

/// Writes a kubeconfig for `server`, as JSON, which is YAML too. Only its owner may read it.
pub(crate) fn write(path: &Path, server: &str, authority: &Identity, user: &Credential<'_>) -> Result<()> {
    let user = match user {
        Credential::Certificate(identity) => json!({
            "client-certificate-data": BASE64.encode(identity.certificate.as_bytes()),
            "client-key-data": BASE64.encode(identity.key.as_bytes()),
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let text = render(server, authority, user);
    write_private(path, &format!("{text:#}\n"))
}

fn render(server: &str, authority: &Identity, user: Value) -> Value {
    let authority = BASE64.encode(authority.certificate.as_bytes());
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "local", "user": user}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
        "current-context": "local",
    })
}

/// Writes a file that holds a key.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.doing(|| format!("write {}", path.display()))
}

/// A client for whoever the kubeconfig at `path` names.
///
/// # Errors
/// When the file cannot be read or does not hold a kubeconfig. It does not talk to the server.
pub async fn client(path: &Path) -> Result<kube::Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(path)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    Ok(kube::Client::try_from(config)?)
}
