//! What `deploy/` promises, checked without a cluster and without Docker.
//!
//! Each Kubernetes document is read into the typed structures of `k8s-openapi` and written again:
//! the same document must come out. The typed structures drop a key that they do not know, so a
//! misspelt key (which a cluster may drop as silently) is missing on the way back. After that come
//! the promises that a schema cannot see.

#![allow(clippy::unwrap_used, reason = "clippy sees a test only in #[test], not in its helpers")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, PodTemplateSpec, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

const CONFIG_MAP: &str = "kubernetes/configmap.yaml";
const NATIVE_SIDECAR: &str = "kubernetes/native-sidecar.yaml";
const TWO_CONTAINERS: &str = "kubernetes/two-containers.yaml";
const MULTIPROCESS: &str = "kubernetes/multiprocess.yaml";
const SIDECAR: &str = "monasca-sidecar";
const PORT: i32 = 4888;
const PUSH_PORT: i32 = 4889;
const USER: i64 = 65532;
const METRICS: &str = "metrics";

// ---- Every key is known -------------------------------------------------------------------------

#[test]
fn every_manifest_survives_the_typed_structures() {
    let folder = deploy("kubernetes");
    let mut checked = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(differences(&text), Vec::<String>::new(), "{}", path.display());
        checked.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    checked.sort();
    assert_eq!(
        checked,
        ["configmap.yaml", "multiprocess.yaml", "native-sidecar.yaml", "two-containers.yaml"]
    );
}

#[test]
fn a_misspelt_key_is_found_at_every_depth() {
    for (right, wrong, place) in [
        ("replicas:", "replica:", "$.spec.replica"),
        ("annotations:", "anotations:", "$.spec.template.metadata.anotations"),
        ("initContainers:", "initContainer:", "$.spec.template.spec.initContainer"),
        ("containerPort: 4888", "containerport: 4888", "initContainers[0].ports[0]"),
        ("readOnlyRootFilesystem:", "readOnlyRootFileSystem:", "readOnlyRootFileSystem"),
        ("failureThreshold: 30", "failureTreshold: 30", "startupProbe.failureTreshold"),
    ] {
        let found = differences(&changed(NATIVE_SIDECAR, right, wrong));
        assert!(found.iter().any(|line| line.contains(place)), "{wrong}: {found:?}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_found() {
    for (right, wrong) in [
        ("prometheus.io/port: \"4888\"", "prometheus.io/port: 4888"),
        ("prometheus.io/scrape: \"true\"", "prometheus.io/scrape: true"),
        ("containerPort: 4888", "containerPort: \"4888\""),
        ("cpu: \"1\"", "cpu: 1"),
    ] {
        let found = differences(&changed(NATIVE_SIDECAR, right, wrong));
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
    }
}

#[test]
fn every_document_of_a_file_is_checked() {
    let good = read(CONFIG_MAP);
    let bad = changed(CONFIG_MAP, "labels:", "label:");
    assert_eq!(differences(&format!("{good}\n---\n{good}")), Vec::<String>::new());
    assert_eq!(differences(&format!("{good}\n---\n{bad}")).len(), 1);
    assert_eq!(differences("apiVersion: v1\nkind: Pot\n"), ["unknown kind v1 Pot"]);
}

// ---- What the pod promises ----------------------------------------------------------------------

#[test]
fn the_scrape_annotations_name_the_port_that_the_sidecar_declares() {
    for (manifest, template) in pods() {
        let annotations = template.metadata.clone().unwrap().annotations.unwrap();
        assert_eq!(annotations["prometheus.io/scrape"], "true", "{manifest}");
        assert_eq!(annotations["prometheus.io/path"], "/metrics", "{manifest}");
        let declared = sidecar(&template).ports.unwrap();
        assert_eq!(declared.len(), 1, "{manifest}");
        assert_eq!(declared[0].container_port, PORT, "{manifest}");
        assert_eq!(annotations["prometheus.io/port"], PORT.to_string(), "{manifest}");
        // The application does not claim the port too: the annotation means one container.
        let app = app(&template).ports.unwrap();
        assert!(app.iter().all(|port| port.container_port != PORT), "{manifest}");
    }
}

#[test]
fn the_native_sidecar_is_ready_before_the_application_starts_and_ends_after_it() {
    let template = pod(NATIVE_SIDECAR);
    let first = template.spec.clone().unwrap().init_containers.unwrap().remove(0);
    assert_eq!(first.name, SIDECAR);
    assert_eq!(first.restart_policy.as_deref(), Some("Always"));
    assert!(first.startup_probe.is_some());
    let classic = pod(TWO_CONTAINERS);
    assert_eq!(classic.spec.clone().unwrap().init_containers, None);
    assert_eq!(sidecar(&classic).restart_policy, None, "not allowed for an ordinary container");
}

#[test]
fn both_forms_run_the_same_sidecar_beside_the_same_application() {
    let native = Container { restart_policy: None, ..sidecar(&pod(NATIVE_SIDECAR)) };
    assert_eq!(native, sidecar(&pod(TWO_CONTAINERS)));
    assert_eq!(app(&pod(NATIVE_SIDECAR)), app(&pod(TWO_CONTAINERS)));
}

/// Beside the directory they share what tells who is dead: the processes, and the user who may look at them.
#[test]
fn the_application_in_multiprocess_mode_and_its_sidecar_share_what_compaction_needs() {
    let template = pod(MULTIPROCESS);
    let spec = spec(&template);
    assert_eq!(spec.share_process_namespace, Some(true));
    let shared = spec.security_context.clone().unwrap();
    assert_eq!((shared.run_as_user, shared.fs_group), (Some(USER), Some(USER)));
    assert_eq!(app(&template).security_context.unwrap().run_as_user, None, "the pod's");

    let app = app(&template);
    let directory = environment(&app, "PROMETHEUS_MULTIPROC_DIR");
    assert_eq!(mounted_at(&app, METRICS), directory);
    assert_eq!(mounted_at(&sidecar(&template), METRICS), directory);
    let volume = spec.volumes.unwrap().into_iter().find(|volume| volume.name == METRICS).unwrap();
    assert!(volume.empty_dir.is_some());

    let arguments = sidecar(&template).args.unwrap();
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag).unwrap();
        arguments[at + 1].clone()
    };
    assert_eq!(value("--multiproc-dir"), directory);
    assert!(arguments.contains(&"--multiproc-compact".to_owned()));
    let state = mounted_at(&sidecar(&template), "monasca-sidecar-state");
    assert!(value("--data-dir").starts_with(&state), "outside of it the image is read-only");
}

