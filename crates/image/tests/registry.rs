//! Imports from a registry on loopback that behaves, and from one that does not.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::image::Image;
use common::server::{Answer, Server};
use common::{Tar, chain, noise};
use ignite_image::registry::Error as Registry;
use ignite_image::{Digest, Error, Imported, Importer, Silent, Source};

struct Place {
    directory: tempfile::TempDir,
    server: Server,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("tempdir"),
            server: Server::start(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn import(&self) -> Result<Imported, Error> {
        self.import_as("team/app:v1")
    }

    fn import_as(&self, name: &str) -> Result<Imported, Error> {
        let data = self.path("data");
        let mut importer = Importer::new(&data, &Silent);
        importer.registry.backoff = Duration::from_millis(5);
        importer.registry.silence = Duration::from_secs(2);
        importer.registry.attempts = 3;
        importer.registry.docker_config = Some(self.path("docker"));
        let source =
            Source::parse(&format!("{}/{name}", self.server.address)).expect("a reference");
        let resolved = importer.resolve(&source)?;
        importer.build(&resolved, &self.path("out.ext4"))
    }

    fn kept_blobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("data/blobs/sha256"))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn blob(&self, digest: &Digest, answer: Answer) {
        self.server.set(&Server::blob_path(digest), answer);
    }

    fn login(&self, config: &str) {
        fs::create_dir_all(self.path("docker")).expect("mkdir");
        let config = config.replace("ADDRESS", &self.server.address);
        fs::write(self.path("docker/config.json"), config).expect("write");
    }
}

fn large() -> Image {
    let noise = noise(900_000);
    let top = Tar::new().file("top", &noise[..300_000]).done();
    Image::of(vec![Tar::new().file("noise", &noise).done(), top])
}

fn content(image: &Path, file: &str) -> Vec<u8> {
    let request = format!("cat {file}");
    let output = std::process::Command::new("debugfs")
        .args(["-R", &request])
        .arg(image)
        .output();
    output.expect("debugfs").stdout
}

#[test]
fn pulls_verifies_and_cleans_up() {
    let place = Place::new();
    let image = Image::small();
    place.server.publish(&image);
    let imported = place
        .import()
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(imported.digest, image.manifest);
    assert_eq!(
        imported.names,
        [format!("{}/team/app:v1", place.server.address)]
    );
    assert_eq!(
        content(&place.path("out.ext4"), "/bin/more"),
        b"through the link"
    );
    assert!(
        place.kept_blobs().is_empty(),
        "layers go when the image is there"
    );
    place
        .import_as(&format!("team/app@{}", image.manifest))
        .expect("by digest");
}

#[test]
fn resolving_fetches_no_layer() {
    let place = Place::new();
    place.server.publish(&Image::small());
    let data = place.path("data");
    let source =
        Source::parse(&format!("{}/team/app:v1", place.server.address)).expect("a reference");
    let resolved = Importer::new(&data, &Silent)
        .resolve(&source)
        .expect("an image");
    assert_eq!(resolved.digest, Image::small().manifest);
    assert!(place.server.requests("/blobs/").is_empty());
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let place = Place::new();
    let image = large();
    place.server.publish(&image);
    let layer = image.layers[0];
    let bytes = image.blobs[&layer].clone();
    place.blob(&layer, Answer::Breaks(bytes.clone(), 200_000));
    place
        .import()
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let requests = place.server.requests(&layer.hex());
    assert_eq!(
        requests.len(),
        bytes.len().div_ceil(200_000),
        "{requests:?}"
    );
    assert_eq!(content(&place.path("out.ext4"), "/noise").len(), 900_000);
}

#[test]
fn another_import_takes_up_what_the_first_left() {
    let place = Place::new();
    let image = large();
    place.server.publish(&image);
    let layer = image.layers[0];
    let bytes = image.blobs[&layer].clone();
    place.blob(
        &layer,
        Answer::Breaks(bytes[..bytes.len() / 2].to_vec(), usize::MAX),
    );
    let error = place.import().expect_err("half a layer");
    assert!(
        matches!(error, Error::Registry(Registry::CutShort { .. })),
        "{}",
        chain(&error)
    );
    let partial = format!("{}.partial", layer.hex());
    assert!(
        place.kept_blobs().contains(&partial),
        "{:?}",
        place.kept_blobs()
    );
    assert!(
        place.kept_blobs().contains(&image.layers[1].hex()),
        "verified layers stay"
    );
    let before = place.server.requests(&image.layers[1].hex()).len();
    place.blob(&layer, Answer::Bytes(bytes.clone()));
    place.import().expect("the rest");
    let last = place
        .server
        .requests(&layer.hex())
        .pop()
        .expect("a request");
    assert!(last.contains(&format!(" {} ", bytes.len() / 2)), "{last}");
    assert_eq!(
        place.server.requests(&image.layers[1].hex()).len(),
        before,
        "not fetched again"
    );
}

