use super::{ClientAuth, Curve, TlsVersion, WebConfig, resolve};
use crate::config::file::parse;
use std::path::Path;

fn read(text: &str) -> Result<WebConfig, Vec<String>> {
    let path = Path::new("/etc/web.yml");
    resolve(path, &parse(path, text).unwrap())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn the_file_of_the_prometheus_projects_is_understood_as_it_is() {
    let web = read(
        "
tls_server_config:
  cert_file: server.crt
  key_file: /keys/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca/ca.crt
  client_allowed_sans: [agent.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites:
    - TLS_AES_128_GCM_SHA256
    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    x-frame-options: deny
basic_auth_users:
  alice: $2y$10$abc
",
    )
    .unwrap();
    let tls = web.tls.as_ref().unwrap();
    assert_eq!(tls.certificate.path, Path::new("/etc/server.crt"));
    assert_eq!(tls.key.path, Path::new("/keys/server.key"));
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify);
    assert_eq!(tls.client_names.as_ref().unwrap().len(), 2);
    assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls12, TlsVersion::Tls13));
    assert_eq!(tls.suites, Some(vec!["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]));
    assert_eq!(tls.curves, [Curve::P256, Curve::X25519]);
    assert!(!tls.prefers_own_order && !web.http2);
    assert_eq!(web.headers[1], ("X-Frame-Options", "deny".to_owned()));
    assert_eq!(web.users[0].rights.to_string(), "push,scrape,admin");
    assert_eq!(web.files().count(), 3);
}

#[test]
fn rights_are_an_extension() {
    let web = read(
        "
monasca_sidecar:
  users: {bob: {rights: [push]}}
  bearer_tokens:
    - {file: tokens, rights: [scrape]}
basic_auth_users: {alice: x, bob: y}
",
    )
    .unwrap();
    let rights: Vec<String> = web.users.iter().map(|user| user.rights.to_string()).collect();
    assert_eq!(rights, ["push,scrape,admin", "push"]);
    assert_eq!(web.tokens[0].file.path, Path::new("/etc/tokens"));
    assert_eq!(web.tokens[0].rights.to_string(), "scrape");
    assert!(web.has_credentials());
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```yaml\n# web.yml\n").unwrap();
    let web = read(rest.split_once("```").unwrap().0).unwrap();
    assert_eq!((web.users.len(), web.tokens.len(), web.certificates.len()), (2, 1, 1));
}

#[test]
fn no_secret_is_printed() {
    let web = read("basic_auth_users: {alice: $2y$10$verysecret}").unwrap();
    assert!(!format!("{web:?}").contains("verysecret"));
}

#[test]
fn an_empty_file_turns_nothing_on() {
    for text in ["", "tls_server_config:\n", "basic_auth_users: {}"] {
        let web = read(text).unwrap();
        assert!(web.tls.is_none() && !web.has_credentials() && web.http2, "{text}");
    }
}

#[test]
fn what_cannot_be_done_is_an_error_with_its_place() {
    const FILES: &str = "cert_file: c, key_file: k";
    for (section, expected) in [
        (
            "{min_version: TLS10}",
            "1:35: tls_server_config.min_version: TLS10 is not supported: TLS12 is the oldest",
        ),
        (
            "{max_version: SSL3}",
            "1:35: tls_server_config.max_version: \"SSL3\": use TLS12 or TLS13",
        ),
        (
            "{min_version: TLS13, max_version: TLS12}",
            "tls_server_config: max_version is below min_version",
        ),
        (
            "{cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]}",
            "cipher_suites: \"TLS_RSA_WITH_AES_128_CBC_SHA\" is not supported",
        ),
        ("{curve_preferences: [CurveP521]}", "curve_preferences: \"CurveP521\" is not supported"),
        ("{client_auth_type: Maybe}", "client_auth_type: \"Maybe\": use NoClientCert"),
        (
            "{client_auth_type: RequireAndVerifyClientCert}",
            "tls_server_config: client_auth_type verifies certificates",
        ),
        ("{client_ca_file: ca}", "tls_server_config: client_ca_file without client_auth_type"),
        ("{cert: abc}", "tls_server_config.cert: unknown key"),
    ] {
        let text = format!("tls_server_config: {}", section.replace('{', &format!("{{{FILES}, ")));
        let expected = expected.replace("1:35", "1:61");
        let errors = read(&text).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(&expected)), "{text}: {errors:?}");
        assert!(errors[0].starts_with("/etc/web.yml:1:"), "{errors:?}");
    }
    for (text, expected) in [
        ("tls_server_config: {key_file: k}", "1:1: tls_server_config: has no cert_file"),
        ("tls_server_config: {cert_file: ''}", "1:32: tls_server_config.cert_file: names no file"),
        (
            "http_server_config: {headers: {Server: x}}",
            "1:32: http_server_config.headers.Server: cannot be set",
        ),
        ("basic_auth_users: {'a:b': x}", "a user's name is not empty and has no colon"),
        (
            "monasca_sidecar: {users: {carol: {rights: [push]}}}",
            "1:27: monasca_sidecar.users.carol: no such user",
        ),
        ("monasca_sidecar: {bearer_tokens: [{rights: [push]}]}", "bearer_tokens[0]: has no file"),
        (
            "monasca_sidecar: {bearer_tokens: [{file: x, rights: [fly]}]}",
            "\"fly\": use push, scrape or admin",
        ),
        (
            "monasca_sidecar: {client_certificates: [{san: a}]}",
            "client_certificates: needs tls_server_config with",
        ),
        ("monasca_sidecar: {token: x}", "monasca_sidecar.token: unknown key"),
        ("basic_auth_user: {}", "basic_auth_user: unknown key: did you mean basic_auth_users?"),
    ] {
        let errors = read(text).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(expected)), "{text}: {errors:?}");
    }
}