#[test]
fn the_probes_ask_the_sidecar_itself() {
    for (manifest, template) in pods() {
        let sidecar = sidecar(&template);
        for (probe, path) in [
            (&sidecar.startup_probe, "/-/healthy"),
            (&sidecar.liveness_probe, "/-/healthy"),
            (&sidecar.readiness_probe, "/-/ready"),
        ] {
            let asked = probe_target(&sidecar, probe.as_ref().unwrap());
            assert_eq!(asked, (path.to_owned(), PORT), "{manifest}");
        }
    }
}

#[test]
fn the_sidecar_has_no_privilege_and_writes_nothing_that_it_need_not() {
    for (manifest, template) in pods() {
        let context = sidecar(&template).security_context.unwrap();
        assert_eq!(context.run_as_non_root, Some(true), "{manifest}");
        assert_eq!((context.run_as_user, context.run_as_group), (Some(USER), Some(USER)));
        assert_eq!(context.read_only_root_filesystem, Some(true), "{manifest}");
        assert_eq!(context.privileged, None, "{manifest}");
        assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault", "{manifest}");
        let mounts = sidecar(&template).volume_mounts.unwrap();
        let written = mounts.iter().filter(|mount| mount.read_only != Some(true));
        let written: Vec<_> = written.map(|mount| mount.name.as_str()).collect();
        let expected: &[_] =
            if manifest == MULTIPROCESS { &[METRICS, "monasca-sidecar-state"] } else { &[] };
        assert_eq!(written, expected, "{manifest}");
        assert_eq!(spec(&template).automount_service_account_token, Some(false), "{manifest}");
    }
}

/// The "restricted" level of the Pod Security Standards: namespaces that enforce it admit the pod.
#[test]
fn the_whole_pod_meets_the_restricted_security_standard() {
    for (manifest, template) in pods() {
        let spec = spec(&template);
        let shared = spec.security_context.clone().unwrap();
        assert_eq!(shared.run_as_non_root, Some(true), "{manifest}");
        assert_eq!(shared.seccomp_profile.unwrap().type_, "RuntimeDefault", "{manifest}");
        assert_eq!((spec.host_network, spec.host_pid, spec.host_ipc), (None, None, None));
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            let context = container.security_context.clone().unwrap();
            let capabilities = context.capabilities.unwrap();
            assert_eq!(context.allow_privilege_escalation, Some(false), "{manifest}");
            assert_eq!(capabilities.drop, Some(vec!["ALL".to_owned()]), "{manifest}");
            assert_eq!(capabilities.add, None, "{manifest}");
        }
    }
}

