//! The files of a Secret, swapped as Kubernetes swaps them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use greenroom_tls::testing::Authority;
use greenroom_tls::{Pem, Tls, TlsError, directory};
use tempfile::TempDir;

const NODE: &str = "node.games.default.greenroom.internal";
const POLL: Duration = Duration::from_millis(5);

/// A mounted Secret.
struct Mounted(TempDir);

impl Mounted {
    fn new() -> Self {
        let mounted = Self(TempDir::new().unwrap());
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(name), mounted.path().join(name)).unwrap();
        }
        mounted
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a new directory and turns the link to it in one step.
    fn swap(&self, version: &str, pem: &Pem) {
        let data = self.path().join(version);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("tls.crt"), &pem.certificate).unwrap();
        std::fs::write(data.join("tls.key"), &pem.key).unwrap();
        std::fs::write(data.join("ca.crt"), &pem.authorities).unwrap();
        let link = self.path().join("..data_tmp");
        symlink(version, &link).unwrap();
        std::fs::rename(link, self.path().join("..data")).unwrap();
    }
}

async fn holds(tls: &Tls, pem: &Pem) {
    let taken = async {
        while !tls.holds(pem) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken)
        .await
        .expect("the new files were not taken into use");
}

#[tokio::test]
async fn a_swapped_secret_is_taken_into_use_and_a_broken_one_is_not() {
    let (authority, mounted) = (Authority::new(), Mounted::new());
    let (first, second) = (authority.pem(&[NODE]), authority.pem(&[NODE]));
    mounted.swap("..1", &first);
    let tls = directory::load(mounted.path(), Duration::ZERO).await.unwrap();
    let following = tokio::spawn(directory::follow(tls.clone(), mounted.path().to_owned(), POLL));

    mounted.swap("..2", &second);
    holds(&tls, &second).await;
    let mixed = Pem { key: first.key.clone(), ..second.clone() };
    mounted.swap("..3", &mixed);
    // Several looks at the broken files.
    tokio::time::sleep(POLL * 10).await;
    assert!(tls.holds(&second), "broken files were taken into use");
    mounted.swap("..4", &first);
    holds(&tls, &first).await;
    following.abort();
}

#[tokio::test]
async fn files_that_come_late_are_waited_for() {
    let (authority, mounted) = (Authority::new(), Mounted::new());
    let missing = directory::load(mounted.path(), Duration::ZERO).await.map(drop).unwrap_err();
    assert!(matches!(missing, TlsError::Read { .. }));
    assert!(missing.to_string().contains("tls.crt"), "{missing}");

    let pem = authority.pem(&[NODE]);
    let loading = directory::load(mounted.path(), Duration::from_secs(20));
    let arriving = async {
        tokio::task::yield_now().await;
        mounted.swap("..1", &pem);
    };
    let (loaded, ()) = tokio::join!(loading, arriving);
    assert!(loaded.unwrap().holds(&pem));
}
