//! What a joining host and the entrance of an overlay send each other: messages, tokens, requests for
//! certificates, certificates.

use ignite_overlay::entrance::message::{About, JoinReply, JoinRequest, Refused, host_name};
use ignite_overlay::pki::{Facts, Request, Token, Usage, check_signed};

/// A message, written again, is read as the same; a host's name can be one of a certificate.
pub fn run(bytes: &[u8]) {
    match JoinRequest::parse(bytes) {
        Ok(asked) => request(&asked),
        Err(error) => drop(error.to_string()),
    }
    if let Ok(reply) = JoinReply::parse(bytes) {
        let text = serde_json::to_vec(&reply).expect("strings");
        assert_eq!(JoinReply::parse(&text).expect("its own text"), reply);
        for pem in [&reply.certificate, &reply.authority] {
            certificate(Facts::of_pem(pem).map_err(|error| error.to_string()));
        }
    }
    if let Ok(refused) = Refused::parse(bytes) {
        assert!(!refused.message.chars().any(char::is_control));
    }
    let _ = About::parse(bytes);
    certificate(Facts::of_der(bytes).map_err(|error| error.to_string()));
    let _ = check_signed(bytes, bytes, Usage::Server);
}

fn request(asked: &JoinRequest) {
    let text = serde_json::to_vec(asked).expect("strings");
    assert_eq!(&JoinRequest::parse(&text).expect("its own text"), asked);
    let name = host_name(&asked.host);
    assert!((1..=64).contains(&name.len()) && name.is_ascii() && !name.contains(' '));
    if let Ok(token) = asked.token.parse::<Token>() {
        assert_eq!(token.reveal(), asked.token.trim().to_ascii_lowercase());
    }
    match Request::parse(&asked.request) {
        Ok(request) => drop((request.common_name(), request.names(), request.addresses())),
        Err(error) => drop(error.to_string()),
    }
}

fn certificate(read: Result<Facts, String>) {
    if let Ok(facts) = read {
        assert!(facts.covers(&facts.names, &facts.addresses));
        assert_eq!(facts.fingerprint.len(), 64);
    }
}
