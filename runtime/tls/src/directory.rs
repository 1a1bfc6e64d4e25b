//! The files of a mounted Secret: `tls.crt`, `tls.key`, `ca.crt`.
//!
//! Kubernetes replaces them all at once, by turning the link `..data` to another directory. They are read through that
//! link, resolved once, so that they are of one moment; and compared by content, since neither names nor times tell.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Pem, Tls, TlsError};

/// How often the files are looked at. Kubernetes itself takes about a minute to bring a changed Secret.
pub const POLL: Duration = Duration::from_secs(10);

/// How often it is looked whether the files are there by now.
const WAIT: Duration = Duration::from_millis(500);

/// Reads the files. They are not checked yet.
pub async fn read(directory: &Path) -> Result<Pem, TlsError> {
    let data = tokio::fs::canonicalize(directory.join("..data")).await;
    let data = data.unwrap_or_else(|_| directory.to_owned());
    let file = async |name: &str| {
        // Errors name the path that people know.
        let path = directory.join(name);
        tokio::fs::read(data.join(name)).await.map_err(|source| TlsError::Read { path, source })
    };
    Ok(Pem {
        certificate: file("tls.crt").await?,
        key: file("tls.key").await?,
        authorities: file("ca.crt").await?,
    })
}

/// Takes the files into use as soon as they are complete and valid, or says after `patience` what is missing.
pub async fn load(directory: &Path, patience: Duration) -> Result<Tls, TlsError> {
    let give_up = Instant::now() + patience;
    let mut told = false;
    loop {
        let error = match read(directory).await.and_then(Tls::new) {
            Ok(tls) => return Ok(tls),
            Err(error) if Instant::now() >= give_up => return Err(error),
            Err(error) => error,
        };
        if !told {
            tracing::warn!(directory = %directory.display(), %error, "waiting for the TLS files");
            told = true;
        }
        tokio::time::sleep(WAIT).await;
    }
}

/// Keeps up with the files for ever, looking each `period`. Files that cannot be used are left alone with a warning, and
/// the last good ones stay in use.
pub async fn follow(tls: Tls, directory: PathBuf, period: Duration) {
    let mut told = None;
    loop {
        tokio::time::sleep(period).await;
        let outcome = match read(&directory).await {
            Ok(pem) if tls.holds(&pem) => Ok(false),
            Ok(pem) => tls.replace(pem).map(|()| true),
            Err(error) => Err(error),
        };
        let directory = directory.display();
        match outcome.map_err(|error| error.to_string()) {
            Ok(changed) => {
                if changed {
                    tracing::info!(%directory, names = ?tls.names(), "new TLS files are in use");
                }
                told = None;
            }
            Err(error) if told.as_ref() != Some(&error) => {
                tracing::warn!(%directory, error, "the new TLS files cannot be used; the last good ones stay in use");
                told = Some(error);
            }
            Err(_) => {}
        }
    }
}