#[test]
fn the_sidecar_has_requests_and_limits() {
    for (manifest, template) in pods() {
        let resources = sidecar(&template).resources.unwrap();
        for amounts in [resources.requests.unwrap(), resources.limits.unwrap()] {
            assert!(amounts.contains_key("cpu") && amounts.contains_key("memory"), "{manifest}");
        }
    }
}

#[test]
fn the_grace_period_outlasts_the_shutdown_delay() {
    let app_seconds = 30;
    for (manifest, before_sigterm) in
        [(NATIVE_SIDECAR, app_seconds), (TWO_CONTAINERS, 0), (MULTIPROCESS, app_seconds)]
    {
        let template = pod(manifest);
        let delay = environment(&sidecar(&template), "MONASCA_SIDECAR_SHUTDOWN_DELAY");
        let delay: i64 = delay.strip_suffix('s').unwrap().parse().unwrap();
        let grace = spec(&template).termination_grace_period_seconds.unwrap();
        let draining = 10;
        assert!(before_sigterm + delay + draining <= grace, "{manifest}: {delay} s of {grace} s");
    }
}

#[test]
fn the_application_pushes_to_the_sidecar_over_loopback() {
    for (manifest, template) in pods() {
        let url = environment(&app(&template), "MONASCA_SIDECAR_URL");
        assert_eq!(url, format!("http://127.0.0.1:{PUSH_PORT}"), "{manifest}");
        // A Service called monasca-sidecar would set MONASCA_SIDECAR_PORT and others in every
        // container, where variables of that prefix are configuration.
        assert_eq!(spec(&template).enable_service_links, Some(false), "{manifest}");
    }
}

#[test]
fn the_mounted_configuration_is_one_that_the_daemon_accepts() {
    let (map, file) = config_file();
    for (manifest, template) in pods() {
        let spec = spec(&template);
        let volume = spec.volumes.unwrap().remove(0);
        let mount = sidecar(&template).volume_mounts.unwrap().remove(0);
        assert_eq!(mount.name, volume.name, "{manifest}");
        assert_eq!(volume.config_map.unwrap().name, map.metadata.name.clone().unwrap());
        let arguments = sidecar(&template).args.unwrap();
        assert_eq!(
            arguments[..2],
            ["--config".to_owned(), format!("{}/config.yaml", mount.mount_path)]
        );
    }
    let (accepted, said) = daemon_check(&file);
    assert!(accepted, "{said}");
    let (accepted, said) = daemon_check(&file.replace("decay:", "decoy:"));
    assert!(!accepted && said.contains("decoy"), "a misspelt key is explained: {said}");
}

#[test]
fn the_daemon_knows_every_flag_that_it_is_started_with() {
    let help = Command::new(env!("CARGO_BIN_EXE_monasca-sidecar")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: Vec<_> = help.split([' ', '\n', ']']).collect();
    for (manifest, template) in pods() {
        let arguments = sidecar(&template).args.unwrap();
        for flag in arguments.iter().filter(|argument| argument.starts_with("--")) {
            assert!(known.contains(&flag.as_str()), "{manifest}: {flag}");
        }
    }
}

#[test]
fn pushes_come_over_loopback_scrapes_to_the_pod_and_nobody_administers() {
    let (_, file) = config_file();
    let file: Value = serde_saphyr::from_str(&file).unwrap();
    let expected = serde_json::json!([
        {"address": format!("127.0.0.1:{PUSH_PORT}"), "rights": ["push"]},
        {"address": format!(":{PORT}"), "rights": ["scrape"]},
    ]);
    assert_eq!(file["listeners"], expected);
    assert_eq!(file["strict_access"], true);
}

// ---- The image ----------------------------------------------------------------------------------

#[test]
fn the_image_is_built_by_the_toolchain_of_the_repository() {
    let toolchain = std::fs::read_to_string(deploy("../rust-toolchain.toml")).unwrap();
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")).unwrap();
    let channel = channel.trim_end_matches('"');
    assert!(read("Dockerfile").contains(&format!("\nARG RUST_VERSION={channel}\n")), "{channel}");
}

#[test]
fn image_and_manifests_carry_the_version_of_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("Dockerfile").contains(&format!("\nARG VERSION={version}\n")));
    for (manifest, template) in pods() {
        let image = sidecar(&template).image.unwrap();
        assert!(image.ends_with(&format!("/monasca-sidecar:{version}")), "{manifest}: {image}");
    }
}