#[test]
fn a_server_without_ranges_starts_again() {
    let place = Place::new();
    let image = large();
    place.server.publish(&image);
    let layer = image.layers[0];
    let bytes = image.blobs[&layer].clone();
    place.blob(&layer, Answer::NoRanges(bytes.clone(), 100_000));
    let error = place.import().expect_err("never the whole");
    assert!(
        matches!(error, Error::Registry(Registry::Broken { .. })),
        "{}",
        chain(&error)
    );
    place.blob(&layer, Answer::NoRanges(bytes, usize::MAX));
    place.import().expect("from the start");
}

#[test]
fn a_damaged_beginning_is_fetched_again() {
    let place = Place::new();
    let image = large();
    place.server.publish(&image);
    let blobs = place.path("data/blobs/sha256");
    fs::create_dir_all(&blobs).expect("mkdir");
    fs::write(
        blobs.join(format!("{}.partial", image.layers[0].hex())),
        vec![9; 5000],
    )
    .expect("write");
    fs::write(blobs.join(image.layers[1].hex()), "complete, it says").expect("write");
    let error = place.import().expect_err("the cached layer is damaged");
    assert!(matches!(error, Error::Layer(_)), "{}", chain(&error));
    place.import().expect("fetched again");
}

#[test]
fn what_is_sent_must_be_what_was_asked_for() {
    let image = Image::small();
    let other = Tar::new().file("evil", b"x").done();
    let place = Place::new();
    place.server.publish(&image);
    let layer = image.layers[0];
    let size = image.blobs[&layer].len();
    place.blob(&layer, Answer::Bytes(vec![b'x'; size]));
    let error = place.import().expect_err("another layer");
    assert!(
        matches!(error, Error::Registry(Registry::WrongDigest { .. })),
        "{}",
        chain(&error)
    );
    assert!(!place.kept_blobs().contains(&layer.hex()));
    place.blob(
        &layer,
        Answer::Bytes([&image.blobs[&layer][..], &other].concat()),
    );
    let error = place.import().expect_err("too long");
    assert!(
        matches!(error, Error::Registry(Registry::TooLong { .. })),
        "{}",
        chain(&error)
    );
    place.blob(&layer, Answer::Endless);
    assert!(matches!(
        place.import().expect_err("endless"),
        Error::Registry(Registry::TooLong { .. })
    ));
    place.server.publish(&image);
    place.blob(&image.config, Answer::Bytes(b"{}".to_vec()));
    let error = place.import().expect_err("another configuration");
    assert!(
        matches!(error, Error::Registry(Registry::WrongDigest { .. })),
        "{}",
        chain(&error)
    );
    let wrong = Digest::of(b"nothing");
    let manifest = image.blobs[&image.manifest].clone();
    place.server.set(
        &format!("/v2/team/app/manifests/{wrong}"),
        Answer::Bytes(manifest),
    );
    let error = place
        .import_as(&format!("team/app@{wrong}"))
        .expect_err("another manifest");
    assert!(
        matches!(error, Error::Registry(Registry::WrongDigest { .. })),
        "{}",
        chain(&error)
    );
    assert!(!place.path("out.ext4").exists());
}

#[test]
fn what_is_not_there_is_told_apart() {
    let place = Place::new();
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#;
    place.server.set(
        "/v2/no/such/manifests/v1",
        Answer::Status(404, unknown.into()),
    );
    place.server.set(
        "/v2/busy/app/manifests/v1",
        Answer::Status(503, "later".into()),
    );
    place.server.set(
        "/v2/quota/app/manifests/v1",
        Answer::Status(429, String::new()),
    );
    place
        .server
        .set("/v2/endless/app/manifests/v1", Answer::Endless);
    place
        .server
        .set("/v2/silent/app/manifests/v1", Answer::Silent);
    place.server.set(
        "/v2/text/app/manifests/v1",
        Answer::Bytes(b"<html>".to_vec()),
    );
    let fails = |name: &str| match place.import_as(name).expect_err(name) {
        Error::Registry(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(
        fails("no/such:v1"),
        Registry::UnknownRepository { .. }
    ));
    assert!(matches!(
        fails("team/app:v2"),
        Registry::UnknownImage { .. }
    ));
    assert!(matches!(
        fails("busy/app:v1"),
        Registry::Status { status: 503, .. }
    ));
    assert!(matches!(
        fails("quota/app:v1"),
        Registry::RateLimited { .. }
    ));
    assert!(matches!(fails("endless/app:v1"), Registry::TooLarge { .. }));
    assert!(matches!(fails("silent/app:v1"), Registry::Broken { .. }));
    assert!(matches!(fails("text/app:v1"), Registry::Document { .. }));
    assert_eq!(place.server.requests("busy/app").len(), 3, "tried again");
    for name in ["no/such:v1", "team/app:v2", "busy/app:v1"] {
        assert!(fails(name).hint().is_some(), "{name}");
    }
}

#[test]
fn nobody_there() {
    let directory = tempfile::tempdir().expect("tempdir");
    let importer = Importer::new(directory.path(), &Silent);
    let source = Source::parse("127.0.0.1:1/team/app:v1").expect("a reference");
    let error = importer.resolve(&source).expect_err("no registry");
    assert!(
        matches!(error, Error::Registry(Registry::Unreachable { .. })),
        "{}",
        chain(&error)
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("--insecure-registry 127.0.0.1:1"))
    );
}

