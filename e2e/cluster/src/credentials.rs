//! The keys and certificates of one cluster, as files in one folder.
//!
//! Two authorities: one for everybody who talks to the API server, and one for the front proxy, by which extension
//! API servers recognise the API server. Kubernetes' default roles know all these identities: nothing is bound by hand.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::SanType;

use crate::error::{Doing, Result};
use crate::flags::{self, file};
use crate::kubeconfig::{self, Credential, write_private};
use crate::pki::{self, Authority, Identity, Subject};

/// The group whose members may do everything.
const MASTERS: &[&str] = &["system:masters"];

pub(crate) struct Credentials {
    folder: PathBuf,
    server: String,
    authority: Authority,
}

impl Credentials {
    /// Makes everything that the control plane itself needs. `serves` are the addresses of the API server.
    pub(crate) fn make(folder: &Path, server: &str, serves: &[IpAddr]) -> Result<Self> {
        fs::create_dir_all(folder).doing(|| format!("create {}", folder.display()))?;
        let authority = Authority::new("local-ca")?;
        let made = Self { folder: folder.to_owned(), server: server.to_owned(), authority };
        made.keep_as("ca", made.authority.identity())?;

        let masters = |user| Subject { user, groups: MASTERS, serves: &[] };
        let names = api_server_names(serves)?;
        made.issue("apiserver", &Subject { user: "kube-apiserver", groups: &[], serves: &names })?;
        made.issue("apiserver-kubelet-client", &masters("apiserver-kubelet-client"))?;

        let front_proxy = Authority::new("local-front-proxy-ca")?;
        fs::write(made.path(file::FRONT_PROXY_CA), &front_proxy.identity().certificate)
            .doing(|| "write the front proxy's certificate".to_owned())?;
        let client = Subject { user: "front-proxy-client", ..Subject::default() };
        made.keep_as("front-proxy-client", &front_proxy.issue(&client)?)?;

        let (public, private) = pki::token_key()?;
        write_private(&made.path(file::TOKEN_PUBLIC), &public)?;
        write_private(&made.path(file::TOKEN_PRIVATE), &private)?;
        write_private(&made.path(file::AUDIT_POLICY), flags::AUDIT_POLICY)?;
        made.kubeconfig("admin", &masters("admin"))?;
        Ok(made)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kubeconfig of the administrator.
    pub(crate) fn admin(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// Signs a certificate into `NAME.crt` and `NAME.key`.
    pub(crate) fn issue(&self, name: &str, subject: &Subject<'_>) -> Result<Identity> {
        let identity = self.authority.issue(subject)?;
        self.keep_as(name, &identity)?;
        Ok(identity)
    }

    /// Writes `NAME.kubeconfig` with a new certificate.
    pub(crate) fn kubeconfig(&self, name: &str, subject: &Subject<'_>) -> Result<PathBuf> {
        self.kubeconfig_with(name, &Credential::Certificate(&self.authority.issue(subject)?))
    }

    /// Writes `NAME.kubeconfig`.
    pub(crate) fn kubeconfig_with(&self, name: &str, credential: &Credential<'_>) -> Result<PathBuf> {
        let path = self.path(&format!("{name}.kubeconfig"));
        kubeconfig::write(&path, &self.server, self.authority.identity(), credential)?;
        Ok(path)
    }

    fn keep_as(&self, name: &str, identity: &Identity) -> Result<()> {
        write_private(&self.path(&format!("{name}.crt")), &identity.certificate)?;
        write_private(&self.path(&format!("{name}.key")), &identity.key)
    }
}

fn api_server_names(addresses: &[IpAddr]) -> Result<Vec<SanType>> {
    let mut names = addresses.iter().map(|&address| pki::ip(address)).collect::<Vec<_>>();
    for name in [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ] {
        names.push(pki::dns(name)?);
    }
    Ok(names)
}
