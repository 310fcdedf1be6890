//! Names of manifests as Go programs have them: `diskSize` is `DiskSize`, `ipAddresses` is
//! `IPAddresses`.

/// Parts of names that are written in capitals.
const CAPITALS: [&str; 14] = [
    "api", "arp", "cni", "dns", "id", "ip", "mac", "mtu", "oci", "qos", "ssh", "uid", "vm", "vmm",
];

/// The name of a field.
pub(super) fn of_key(key: &str) -> String {
    match key {
        "metadata" => "ObjectMeta".to_owned(),
        "cpus" => "CPUs".to_owned(),
        "ipv4" => "IPv4".to_owned(),
        "ipv6" => "IPv6".to_owned(),
        _ => words(key).into_iter().map(capital).collect(),
    }
}

/// The words of a name in which each but the first begins with a capital.
fn words(key: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = key;
    while let Some(first) = rest.chars().next() {
        let end = rest[first.len_utf8()..]
            .find(|c: char| c.is_ascii_uppercase())
            .map_or(rest.len(), |end| end + first.len_utf8());
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    words
}

fn capital(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if CAPITALS.contains(&lower.as_str()) {
        return lower.to_ascii_uppercase();
    }
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_go() {
        for (key, name) in [
            ("metadata", "ObjectMeta"),
            ("uid", "UID"),
            ("cpus", "CPUs"),
            ("diskSize", "DiskSize"),
            ("oci", "OCI"),
            ("cmdLine", "CmdLine"),
            ("ssh", "SSH"),
            ("ipAddresses", "IPAddresses"),
            ("idPrefix", "IDPrefix"),
            ("ociSource", "OCISource"),
            ("apiVersion", "APIVersion"),
            ("vmPort", "VMPort"),
            ("ipv6", "IPv6"),
            ("é", "é"),
            ("", ""),
        ] {
            assert_eq!(of_key(key), name);
        }
    }
}
