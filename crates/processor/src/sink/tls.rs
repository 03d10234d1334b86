//! TLS towards servers of sinks.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::error::{ProcessorError, ProcessorResult};

/// How the certificate of a server is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Whatever it is: what is sent is hidden from those who only listen.
    Anyone,
    /// A known authority signed it.
    Signed {
        /// A PEM file with authorities; without one those of the system.
        roots: Option<PathBuf>,
        /// It must also be of the host that was asked.
        names_host: bool,
    },
}

impl Trust {
    /// A certificate of the host that was asked, signed by an authority that the system knows.
    pub(crate) const SYSTEM: Self = Self::Signed { roots: None, names_host: true };

    /// Settings of a client that judges so.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] if authorities cannot be read.
    pub(crate) fn client(&self) -> ProcessorResult<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Anyone => Arc::new(Lenient { provider: Arc::clone(&provider), signed: None }),
            Self::Signed { roots, names_host } => {
                let roots = Arc::new(authorities(roots.as_ref())?);
                let signed =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                        .build()
                        .map_err(|error| unusable(&error))?;
                if *names_host {
                    signed
                } else {
                    Arc::new(Lenient { provider: Arc::clone(&provider), signed: Some(signed) })
                }
            }
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        // The check that is asked for, which `Trust::SYSTEM` does not weaken.
        Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

fn authorities(file: Option<&PathBuf>) -> ProcessorResult<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        let found = rustls_native_certs::load_native_certs();
        let (known, _) = roots.add_parsable_certificates(found.certs);
        if known == 0 {
            return Err(unusable(&format!(
                "the system names no certificate authorities ({} errors); install ca-certificates, or \
                 name a file with SSL_CERT_FILE",
                found.errors.len()
            )));
        }
        return Ok(roots);
    };
    let shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&format!("cannot read authorities in {shown}: {error}")))?;
    let (known, _) = roots.add_parsable_certificates(certificates);
    if known == 0 {
        return Err(unusable(&format!("{shown} holds no certificate")));
    }
    Ok(roots)
}

fn unusable(reason: &dyn std::fmt::Display) -> ProcessorError {
    ProcessorError::Config(format!("TLS cannot be used: {reason}"))
}

/// Accepts certificates of any host: all of them, or those that an authority signed.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    signed: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(signed) = &self.signed else { return Ok(ServerCertVerified::assertion()) };
        // The name is judged last: everything else was right.
        match signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
