//! What can be done about what git said.

/// What git or its helpers say, in parts that have been the same for years, and what to do about it.
const KNOWN: &[(&str, &str)] = &[
    (
        "host key verification failed",
        "the host's key is not in the file of --hosts-file, or is another one: compare it, then add it with ssh-keyscan",
    ),
    (
        "permission denied (",
        "give the private key whose public half the host knows with --identity-file",
    ),
    (
        "unprotected private key file",
        "the file of --identity-file may be readable by its owner only: chmod 600",
    ),
    (
        "authentication failed",
        "give the user with --https-username and the password with --https-password-file",
    ),
    (
        "could not read username",
        "the repository wants credentials: --https-username and --https-password-file",
    ),
    (
        "could not read password",
        "the repository wants a password: --https-password-file",
    ),
    (
        "certificate",
        "give the certificate of the authority that signed the server's with --https-ca-file",
    ),
    (
        "could not resolve host",
        "look at the address, and at this host's name servers",
    ),
    (
        "dubious ownership",
        "the repository belongs to another user: a status is pushed to it over ssh or https only",
    ),
    (
        "does not appear to be a git repository",
        "look at the path in the address",
    ),
    (
        "repository not found",
        "look at the path in the address, and whether the credentials may read it",
    ),
    (
        "allowedsignersfile needs to be configured",
        "the commit is signed with ssh: say whose signatures count with --allowed-signers",
    ),
    (
        "no public key",
        "the commit is signed with GPG: say whose signatures count with --gpg-home",
    ),
];

/// What can be done about it, if it is known.
pub(super) fn for_words(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    KNOWN
        .iter()
        .find(|(words, _)| said.contains(words))
        .map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_ssh_and_of_git_are_known() {
        let said = "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking. Host key verification failed.";
        assert!(for_words(said).expect("known").contains("ssh-keyscan"));
        let said = "fatal: could not read Username for 'https://x': terminal prompts disabled";
        assert!(for_words(said).expect("known").contains("--https-username"));
        assert_eq!(for_words("fatal: something new"), None);
    }
}
