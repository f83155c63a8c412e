use super::super::resolve::resolve_text;
use super::super::{Address, Config, Right, Rights};
use std::path::Path;

fn read(text: &str) -> Config {
    resolve_text(Path::new("f"), text).unwrap()
}

/// The errors of `text`, one a line.
fn errors(text: &str) -> Vec<String> {
    resolve_text(Path::new("f"), text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_pod_pushes_on_loopback_and_is_scraped_on_its_address() {
    let doors = read(
        "
listeners:
  - address: 127.0.0.1:4888
    rights: push
  - address: unix:/run/monasca-sidecar/push.sock
    rights: [push, scrape]
    mode: 0600
    owner: 0
    group: root
  - {address: ':4889', rights: [scrape], authenticate: false}
  - address: systemd:admin
",
    )
    .doors();
    let shown: Vec<String> = doors.iter().map(|door| door.address.to_string()).collect();
    assert_eq!(
        shown,
        ["127.0.0.1:4888", "unix:/run/monasca-sidecar/push.sock", "[::]:4889", "systemd:admin"]
    );
    let rights: Vec<String> = doors.iter().map(|door| door.rights.to_string()).collect();
    assert_eq!(rights, ["push", "push,scrape", "scrape", "push,scrape,admin"]);
    let file = doors[1].socket;
    assert_eq!((file.mode, file.owner, file.group), (0o600, Some(0), Some(0)));
    assert!(doors[0].authenticate && !doors[2].authenticate);
}

#[test]
fn the_short_form_allows_everything() {
    let doors = read("listen: ['unix:/tmp/x', systemd]").doors();
    assert_eq!(doors[1].address, Address::Systemd(None));
    assert!(doors.iter().all(|door| door.rights == Rights::ALL && door.authenticate));
    assert!(Config::default().doors()[0].rights.has(Right::Admin));
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, expected) in [
        ("listeners: []", "f:1:12: listeners: must have at least one listener"),
        (
            "listeners: [{}]",
            "f:1:13: listeners[0]: has no address: give address: IP:PORT or unix:PATH",
        ),
        (
            "listeners: [{address: ':1', rights: [pull]}]",
            "f:1:38: listeners[0].rights: \"pull\": use push, scrape or admin",
        ),
        (
            "listeners: [{address: ':1', rights: [push, push]}]",
            "f:1:44: listeners[0].rights: \"push\" is given twice",
        ),
        (
            "listeners: [{address: ':1', right: push}]",
            "f:1:29: listeners[0].right: unknown key: did you mean rights?",
        ),
        (
            "listeners: [{address: ':1', mode: 0600}]",
            "f:1:29: listeners[0].mode: only a unix:PATH has it",
        ),
        (
            "listeners: [{address: 'unix:/x', mode: 1777}]",
            "f:1:40: listeners[0].mode: \"1777\": write an octal mode such as 0660",
        ),
        (
            "listeners: [{address: 'unix:/x', tls: true}]",
            "f:1:39: listeners[0].tls: a unix socket has no TLS",
        ),
        (
            "listeners: [{address: 'unix:/x', owner: no-such-user}]",
            "f:1:41: listeners[0].owner: \"no-such-user\" is not in /etc/passwd: write its number",
        ),
        (
            "listeners: [{address: 'unix:'}]",
            "f:1:23: listeners[0].address: a unix socket needs a path: unix:/run/monasca-sidecar/push.sock",
        ),
        (
            "listeners: [{address: ':1'}, {address: ':1'}]",
            "f:1:30: listeners[1]: [::]:1 is given twice",
        ),
        (
            "listen: ':1'\nlisteners: [{address: ':2'}]",
            "f:2:1: listeners: give it or listen, not both",
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
}
