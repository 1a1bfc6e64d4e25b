//! Who gets through a handshake, who does not, and what either side is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use greenroom_tls::testing::Authority;
use greenroom_tls::{Acceptor, Client, Connector, HandshakeError, Pem, ServerStream, Tls, TlsError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

const NODE: &str = "node.games.default.greenroom.internal";
const OPERATOR: &str = "operator.greenroom.internal";

fn acceptor(tls: Tls) -> Acceptor {
    Acceptor::new(tls, [NODE, OPERATOR]).unwrap()
}

type Accepted = Result<(ServerStream<DuplexStream>, Client), HandshakeError>;

/// A handshake of ours with ours; the client's error may come with its first read.
async fn meet(acceptor: &Acceptor, connector: &Connector) -> (Accepted, Result<(), String>) {
    let (here, there) = duplex(1 << 16);
    let client = async {
        let mut stream = connector.connect(there).await.map_err(|error| error.to_string())?;
        talk(&mut stream).await
    };
    let server = async {
        let (mut stream, client) = acceptor.accept(here).await?;
        // A client that gives up does so here.
        let _ = talk(&mut stream).await;
        Ok((stream, client))
    };
    tokio::join!(server, client)
}

/// One byte each way.
async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), String> {
    stream.write_all(b"x").await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    stream.read_u8().await.map(drop).map_err(|error| error.to_string())
}

/// A client that is not ours: shows what it is given, or nothing.
async fn stranger(
    acceptor: &Acceptor,
    pem: &Pem,
    shows: bool,
    version: &'static SupportedProtocolVersion,
) -> (HandshakeError, String) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem.authorities).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = if shows {
        let chain = CertificateDer::pem_slice_iter(&pem.certificate).map(Result::unwrap).collect();
        config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&pem.key).unwrap()).unwrap()
    } else {
        config.with_no_client_auth()
    };
    let (here, there) = duplex(1 << 16);
    let client = async {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(NODE).unwrap();
        let mut stream = connector.connect(name, there).await.map_err(|error| error.to_string())?;
        talk(&mut stream).await
    };
    let (server, client) = tokio::join!(acceptor.accept(here), client);
    (server.map(drop).unwrap_err(), client.unwrap_err())
}

#[tokio::test]
async fn both_sides_learn_who_is_at_the_other_end() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.tls(&[NODE]));
    let connector = Connector::new(authority.tls(&[OPERATOR, "other.greenroom.internal"]), NODE).unwrap();
    let (server, client) = meet(&acceptor, &connector).await;
    let (stream, who) = server.unwrap();
    client.unwrap();
    assert!(who.is(OPERATOR) && !who.is(NODE) && !who.is("other.greenroom.internal"), "{who:?}");
    let connection = stream.get_ref().1;
    assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let acceptor = acceptor(ours.tls(&[NODE]));
    // It believes the server, but the server does not believe it.
    let trusting =
        Pem { authorities: [theirs.certificate(), ours.certificate()].concat(), ..theirs.pem(&[NODE]) };
    let connector = Connector::new(Tls::new(trusting).unwrap(), NODE).unwrap();
    let (server, client) = meet(&acceptor, &connector).await;
    let error = server.map(drop).unwrap_err();
    assert_eq!(error.reason(), "certificate", "{error}");
    assert!(error.to_string().contains("no authority in ca.crt here has issued it"), "{error}");
    assert!(client.unwrap_err().contains("fatal alert"));
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let acceptor = acceptor(Authority::new().tls(&[NODE]));
    let connector = Connector::new(Authority::new().tls(&[NODE]), NODE).unwrap();
    let (server, client) = meet(&acceptor, &connector).await;
    assert_eq!(server.map(drop).unwrap_err().reason(), "tls");
    assert!(client.unwrap_err().contains("no authority in ca.crt here has issued it"));
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_whatever_its_address() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.tls(&["node.chat.default.greenroom.internal", "localhost"]));
    let connector = Connector::new(authority.tls(&[NODE]), NODE).unwrap();
    let (server, client) = meet(&acceptor, &connector).await;
    assert!(server.is_err());
    let told = client.unwrap_err();
    assert!(told.contains(NODE) && told.contains("node.chat.default"), "{told}");
}

#[tokio::test]
async fn a_client_of_another_name_is_refused_with_both_names() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.tls(&[NODE]));
    let other = "node.chat.default.greenroom.internal";
    let connector = Connector::new(authority.tls(&[other]), NODE).unwrap();
    let (server, client) = meet(&acceptor, &connector).await;
    let error = server.map(drop).unwrap_err();
    assert_eq!(error.reason(), "identity");
    assert_eq!(
        error.to_string(),
        format!(
            "the certificate is for {other}, and only {NODE}, {OPERATOR} may connect; use a certificate with such a name"
        )
    );
    let told = client.unwrap_err();
    assert!(told.contains("CertificateUnknown"), "{told}");
}