#[test]
fn an_index_leads_to_the_image_for_this_machine() {
    let place = Place::new();
    let image = Image::small();
    place.server.publish(&image);
    let index = image.index(serde_json::json!({}));
    place
        .server
        .set("/v2/team/app/manifests/multi", Answer::Bytes(index.clone()));
    assert_eq!(
        place.import_as("team/app:multi").expect("an index").digest,
        image.manifest
    );
    let other = String::from_utf8(index).expect("text");
    let other = other
        .replace(common::image::architecture(), "s390x")
        .into_bytes();
    place
        .server
        .set("/v2/team/app/manifests/other", Answer::Bytes(other));
    let error = place
        .import_as("team/app:other")
        .expect_err("another machine's");
    assert!(
        chain(&error).contains("only for linux/s390x"),
        "{}",
        chain(&error)
    );
}

#[test]
fn logs_in_with_a_password() {
    let place = Place::new();
    place.server.publish(&Image::small());
    place
        .server
        .require_login("Basic bWU6c2VjcmV0", "Basic realm=\"registry\"");
    let error = place.import().expect_err("a login is needed");
    assert!(matches!(
        error,
        Error::Registry(Registry::Unauthorised { user: None, .. })
    ));
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("docker login"))
    );
    place.login(r#"{"auths":{"ADDRESS":{"auth":"bWU6d3Jvbmc="}}}"#);
    let text = chain(&place.import().expect_err("a wrong password"));
    assert!(text.contains("as me"), "{text}");
    place.login(r#"{"auths":{"http://ADDRESS/v2/":{"auth":"bWU6c2VjcmV0"}}}"#);
    place
        .import()
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
}

#[test]
fn logs_in_with_tokens() {
    let place = Place::new();
    place.server.publish(&Image::small());
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"registry\"",
        place.server.address
    );
    place.server.require_login("Bearer t0k3n", &challenge);
    place.server.set(
        "/token",
        Answer::Bytes(br#"{"access_token":"t0k3n"}"#.to_vec()),
    );
    place
        .import()
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let asked = place.server.requests("/token");
    assert!(
        asked[0].contains("GET") && asked[0].contains("scope=repository%3Ateam%2Fapp%3Apull"),
        "{asked:?}"
    );
    place.login(r#"{"auths":{"ADDRESS":{"identitytoken":"refresh&me"}}}"#);
    place.import().expect("with a refresh token");
    let asked = place.server.requests("POST /token");
    assert!(asked[0].contains("refresh_token=refresh%26me"), "{asked:?}");
}

#[test]
fn asks_a_credential_helper() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let program = place.path("docker-credential-test");
    let script = "#!/bin/sh\nread -r server; test \"$1\" = get || exit 1\n\
        echo \"{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"me\\\",\\\"Secret\\\":\\\"secret\\\"}\"\n";
    fs::write(&program, script).expect("write");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    let path = format!("{}:/usr/bin:/bin", place.directory.path().display());
    // The helper is found by PATH, which is the whole process's: another process runs the test.
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--ignored",
            "--exact",
            "asks_the_helper_in_path",
            "--nocapture",
        ])
        .env("PATH", path)
        .output()
        .expect("this program");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
#[ignore = "run by asks_a_credential_helper, with its PATH"]
fn asks_the_helper_in_path() {
    let place = Place::new();
    place.server.publish(&Image::small());
    place
        .server
        .require_login("Basic bWU6c2VjcmV0", "Basic realm=\"registry\"");
    place.login(r#"{"credHelpers":{"ADDRESS":"test"}}"#);
    place
        .import()
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    place.login(r#"{"credsStore":"missing"}"#);
    let error = place.import().expect_err("no such helper");
    assert!(
        chain(&error).contains("docker-credential-missing"),
        "{}",
        chain(&error)
    );
}