// ---- Reading ------------------------------------------------------------------------------------

fn deploy(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap()
}

/// The file's text with one thing changed, which must be there exactly as it is given.
fn changed(path: &str, from: &str, to: &str) -> String {
    let text = read(path);
    assert!(text.contains(from), "{path} has no {from}");
    text.replacen(from, to, 1)
}

/// What is lost, or refused, when the documents of a YAML text go through the typed structures.
fn differences(text: &str) -> Vec<String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    assert!(!documents.is_empty(), "no document");
    let mut found = Vec::new();
    for written in documents {
        match typed(&written) {
            Ok(kept) => compare("$", &written, &kept, &mut found),
            Err(refusal) => found.push(refusal),
        }
    }
    found
}

fn typed(document: &Value) -> Result<Value, String> {
    fn through<T: serde::de::DeserializeOwned + serde::Serialize>(
        document: &Value,
    ) -> Result<Value, serde_json::Error> {
        serde_json::to_value(T::deserialize(document)?)
    }
    let text = |key: &str| document[key].as_str().unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("apps/v1", "Deployment") => through::<Deployment>(document),
        ("v1", "ConfigMap") => through::<ConfigMap>(document),
        (version, kind) => return Err(format!("unknown kind {version} {kind}")),
    }
    .map_err(|error| error.to_string())
}

fn compare(place: &str, written: &Value, kept: &Value, found: &mut Vec<String>) {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => {
            for (key, value) in written {
                compare(
                    &format!("{place}.{key}"),
                    value,
                    kept.get(key).unwrap_or(&Value::Null),
                    found,
                );
            }
            let added = kept.keys().filter(|key| !written.contains_key(*key));
            found.extend(added.map(|key| format!("{place}.{key} is added")));
        }
        (Value::Array(written), Value::Array(kept)) if written.len() == kept.len() => {
            for (index, (written, kept)) in written.iter().zip(kept).enumerate() {
                compare(&format!("{place}[{index}]"), written, kept, found);
            }
        }
        (written, kept) if written == kept => {}
        (written, kept) => found.push(format!("{place}: {written} became {kept}")),
    }
}

fn pod(manifest: &str) -> PodTemplateSpec {
    let deployment: Deployment = serde_saphyr::from_str(&read(manifest)).unwrap();
    deployment.spec.unwrap().template
}

fn pods() -> [(&'static str, PodTemplateSpec); 3] {
    [NATIVE_SIDECAR, TWO_CONTAINERS, MULTIPROCESS].map(|manifest| (manifest, pod(manifest)))
}

fn spec(template: &PodTemplateSpec) -> PodSpec {
    template.spec.clone().unwrap()
}

fn container(template: &PodTemplateSpec, name: &str) -> Container {
    let spec = spec(template);
    let mut all = spec.containers.into_iter().chain(spec.init_containers.into_iter().flatten());
    all.find(|container| container.name == name).unwrap()
}

fn sidecar(template: &PodTemplateSpec) -> Container {
    container(template, SIDECAR)
}

fn app(template: &PodTemplateSpec) -> Container {
    container(template, "app")
}

fn environment(container: &Container, name: &str) -> String {
    let variables = container.env.clone().unwrap();
    variables.into_iter().find(|variable| variable.name == name).unwrap().value.unwrap()
}

fn mounted_at(container: &Container, volume: &str) -> String {
    let mounts = container.volume_mounts.clone().unwrap();
    mounts.into_iter().find(|mount| mount.name == volume).unwrap().mount_path
}

/// Path and port number that a probe asks; a port's name is looked up as the kubelet does.
fn probe_target(container: &Container, probe: &Probe) -> (String, i32) {
    let request = probe.http_get.clone().unwrap();
    let port = match request.port {
        IntOrString::Int(number) => number,
        IntOrString::String(name) => {
            let ports = container.ports.clone().unwrap();
            ports.iter().find(|port| port.name.as_ref() == Some(&name)).unwrap().container_port
        }
    };
    (request.path.unwrap(), port)
}

fn config_file() -> (ConfigMap, String) {
    let map: ConfigMap = serde_saphyr::from_str(&read(CONFIG_MAP)).unwrap();
    let file = map.data.clone().unwrap()["config.yaml"].clone();
    (map, file)
}

/// Whether `monasca-sidecar check` accepts a configuration, and what it says.
fn daemon_check(file: &str) -> (bool, String) {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_monasca-sidecar"))
        .args(["check", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    daemon.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let output = daemon.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