#[tokio::test]
async fn who_shows_no_certificate_is_refused() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.tls(&[NODE]));
    let (error, told) = stranger(&acceptor, &authority.pem(&[NODE]), false, &TLS13).await;
    assert!(matches!(error, HandshakeError::NoCertificate), "{error}");
    assert!(told.contains("CertificateRequired"), "{told}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_others_and_before_by_its_holder() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.tls(&[NODE]));
    let expired = authority.pem_until(&[NODE], SystemTime::now() - Duration::from_secs(60));
    let (error, told) = stranger(&acceptor, &expired, true, &TLS13).await;
    assert!(error.to_string().contains("expired"), "{error}");
    assert!(told.contains("CertificateExpired"), "{told}");
    assert!(matches!(Tls::new(expired), Err(TlsError::Expired)));
}

#[tokio::test]
async fn an_older_protocol_is_refused() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.tls(&[NODE]));
    let (error, _) = stranger(&acceptor, &authority.pem(&[NODE]), true, &TLS12).await;
    assert_eq!(error.reason(), "tls", "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_connects_and_says_nothing_is_given_up() {
    let acceptor = acceptor(Authority::new().tls(&[NODE])).patience(Duration::from_secs(2));
    let (here, _there) = duplex(1024);
    let error = acceptor.accept(here).await.map(drop).unwrap_err();
    assert_eq!((error.reason(), error.to_string().as_str()), ("timeout", "no TLS handshake within 2000 ms"));
}

#[tokio::test]
async fn certificates_are_exchanged_while_connections_stay_open() {
    let authority = Authority::new();
    let server = authority.tls(&[NODE]);
    let acceptor = acceptor(server.clone());
    let connector = Connector::new(authority.tls(&[OPERATOR]), NODE).unwrap();

    let (here, there) = duplex(1 << 16);
    let (before, client) = tokio::join!(acceptor.accept(here), connector.connect(there));
    let ((mut before, _), mut client) = (before.unwrap(), client.unwrap());
    let renewed = authority.pem_until(&[NODE], SystemTime::now() + Duration::from_secs(7000));
    let expired = server.expires();
    server.replace(renewed).unwrap();
    assert!(server.expires() > expired);

    let (ours, theirs) = tokio::join!(talk(&mut before), talk(&mut client));
    assert_eq!((ours, theirs), (Ok(()), Ok(())), "the open connection was disturbed");
    let (after, client) = meet(&acceptor, &connector).await;
    client.unwrap();
    let shown = |stream: &ServerStream<DuplexStream>| stream.get_ref().1.handshake_kind();
    assert_eq!(shown(&after.unwrap().0), Some(rustls::HandshakeKind::Full), "nothing is resumed");
}

#[tokio::test]
async fn an_authority_is_replaced_without_a_gap() {
    let (old, new) = (Authority::new(), Authority::new());
    let both = [old.certificate(), new.certificate()].concat();
    let bundled = |pem: Pem| Pem { authorities: both.clone(), ..pem };
    let (server, client) = (old.tls(&[NODE]), old.tls(&[OPERATOR]));
    let acceptor = acceptor(server.clone());
    let connector = Connector::new(client.clone(), NODE).unwrap();
    // Each side changes at a time of its own: first to the two authorities, then to a certificate of the new one, last
    // to the new one alone.
    let steps: [(&Tls, Pem); 6] = [
        (&server, bundled(old.pem(&[NODE]))),
        (&client, bundled(old.pem(&[OPERATOR]))),
        (&client, bundled(new.pem(&[OPERATOR]))),
        (&server, bundled(new.pem(&[NODE]))),
        (&server, new.pem(&[NODE])),
        (&client, new.pem(&[OPERATOR])),
    ];
    for (step, (side, pem)) in steps.into_iter().enumerate() {
        side.replace(pem).unwrap();
        let (server, client) = meet(&acceptor, &connector).await;
        assert!(server.is_ok() && client.is_ok(), "step {step}: {client:?}");
    }
    let (server, _) = meet(&acceptor, &Connector::new(old.tls(&[OPERATOR]), NODE).unwrap()).await;
    assert!(server.is_err(), "the old authority is still believed");
}

#[test]
fn files_that_do_not_fit_are_refused_by_name_and_change_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.pem(&[NODE]);
    let tls = Tls::new(good.clone()).unwrap();
    for (pem, part) in [
        (Pem { certificate: Vec::new(), ..good.clone() }, "tls.crt cannot be used: it holds no certificate"),
        (Pem { key: b"none".to_vec(), ..good.clone() }, "tls.key cannot be used"),
        (Pem { authorities: Vec::new(), ..good.clone() }, "ca.crt cannot be used"),
        (Pem { key: authority.pem(&[NODE]).key, ..good.clone() }, "tls.key does not belong to tls.crt"),
        (
            Pem { authorities: other.certificate(), ..good.clone() },
            "not accepted by the authorities in ca.crt",
        ),
    ] {
        let error = tls.replace(pem).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("; "), "{error}");
        assert!(tls.holds(&good));
    }
    assert_eq!(tls.names(), [NODE]);
    assert!(matches!(Connector::new(tls, "10.0.0.1"), Err(TlsError::Name(_))), "an address is no identity");
}
