//! TLS: from the settings to what shakes hands, and that anew when the files change.
//!
//! rustls with ring: see ADR 13.

mod names;
mod verify;

use crate::config::{ConfigError, Curve, NamedFile, TlsSettings, TlsVersion};
use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring as provider};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use verify::Verify;

const LONGEST_FILE_BYTES: u64 = 4 << 20;
const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What new connections shake hands with.
#[derive(Debug)]
pub(crate) struct Tls(ArcSwap<Ready>);

/// Settings whose files were read.
pub(crate) struct Ready {
    config: Arc<ServerConfig>,
    /// Client certificates were verified, so that their names say something.
    names: bool,
}

impl fmt::Debug for Ready {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Ready")
    }
}

/// A connection whose hands are shaken.
pub(super) struct Shaken {
    pub(super) stream: Box<TlsStream<TcpStream>>,
    pub(super) names: Option<Arc<[String]>>,
    pub(super) is_h2: bool,
}

impl Tls {
    pub(crate) fn new(ready: Ready) -> Tls {
        Tls(ArcSwap::from_pointee(ready))
    }

    /// Open connections keep what they have.
    pub(crate) fn replace(&self, ready: Ready) {
        self.0.store(Arc::new(ready));
    }

    pub(super) async fn shake(&self, stream: TcpStream) -> io::Result<Shaken> {
        let ready = self.0.load_full();
        let stream = TlsAcceptor::from(Arc::clone(&ready.config)).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let names = certificate.filter(|_| ready.names).map(|der| names::of(der).into());
        let is_h2 = session.alpn_protocol() == Some(H2);
        Ok(Shaken { stream: Box::new(stream), names, is_h2 })
    }
}

impl Ready {
    /// Reads the files and checks that they fit together.
    pub(crate) fn load(settings: &TlsSettings, http2: bool) -> Result<Ready, ConfigError> {
        let provider = Arc::new(provider(settings));
        let refuse = |error: rustls::Error| settings.origin.refuse(error.to_string());
        let versions: Vec<_> = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)]
            .into_iter()
            .filter(|(version, _)| (settings.min_version..=settings.max_version).contains(version))
            .map(|(_, version)| version)
            .collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(refuse)?;
        let builder = match verifier(settings, &provider)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let chain = certificates(&settings.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&settings.key)?)
            .map_err(|_| unusable(&settings.key, "no private key in PEM"))?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| unusable(&settings.certificate, &error.to_string()))?;
        config.ignore_client_order = settings.prefers_own_order;
        config.alpn_protocols = vec![HTTP1.to_vec()];
        if http2 {
            config.alpn_protocols.insert(0, H2.to_vec());
        }
        Ok(Ready { config: Arc::new(config), names: settings.client_auth.verifies() })
    }
}

fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = provider::default_provider();
    if let Some(allowed) = &settings.suites {
        provider.cipher_suites.retain(|suite| match suite {
            SupportedCipherSuite::Tls13(_) => true,
            SupportedCipherSuite::Tls12(_) => {
                suite.suite().as_str().is_some_and(|name| allowed.contains(&name))
            }
        });
    }
    if !settings.curves.is_empty() {
        provider.kx_groups = settings.curves.iter().map(|curve| group(*curve)).collect();
    }
    provider
}

fn group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::P256 => provider::kx_group::SECP256R1,
        Curve::P384 => provider::kx_group::SECP384R1,
        Curve::X25519 => provider::kx_group::X25519,
    }
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, ConfigError> {
    use crate::config::ClientAuth;
    if settings.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let authorities = match (&settings.client_authorities, settings.client_auth.verifies()) {
        (Some(file), true) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, &error.to_string()))?;
            }
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            Some(builder.build().map_err(|error| unusable(file, &error.to_string()))?)
        }
        (_, false) | (None, true) => None,
    };
    let algorithms = provider.signature_verification_algorithms;
    let requires = settings.client_auth.requires();
    let allowed = settings.client_names.clone();
    Ok(Some(Arc::new(Verify::new(authorities, algorithms, requires, allowed))))
}

fn certificates(file: &NamedFile) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let pem = read(file)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = read.map_err(|_| unusable(file, "not PEM"))?;
    if chain.is_empty() { Err(unusable(file, "no certificate in PEM")) } else { Ok(chain) }
}

fn read(file: &NamedFile) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    File::open(&file.path)
        .and_then(|opened| opened.take(LONGEST_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unusable(file, &format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LONGEST_FILE_BYTES {
        return Err(unusable(file, &format!("larger than {LONGEST_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn unusable(file: &NamedFile, what: &str) -> ConfigError {
    file.origin.refuse(format!("{}: {what}", file.path.display()))
}
